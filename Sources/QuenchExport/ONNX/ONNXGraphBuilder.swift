import QuenchTorch

/// Puts an ONNX graph together: operators, and the constants that they read.
struct ONNXGraphBuilder {
  /// The constants take more bytes than the model may have.
  struct TooLarge: Error {}

  enum Attribute {
    case int(Int)
    case ints([Int])
    case float(Double)
  }

  private(set) var graph = ONNXGraphProto()
  /// Bytes that constants may still take.
  private var room: Int

  /// - Parameters:
  ///   - name: The graph's.
  ///   - room: Bytes that its constants may take.
  init(_ name: String, room: Int) {
    graph.name = name
    self.room = room
  }

  /// Declares a value that comes from outside: float32, `[batch] + shape`.
  mutating func input(_ name: String, _ shape: [Int]) { graph.input.append(Self.value(name, shape)) }

  /// Declares a value that is an answer: float32, `[batch] + shape`.
  mutating func output(_ name: String, _ shape: [Int]) { graph.output.append(Self.value(name, shape)) }

  /// Appends an operator.
  /// - Parameters:
  ///   - type: As ONNX calls it.
  ///   - inputs: Names of the values and constants that it reads.
  ///   - output: The name of the value that it makes.
  ///   - node: The operator's own name.
  ///   - attributes: Its settings.
  /// - Returns: `output`.
  @discardableResult mutating func add(
    _ type: String, _ inputs: [String], as output: String, named node: String,
    _ attributes: KeyValuePairs<String, Attribute> = [:]
  ) -> String {
    var proto = ONNXNodeProto()
    proto.name = node
    proto.opType = type
    proto.input = inputs
    proto.output = [output]
    proto.attribute = attributes.map { Self.attribute($0.key, $0.value) }
    graph.node.append(proto)
    return output
  }

  /// Keeps `tensor`, float32 or int64, as a constant.
  /// - Returns: `name`.
  @discardableResult mutating func constant(_ name: String, _ tensor: Tensor) throws(TooLarge) -> String {
    let bytes = tensor.count * tensor.dtype.byteCount
    try requireRoom(for: bytes)
    room -= bytes
    var proto = ONNXTensorProto()
    proto.name = name
    proto.dims = tensor.shape.map(Int64.init)
    proto.dataType = Self.code(tensor.dtype == .int64 ? .int64 : .float)
    proto.rawData = tensor.data()
    graph.initializer.append(proto)
    return name
  }

  /// Checks that a constant of so many bytes would still fit.
  func requireRoom(for bytes: Int) throws(TooLarge) {
    guard bytes <= room else { throw TooLarge() }
  }
}

extension ONNXGraphBuilder {
  private static func code(_ type: ONNXTensorProto.DataType) -> Int32 { Int32(type.rawValue) }

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
    }
    return proto
  }

  private static func value(_ name: String, _ shape: [Int]) -> ONNXValueInfoProto {
    var batch = ONNXTensorShapeProto.Dimension()
    batch.dimParam = "batch"
    var proto = ONNXValueInfoProto()
    proto.name = name
    proto.type.tensorType.elemType = code(.float)
    proto.type.tensorType.shape.dim =
      [batch] + shape.map { size in ONNXTensorShapeProto.Dimension.with { $0.dimValue = Int64(size) } }
    return proto
  }
}
