import QuenchTorch

/// Rewrites a graph so that convolutions and linear layers multiply bytes: weights in 127 steps to either side of zero, a
/// width for each output; what they read in the 256 steps of its range.
///
/// A value is in bytes where one such layer makes it for another, also through operators that only move elements. Every
/// other operator computes in float32, from a copy where it reads bytes.
struct GraphQuantization {
  private(set) var graph: OperatorGraph
  private(set) var tensors: [OperatorGraph.Value: Tensor]
  /// Convolutions and linear layers that multiply bytes.
  private(set) var integerLayers = 0
  private let trace: GraphTrace
  private let chains: LayerChains
  private let batches: Int
  /// By value; nil where nobody knows what it stays within.
  private var grids: [ByteGrid?]
  /// The nodes that read each value, or the ends of their chains, by position.
  private let readers: [[Int]]
  private let producers: [Int?]
  /// Whether a value is computed in bytes, and in them alone.
  private var isInteger: [Bool]
  /// The bytes of values that are computed in float32, by value.
  private var rounded: [OperatorGraph.Value: OperatorGraph.Value] = [:]
  /// The numbers of values that are computed in bytes, by value.
  private var floats: [OperatorGraph.Value: OperatorGraph.Value] = [:]
  private var nodes: [OperatorGraph.Node] = []

  /// Operators whose results are elements of what they read, in another place, and zeros.
  private static let movers: Set = [
    "aten::constant_pad_nd", "aten::flatten.using_ints", "aten::reshape", "aten::slice.Tensor", "aten::view"
  ]

  /// - Parameters:
  ///   - graph: In float32, without operators that write over their operands.
  ///   - tensors: What it holds.
  ///   - trace: Of a small batch.
  ///   - ranges: What its values stay within.
  ///   - batches: How many times the trace's batch weights are packed for.
  init(
    _ graph: OperatorGraph, _ tensors: [OperatorGraph.Value: Tensor], trace: GraphTrace,
    ranges: [OperatorGraph.Value: ClosedRange<Double>], batches: Int
  ) {
    self.graph = graph
    self.tensors = tensors
    self.trace = trace
    self.batches = batches
    let rules = LayerChains.Rules(takesSum: \.isConvolution) { activation, layer, isSummed, _ in
      activation.isOfferedForIntegers(to: layer) && (!isSummed || layer.takesAfterSum(activation))
    }
    let chains = LayerChains(graph, tensors, trace: trace, dtype: .float32, rules)
    self.chains = chains
    grids = graph.valueNames.indices.map { ranges[.init($0)].map { ByteGrid($0) } }
    producers = graph.producers
    isInteger = [Bool](repeating: false, count: graph.valueNames.count)
    var readers = [[Int]](repeating: [], count: graph.valueNames.count)
    for (position, node) in graph.nodes.enumerated() where !chains.absorbed.contains(position) {
      for value in chains.calls[position]?.reads ?? node.reads { readers[value.index].append(position) }
    }
    self.readers = readers
  }

  mutating func run() {
    graph.layOutChannelsLast()
    choose()
    for position in graph.nodes.indices where !chains.absorbed.contains(position) { append(position) }
    graph.nodes = nodes
    graph = graph.withoutDeadParts()
    let held = Set(graph.held.map(\.value))
    tensors = tensors.filter { held.contains($0.key) }
  }

  // MARK: - What is in bytes

  /// From the end on, for a sum is in bytes only if its result is.
  private mutating func choose() {
    for position in graph.nodes.indices.reversed() where !chains.absorbed.contains(position) {
      if let call = chains.calls[position] {
        isInteger[call.result.index] = isQuantized(call) && areBytesWanted(call.result)
      } else if let (operand, result) = move(position) {
        isInteger[result.index] = grids[operand.index] != nil && areBytesWanted(result)
      }
    }
  }

  private func isQuantized(_ call: LayerChains.Call) -> Bool { grids[call.layer.input.index] != nil }

  /// Whether somebody who reads a value takes it in bytes.
  private func areBytesWanted(_ value: OperatorGraph.Value) -> Bool {
    value != graph.output && grids[value.index] != nil
      && readers[value.index].contains { reader in
        guard let call = chains.calls[reader] else {
          return move(reader).map { isInteger[$0.result.index] } ?? false
        }
        return isQuantized(call) && (call.layer.input == value || isInteger[call.result.index])
      }
  }

