import Foundation

/// A small ONNX model, put together field by field as Protocol Buffers lay them out.
public struct ONNXSample {
  public enum Attribute {
    case integer(Int)
    case integers([Int])
    case real(Float)
    case text(String)
    /// A tensor of floats.
    case tensor(shape: [Int], [Float])
  }

  public var opset = 17
  private var nodes: [Data] = []
  private var initializers: [Data] = []
  private var inputs: [Data] = []
  public var outputs: [Data] = []

  public init(opset: Int = 17) { self.opset = opset }

  /// Declares a value that comes from outside; nil sizes are free ones, `type` is ONNX's: 1 for float32, 7 for int64.
  public mutating func input(_ name: String, _ sizes: [Int?], type: Int = 1) {
    inputs.append(Self.value(name, sizes, type))
  }

  public mutating func output(_ name: String, _ sizes: [Int?]? = nil, type: Int = 1) {
    outputs.append(Self.value(name, sizes, type))
  }

  public mutating func node(
    _ type: String, _ inputs: [String], _ outputs: [String], _ attributes: KeyValuePairs<String, Attribute> = [:],
    name: String = "", domain: String = ""
  ) {
    var node = Data()
    for input in inputs { node += Self.field(1, input) }
    for output in outputs { node += Self.field(2, output) }
    node += Self.field(3, name) + Self.field(4, type)
    for (name, value) in attributes { node += Self.field(5, Self.attribute(name, value)) }
    if !domain.isEmpty { node += Self.field(7, domain) }
    nodes.append(node)
  }

  /// Numbers that the model holds, as raw bytes.
  public mutating func floats(_ name: String, _ shape: [Int], _ values: [Float]) {
    tensor(name, shape, type: 1, [Self.field(9, values.withUnsafeBytes { Data($0) })])
  }

  public mutating func integers(_ name: String, _ values: [Int], shape: [Int]? = nil) {
    tensor(name, shape ?? [values.count], type: 7, [Self.field(9, values.withUnsafeBytes { Data($0) })])
  }

  /// A tensor whose fields but shape, type and name are given.
  public mutating func tensor(_ name: String, _ shape: [Int], type: Int, _ fields: [Data]) {
    initializers.append(Self.tensor(shape, type, fields) + Self.field(8, name))
  }

  /// The file.
  public var data: Data {
    var graph = Data()
    for node in nodes { graph += Self.field(1, node) }
    graph += Self.field(2, "graph")
    for tensor in initializers { graph += Self.field(5, tensor) }
    for input in inputs { graph += Self.field(11, input) }
    for output in outputs { graph += Self.field(12, output) }
    return Self.field(1, 8) + Self.field(2, "sample") + Self.field(7, graph) + Self.field(8, Self.field(2, opset))
  }

  // MARK: - Fields

  public static func field(_ number: Int, _ value: Int) -> Data { varint(number << 3) + varint(value) }

  public static func field(_ number: Int, _ bytes: Data) -> Data {
    varint(number << 3 | 2) + varint(bytes.count) + bytes
  }

  public static func field(_ number: Int, _ text: String) -> Data { field(number, Data(text.utf8)) }

  public static func varint(_ value: Int) -> Data {
    var rest = UInt64(bitPattern: Int64(value))
    var bytes = Data()
    repeat {
      bytes.append(UInt8(rest & 0x7F) | (rest > 0x7F ? 0x80 : 0))
      rest >>= 7
    } while rest > 0
    return bytes
  }

  private static func float(_ number: Int, _ value: Float) -> Data {
    varint(number << 3 | 5) + withUnsafeBytes(of: value.bitPattern.littleEndian) { Data($0) }
  }

  private static func tensor(_ shape: [Int], _ type: Int, _ fields: [Data]) -> Data {
    shape.reduce(Data()) { $0 + field(1, $1) } + field(2, type) + fields.reduce(Data(), +)
  }

  private static func attribute(_ name: String, _ value: Attribute) -> Data {
    let start = field(1, name)
    switch value {
    case .real(let value): return start + float(2, value) + field(20, 1)
    case .integer(let value): return start + field(3, value) + field(20, 2)
    case .text(let value): return start + field(4, value) + field(20, 3)
    case .tensor(let shape, let values):
      let raw = field(9, values.withUnsafeBytes { Data($0) })
      return start + field(5, tensor(shape, 1, [raw])) + field(20, 4)
    case .integers(let values): return values.reduce(start) { $0 + field(8, $1) } + field(20, 7)
    }
  }

  private static func value(_ name: String, _ sizes: [Int?]?, _ type: Int) -> Data {
    var tensor = field(1, type)
    if let sizes {
      tensor += field(2, sizes.reduce(Data()) { $0 + field(1, $1.map { field(1, $0) } ?? field(2, "free")) })
    }
    return field(1, name) + field(2, field(1, tensor))
  }
}
