import Foundation
import QuenchTorch

/// Makes a graph compute in 8-bit integers where engines can: values that convolutions, linear layers, sums and pools read
/// are rounded to uint8 and back (`QuantizeLinear`, `DequantizeLinear`), weights stand as int8 with a scale a channel and
/// biases as int32 with theirs.
///
/// A value's 256 steps span what it was on the calibration images, zero among them (Jacob et al. 2018, section 2.1); a
/// channel's weights span 127 to either side of zero.
struct ONNXQuantizer {
  /// What the values were seen to stay within, by their names in the file.
  let ranges: [String: ClosedRange<Double>]
  private var graph: ONNXGraphProto
  private var constants: [String: ONNXTensorProto]
  private var nodes: [ONNXNodeProto] = []
  /// Values that were rounded, by the name of the value before.
  private var rounded: [String: (name: String, scale: Double)] = [:]
  /// Weights that stand as int8, by their first name.
  private var weights: [String: (name: String, scales: [Float])] = [:]
  private var added: [ONNXTensorProto] = []

  private static let layers: Set = ["Conv", "Gemm"]
  private static let others: Set = ["Add", "AveragePool", "GlobalAveragePool", "MaxPool"]

  init(_ graph: ONNXGraphProto, ranges: [String: ClosedRange<Double>]) {
    self.graph = graph
    self.ranges = ranges
    constants = Dictionary(graph.initializer.map { ($0.name, $0) }) { first, _ in first }
  }

  /// The graph in 8 bits.
  mutating func quantized() -> ONNXGraphProto {
    for node in graph.node {
      var node = node
      if Self.layers.contains(node.opType), let values = constants[node.input[1]], values.dims.count > 1 {
        quantizeLayer(&node)
      } else if Self.others.contains(node.opType), node.input.allSatisfy({ ranges[$0] != nil }) {
        for index in node.input.indices { node.input[index] = round(node.input[index])?.name ?? node.input[index] }
      }
      nodes.append(node)
    }
    let read = Set(nodes.flatMap(\.input))
    graph.node = nodes
    graph.initializer = graph.initializer.filter { read.contains($0.name) } + added
    return graph
  }

  private mutating func quantizeLayer(_ node: inout ONNXNodeProto) {
    guard let input = round(node.input[0]) else { return }
    node.input[0] = input.name
    guard let weight = quantizeWeight(node.input[1]) else { return }
    node.input[1] = weight.name
    if node.input.count > 2, let bias = quantizeBias(node.input[2], of: node.name, input.scale, weight.scales) {
      node.input[2] = bias
    }
  }

  /// The name of a value after it was rounded to one of 256 steps; nil where nobody knows what it stays within.
  private mutating func round(_ name: String) -> (name: String, scale: Double)? {
    if let known = rounded[name] { return known }
    guard let range = ranges[name] else { return nil }
    let grid = ByteGrid(range)
    let parts = [
      constant("\(name)/scale", [Float(grid.scale)], .float, []),
      constant("\(name)/zero", [UInt8(grid.zero)], .uint8, [])
    ]
    add("QuantizeLinear", [name] + parts, "\(name)/quantized")
    add("DequantizeLinear", ["\(name)/quantized"] + parts, "\(name)/rounded")
    rounded[name] = ("\(name)/rounded", grid.scale)
    return rounded[name]
  }

  /// A weight whose first dimension are outputs, a scale each.
  private mutating func quantizeWeight(_ name: String) -> (name: String, scales: [Float])? {
    if let known = weights[name] { return known }
    guard let proto = constants[name], let rows = proto.dims.first.map(Int.init), rows > 0 else { return nil }
    let values = floats(proto)
    let width = values.count / rows
    var scales = [Float](repeating: 1, count: rows)
    var steps = [Int8](repeating: 0, count: values.count)
    for row in 0..<rows {
      let cells = row * width..<(row + 1) * width
      let largest = values[cells].map(abs).max() ?? 0
      scales[row] = max(largest / 127, 1e-12)
      for cell in cells { steps[cell] = Int8(min(max((values[cell] / scales[row]).rounded(), -127), 127)) }
    }
    let parts = [
      constant("\(name)/steps", steps, .int8, proto.dims),
      constant("\(name)/scales", scales, .float, [Int64(rows)]),
      constant("\(name)/zeros", [Int8](repeating: 0, count: rows), .int8, [Int64(rows)])
    ]
    add("DequantizeLinear", parts, "\(name)/rounded", axis: 0)
    weights[name] = ("\(name)/rounded", scales)
    return weights[name]
  }

  /// A bias in steps of the products that it is added to.
  private mutating func quantizeBias(
    _ name: String, of node: String, _ input: Double, _ scales: [Float]
  ) -> String? {
    guard let proto = constants[name], proto.dims == [Int64(scales.count)] else { return nil }
    let steps = scales.map { Float(input) * $0 }
    let values = zip(floats(proto), steps).map { value, step in
      Int32(min(max((Double(value) / Double(step)).rounded(), -0x1p31 + 1), 0x1p31 - 1))
    }
    let dims = [Int64(scales.count)]
    let parts = [
      constant("\(node)/bias_steps", values, .int32, dims), constant("\(node)/bias_scales", steps, .float, dims),
      constant("\(node)/bias_zeros", [Int32](repeating: 0, count: scales.count), .int32, dims)
    ]
    add("DequantizeLinear", parts, "\(node)/bias_rounded", axis: 0)
    return "\(node)/bias_rounded"
  }

  // MARK: - Parts

  private func floats(_ proto: ONNXTensorProto) -> [Float] {
    proto.rawData.withUnsafeBytes { bytes in
      (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
    }
  }

  private mutating func constant<Element>(
    _ name: String, _ values: [Element], _ type: ONNXTensorProto.DataType, _ dims: [Int64]
  ) -> String {
    added.append(
      .with {
        $0.name = name
        $0.dims = dims
        $0.dataType = Int32(type.rawValue)
        $0.rawData = values.withUnsafeBytes { Data($0) }
      })
    return name
  }

  private mutating func add(_ type: String, _ inputs: [String], _ output: String, axis: Int? = nil) {
    nodes.append(
      .with { node in
        node.name = output
        node.opType = type
        node.input = inputs
        node.output = [output]
        guard let axis else { return }
        node.attribute = [
          .with {
            $0.name = "axis"
            $0.type = .int
            $0.i = Int64(axis)
          }
        ]
      })
  }
}