  private func move(_ position: Int) -> (operand: OperatorGraph.Value, result: OperatorGraph.Value)? {
    let node = graph.nodes[position]
    guard Self.movers.contains(node.target), (node.real("value") ?? 0) == 0, let operand = node.value("self"),
      case .one(let result)? = node.results.first, node.reads == [operand]
    else { return nil }
    return (operand, result)
  }

  // MARK: - Nodes

  private mutating func append(_ position: Int) {
    if let call = chains.calls[position] {
      guard isQuantized(call) else {
        for position in call.chain { nodes.append(inFloats(graph.nodes[position])) }
        return
      }
      integerLayers += 1
      return nodes.append(node(of: call, at: position))
    }
    guard let (operand, result) = move(position), isInteger[result.index] else {
      return nodes.append(inFloats(graph.nodes[position]))
    }
    var node = graph.nodes[position]
    let bytes = bytes(of: operand)
    node.replaceReads { $0 == operand ? bytes : $0 }
    grids[result.index] = grids[operand.index]
    if node.target == "aten::constant_pad_nd", let grid = grids[operand.index] {
      node.arguments.removeAll { $0.name == "value" }
      node.arguments.append(.init("value", .integer(grid.zero)))
    }
    nodes.append(node)
  }

  /// A node of an operator that computes in float32.
  private mutating func inFloats(_ node: OperatorGraph.Node) -> OperatorGraph.Node {
    var node = node
    var copies: [OperatorGraph.Value: OperatorGraph.Value] = [:]
    for value in node.reads where isInteger[value.index] {
      copies[value] = floats[value] ?? floats(of: value)
      floats[value] = copies[value]
    }
    node.replaceReads { copies[$0] ?? $0 }
    return node
  }

  private mutating func node(of call: LayerChains.Call, at position: Int) -> OperatorGraph.Node {
    let (layer, output) = (call.layer, isInteger[call.result.index] ? grids[call.result.index] : nil)
    guard let grid = grids[layer.input.index], let weight = tensors[layer.weight],
      var shape = trace.shape(layer.input)
    else { preconditionFailure("a layer's weight and input are known") }
    shape[0] *= batches
    let (bytes, scales) = IntegerOperators.steps(weight)
    let packed =
      layer.isConvolution
      ? IntegerOperators.packed(
        convolution: bytes, scales: scales, padding: layer.padding, stride: layer.stride, dilation: layer.dilation,
        groups: layer.groups, imageShape: shape, grid: grid)
      : IntegerOperators.packed(linear: bytes, inputShape: shape)
    var node = layer.node
    node.results = [.one(call.result)]
    node.arguments = [
      .init("qx", .value(self.bytes(of: layer.input))), .init("x_scale", .real(grid.scale)),
      .init("x_zero_point", .integer(grid.zero)), .init("qw", .value(hold(packed, "\(node.name).packed"))),
      .init("w_scale", .value(hold(scales, "\(node.name).scales"))),
      .init("w_zero_point", .value(hold(Tensor.full(scales.shape, 0, dtype: .int64), "\(node.name).zeros"))),
      .init("bias", layer.bias.map { .value($0) } ?? .none),
      .init("output_scale", .real(output?.scale ?? 1)), .init("output_zero_point", .integer(output?.zero ?? 0)),
      .init("output_dtype", .dtype(output == nil ? .float32 : .uint8))
    ]
    if layer.isConvolution {
      node.arguments += [
        .init("stride", .integers(layer.stride)), .init("padding", .integers(layer.padding)),
        .init("dilation", .integers(layer.dilation)), .init("groups", .integer(layer.groups))
      ]
    }
    node.target = layer.isConvolution ? IntegerOperators.convolution : IntegerOperators.linear
    node.arguments += call.activation.integerArguments(
      isConvolution: layer.isConvolution, isSummed: call.addend != nil)
    if let addend = call.addend {
      node.target = IntegerOperators.convolutionSum
      let steps = output == nil ? nil : grids[addend.index]
      node.arguments += [
        .init("qaccum", .value(own(addend, inBytes: output != nil, at: position))),
        .init("accum_scale", .real(steps?.scale ?? 1)), .init("accum_zero_point", .integer(steps?.zero ?? 0))
      ]
    }
    return node
  }

