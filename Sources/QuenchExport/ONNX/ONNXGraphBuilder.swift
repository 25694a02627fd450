import Foundation
import QuenchTorch

/// Why a network can't be written as ONNX.
enum ONNXFailure: Error {
  /// The constants take more bytes than the model may have.
  case tooLarge
  /// ONNX has no form of what a node computes, for the reason given.
  case unsupported(OperatorGraph.Node, String)
}

/// Puts an ONNX graph together: operators, and the constants that they read.
struct ONNXGraphBuilder {
  enum Attribute {
    case int(Int)
    case ints([Int])
    case float(Double)
    case string(String)
  }

  private(set) var graph = ONNXGraphProto()
  /// Bytes that constants may still take.
  private var room: Int
  private var names = Set<String>()

  /// - Parameters:
  ///   - name: The graph's.
  ///   - room: Bytes that its constants may take.
  init(_ name: String, room: Int) {
    graph.name = name
    self.room = room
  }

  /// `name`, or one like it where a value or constant is called so already.
  private mutating func unused(_ name: String) -> String {
    var name = name
    while !names.insert(name).inserted { name += "'" }
    return name
  }

  /// Declares what comes from outside and what is answered: float32, `[batch] + shape`. No other value is called so.
  /// - Parameter batch: nil for any.
  mutating func declare(input: String, output: String, batch: Int?, _ inputShape: [Int], _ outputShape: [Int]) {
    names.formUnion([input, output])
    graph.input.append(Self.value(input, batch, inputShape))
    graph.output.append(Self.value(output, batch, outputShape))
  }

  /// Appends an operator.
  /// - Parameters:
  ///   - type: As ONNX calls it.
  ///   - inputs: Names of the values and constants that it reads; an empty one is an absent one.
  ///   - outputs: Names of the values that it makes.
  ///   - node: The operator's own name.
  ///   - attributes: Its settings.
  ///   - answers: Whether it makes what was declared as the answer.
  /// - Returns: The outputs' names, others where values are called so already.
  @discardableResult mutating func add(
    _ type: String, _ inputs: [String], as outputs: [String], named node: String,
    _ attributes: [(String, Attribute)] = [], answers: Bool = false
  ) -> [String] {
    var proto = ONNXNodeProto()
    proto.name = node
    proto.opType = type
    proto.input = inputs
    var made: [String] = []
    for output in outputs { made.append(answers ? output : unused(output)) }
    proto.output = made
    proto.attribute = attributes.map { Self.attribute($0.0, $0.1) }
    graph.node.append(proto)
    return made
  }

  /// Keeps a tensor as a constant: in float32, int64 or as truth values.
  /// - Returns: `name`, or another where a value is called so already.
  @discardableResult mutating func constant(_ name: String, _ tensor: Tensor) throws(ONNXFailure) -> String {
    let kind = ElementKind(tensor.dtype)
    let bytes = tensor.count * kind.dtype.byteCount
    try requireRoom(for: bytes)
    room -= bytes
    let name = unused(name)
    var proto = ONNXTensorProto()
    proto.name = name
    proto.dims = tensor.shape.map(Int64.init)
    proto.dataType = Int32(kind.code.rawValue)
    proto.rawData = tensor.to(kind.dtype).data()
    graph.initializer.append(proto)
    return name
  }

  /// Checks that a constant of so many bytes would still fit.
  func requireRoom(for bytes: Int) throws(ONNXFailure) {
    guard bytes <= room else { throw .tooLarge }
  }
}

/// What an element is in a file: all floating-point types are float32 there, all integers int64.
enum ElementKind {
  case real, integer, truth

  init(_ dtype: DType) {
    switch dtype {
    case .float16, .bfloat16, .float32, .float64: self = .real
    case .uint8, .int8, .int16, .int32, .int64: self = .integer
    case .bool: self = .truth
    }
  }

  var dtype: DType {
    switch self {
    case .real: .float32
    case .integer: .int64
    case .truth: .bool
    }
  }

  var code: ONNXTensorProto.DataType {
    switch self {
    case .real: .float
    case .integer: .int64
    case .truth: .bool
    }
  }
}

extension ONNXGraphBuilder {
  private static func attribute(_ name: String, _ value: Attribute) -> ONNXAttributeProto {
    var proto = ONNXAttributeProto()
    proto.name = name
    switch value {
    case .int(let value):
      proto.type = .int
      proto.i = Int64(value)
    case .ints(let values):
      proto.type = .ints
      proto.ints = values.map(Int64.init)
    case .float(let value):
      proto.type = .float
      proto.f = Float(value)
    case .string(let value):
      proto.type = .string
      proto.s = Data(value.utf8)
    }
    return proto
  }

  private static func value(_ name: String, _ batch: Int?, _ shape: [Int]) -> ONNXValueInfoProto {
    let first = ONNXTensorShapeProto.Dimension.with { dimension in
      if let batch { dimension.dimValue = Int64(batch) } else { dimension.dimParam = "batch" }
    }
    var proto = ONNXValueInfoProto()
    proto.name = name
    proto.type.tensorType.elemType = Int32(ONNXTensorProto.DataType.float.rawValue)
    proto.type.tensorType.shape.dim =
      [first] + shape.map { size in ONNXTensorShapeProto.Dimension.with { $0.dimValue = Int64(size) } }
    return proto
  }
}
