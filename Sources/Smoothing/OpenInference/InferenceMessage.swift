import Foundation
import Reporting
import Support

/// A request or an answer of the Open Inference Protocol: JSON, with the binary extension raw tensors behind it.
public struct InferenceMessage: Hashable, Sendable {
  /// An output that a request asks for.
  public struct RequestedOutput: Hashable, Sendable {
    public var name: String
    /// Whether it is wanted as raw bytes; nil: as the request says of all.
    public var isBinary: Bool?

    public init(name: String, isBinary: Bool? = nil) {
      self.name = name
      self.isBinary = isBinary
    }
  }

  public var id: String?
  public var modelName: String?
  public var modelVersion: String?
  /// A request's inputs, or an answer's outputs.
  public var tensors: [InferenceTensor]
  /// Of a request; empty: all.
  public var requested: [RequestedOutput] = []
  /// Whether outputs are wanted as raw bytes where nothing else is said.
  public var wantsBinary = false

  public init(
    tensors: [InferenceTensor], id: String? = nil, modelName: String? = nil, modelVersion: String? = nil,
    wantsBinary: Bool = false
  ) {
    self.tensors = tensors
    self.id = id
    self.modelName = modelName
    self.modelVersion = modelVersion
    self.wantsBinary = wantsBinary
  }

  /// A message's body and, where raw tensors follow the JSON, the JSON's length, which goes into the header
  /// `Inference-Header-Content-Length`.
  public struct Encoded: Hashable, Sendable {
    public var body: Data
    public var headerLength: Int?
  }

  public enum Direction: String, Sendable {
    case request = "inputs"
    case response = "outputs"
  }

  // MARK: - Reading

  /// - Parameters:
  ///   - body: The message.
  ///   - headerLength: The JSON's length where raw tensors follow; nil: all is JSON.
  ///   - direction: Which of the two it is.
  /// - Throws: `InputError` that names the part that is not as it must be. Nothing larger than the message is
  ///   allocated because it says so.
  public init(_ body: Data, headerLength: Int?, _ direction: Direction) throws(InputError) {
    let length = headerLength ?? body.count
    guard (0...body.count).contains(length) else {
      throw InputError(
        "the JSON is said to be longer than the message", at: "Inference-Header-Content-Length",
        expected: "at most \(body.count)", found: "\(length)")
    }
    let json = Data(body.prefix(length))
    guard let message = try Value(json: json, name: "body").record else {
      throw InputError("a JSON object is expected", at: "body")
    }
    id = message["id"]?.string
    modelName = message["model_name"]?.string
    modelVersion = message["model_version"]?.string
    wantsBinary = message["parameters"]?.record?["binary_data_output"]?.bool ?? false
    guard let list = message[direction.rawValue]?.array, !list.isEmpty, list.count <= 64 else {
      throw InputError("the message lacks its tensors", at: direction.rawValue, expected: "a list of 1 to 64")
    }
    var rest = body.dropFirst(length)
    tensors = []
    for value in list { tensors.append(try Self.tensor(value, taking: &rest, direction)) }
    guard rest.isEmpty else {
      throw InputError("bytes that belong to no tensor follow the last one", at: "body", found: "\(rest.count)")
    }
    guard direction == .request, let outputs = message["outputs"] else { return }
    guard let outputs = outputs.array else { throw InputError("a list is expected", at: "outputs") }
    for output in outputs {
      guard let name = output.record?["name"]?.string else {
        throw InputError("an output has no name", at: "outputs")
      }
      requested.append(
        RequestedOutput(name: name, isBinary: output.record?["parameters"]?.record?["binary_data"]?.bool))
    }
  }

  private static func tensor(
    _ value: Value, taking rest: inout Data.SubSequence, _ direction: Direction
  ) throws(InputError) -> InferenceTensor {
    guard let record = value.record, let name = record["name"]?.string else {
      throw InputError("a tensor has no name", at: direction.rawValue)
    }
    let location = "\(direction.rawValue), '\(name.prefix(64))'"
    guard let sides = record["shape"]?.array, sides.count <= 8 else {
      throw InputError("the tensor has no shape", at: location)
    }
    let shape = sides.compactMap(\.integer)
    guard shape.count == sides.count else { throw InputError("the shape is not whole numbers", at: location) }
    guard let datatype = record["datatype"]?.string.flatMap(InferenceTensor.DataType.init) else {
      throw InputError(
        "unknown datatype", at: location,
        expected: InferenceTensor.DataType.allCases.map(\.rawValue).joined(separator: ", "),
        found: record["datatype"]?.description ?? "none")
    }
    let count = try InferenceTensor.count(shape, at: location)
    if let size = record["parameters"]?.record?["binary_data_size"]?.integer {
      let needed = count * datatype.dtype.byteCount
      guard size == needed, rest.count >= size else {
        throw InputError(
          "the binary data do not fit the shape", at: location, expected: "\(needed) bytes",
          found: "\(min(size, rest.count))")
      }
      defer { rest = rest.dropFirst(size) }
      return InferenceTensor(name: name, shape: shape, datatype: datatype, data: Data(rest.prefix(size)))
    }
    guard let data = record["data"] else { throw InputError("the tensor has no data", at: location) }
    return InferenceTensor(
      name: name, shape: shape, datatype: datatype,
      data: try InferenceTensor.bytes(of: data, count: count, datatype: datatype, at: location))
  }

  // MARK: - Writing

  /// - Parameters:
  ///   - direction: Whether it is a request or an answer.
  ///   - isBinary: Which tensors follow as raw bytes.
  public func encoded(_ direction: Direction, binary isBinary: (InferenceTensor) -> Bool) -> Encoded {
    var raw = Data()
    let list = tensors.map { tensor -> Value in
      var record: Record = [
        "name": .string(tensor.name), "shape": .array(tensor.shape.map { .int($0) }),
        "datatype": .string(tensor.datatype.rawValue)
      ]
      // FP16 has no JSON form, and JSON has no NaN.
      if isBinary(tensor) || tensor.datatype == .float16 {
        record["parameters"] = ["binary_data_size": .int(tensor.data.count)]
        raw += tensor.data
      } else {
        record["data"] = tensor.json
      }
      return .object(record)
    }
    var message = Record()
    message["model_name"] = modelName.map { .string($0) }
    message["model_version"] = modelVersion.map { .string($0) }
    message["id"] = id.map { .string($0) }
    message[direction.rawValue] = .array(list)
    if direction == .request {
      if wantsBinary { message["parameters"] = ["binary_data_output": true] }
      if !requested.isEmpty {
        message["outputs"] = .array(
          requested.map { output in
            var record: Record = ["name": .string(output.name)]
            record["parameters"] = output.isBinary.map { ["binary_data": .bool($0)] }
            return .object(record)
          })
      }
    }
    let json = Data(Value.object(message).json().utf8)
    return Encoded(body: json + raw, headerLength: raw.isEmpty ? nil : json.count)
  }
}