  /// A value in bytes.
  private mutating func bytes(of value: OperatorGraph.Value) -> OperatorGraph.Value {
    if isInteger[value.index] { return value }
    if let known = rounded[value] { return known }
    guard let grid = grids[value.index] else { preconditionFailure("what a value stays within is known") }
    let name = graph.valueNames[value.index]
    // Halves are added, for the conversion cuts off what is behind the point.
    let steps = append(
      "aten::add.Tensor", "\(name).steps",
      [
        .init("self", .real(Double(grid.zero) + 0.5)), .init("other", .value(value)),
        .init("alpha", .real(1 / grid.scale))
      ])
    let cut = append(
      "aten::clamp_", "\(name).cut",
      [.init("self", .value(steps)), .init("min", .real(0)), .init("max", .real(255))])
    let bytes = append(
      "aten::to.dtype", "\(name).bytes", [.init("self", .value(cut)), .init("dtype", .dtype(.uint8))])
    rounded[value] = bytes
    return bytes
  }

  /// The numbers that a value's bytes stand for, in memory of their own.
  private mutating func floats(of value: OperatorGraph.Value) -> OperatorGraph.Value {
    guard let grid = grids[value.index] else { preconditionFailure("what a value in bytes stays within is known") }
    let name = graph.valueNames[value.index]
    let steps = append(
      "aten::to.dtype", "\(name).numbers", [.init("self", .value(value)), .init("dtype", .dtype(.float32))])
    return append(
      "aten::add.Tensor", "\(name).floats",
      [
        .init("self", .real(-grid.scale * Double(grid.zero))), .init("other", .value(steps)),
        .init("alpha", .real(grid.scale))
      ])
  }

  /// A value in memory that may be written over at a node, channels side by side: its own where nobody else needs it
  /// then, or a copy.
  private mutating func own(
    _ value: OperatorGraph.Value, inBytes: Bool, at position: Int
  ) -> OperatorGraph.Value {
    if !inBytes, isInteger[value.index] { return floats(of: value) }
    let place = inBytes ? bytes(of: value) : value
    let isLast = readers[value.index].allSatisfy { reader in
      reader <= position && (chains.calls[reader] != nil || graph.nodes[reader].hasOwnMemory)
    }
    let maker = producers[value.index].flatMap { chains.calls[$0] }
    let isMade = place == value && maker.map { isQuantized($0) && $0.layer.isConvolution } == true
    if isLast, isMade { return place }
    return append(
      "aten::clone", "\(graph.valueNames[value.index]).copy",
      [.init("self", .value(place)), .init("memory_format", .memoryFormat(.channelsLast))])
  }

  private mutating func append(
    _ target: String, _ name: String, _ arguments: [OperatorGraph.Argument]
  ) -> OperatorGraph.Value {
    let result = graph.newValue(name)
    nodes.append(.init(name: name, target: target, arguments: arguments, results: [.one(result)]))
    return result
  }

  private mutating func hold(_ tensor: Tensor, _ name: String) -> OperatorGraph.Value {
    let value = graph.newValue(name)
    graph.held.append(.init(kind: .buffer, name: name, value: value, shape: tensor.shape, dtype: tensor.dtype))
    tensors[value] = tensor
    return value
  }
}

extension FusedActivation {
  /// What oneDNN's operators on bytes are told of the activation.
  fileprivate func integerArguments(isConvolution: Bool, isSummed: Bool) -> [OperatorGraph.Argument] {
    let algorithm = OperatorGraph.Operand.string(algorithm ?? "")
    if isSummed {
      return [
        .init("binary_attr", .string("sum")), .init("alpha", .real(1)), .init("unary_attr", .string(name)),
        .init("unary_scalars", .reals(numbers)), .init("unary_algorithm", algorithm)
      ]
    }
    let prefix = isConvolution ? "" : "post_op_"
    return [
      .init(isConvolution ? "attr" : "post_op_name", .string(name)),
      .init(isConvolution ? "scalars" : "post_op_args", .reals(numbers)), .init("\(prefix)algorithm", algorithm)
    ]
  }
}
