import Foundation
import QuenchReporting
import QuenchSupport

/// A request or an answer of the Open Inference Protocol: JSON, with the binary extension raw tensors behind it.
public struct InferenceMessage: Hashable, Sendable {
  /// An output that a request asks for.
  public struct RequestedOutput: Hashable, Sendable {
    public var name: String
    /// Whether it is wanted as raw bytes; nil: as the request says of all.
    public var isBinary: Bool?
    /// The most likely classes that are wanted in its place (Triton's classification extension); nil: the output.
    public var classes: Int?

    public init(name: String, isBinary: Bool? = nil, classes: Int? = nil) {
      self.name = name
      self.isBinary = isBinary
      self.classes = classes
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

  /// The message with tensors of no bytes: what an answer to it is made by.
  public var withoutData: InferenceMessage {
    var message = self
    for index in tensors.indices { message.tensors[index].data = Data() }
    return message
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

  /// The most values that a message's JSON may hold beside the tensors' elements.
  private static let mostValues = 20_000

  /// - Parameters:
  ///   - body: The message.
  ///   - headerLength: The JSON's length where raw tensors follow; nil: all is JSON.
  ///   - direction: Which of the two it is.
  ///   - accept: Throws for a tensor whose data are not to be read.
  /// - Throws: `InputError` that names the part that is not as it must be. Nothing larger than the message is
  ///   allocated because it says so.
  public init(
    _ body: Data, headerLength: Int?, _ direction: Direction,
    accept: (InferenceTensor.Head) throws(InputError) -> Void = { _ in }
  ) throws(InputError) {
    let length = headerLength ?? body.count
    guard (0...body.count).contains(length) else {
      throw InputError(
        "the JSON is said to be longer than the message", at: "Inference-Header-Content-Length",
        expected: "at most \(body.count)", found: "\(length)")
    }
    tensors = []
    var (rest, list) = (body.dropFirst(length), [Part]())
    var reader = JSONReader(body.prefix(length), name: "body", budget: Self.mostValues)
    try reader.members { (reader, key) throws(InputError) in
      switch key {
      case "id": id = try reader.value().string
      case "model_name": modelName = try reader.value().string
      case "model_version": modelVersion = try reader.value().string
      case "parameters": wantsBinary = try reader.value().record?["binary_data_output"]?.bool ?? false
      case direction.rawValue:
        try reader.elements { (reader) throws(InputError) in list.append(try Part(&reader, of: direction)) }
      case Direction.response.rawValue: requested = try Self.requested(reader.value())
      default: try reader.pass()
      }
    }
    try reader.end()
    guard (1...64).contains(list.count) else {
      throw InputError("the message lacks its tensors", at: direction.rawValue, expected: "a list of 1 to 64")
    }
    for part in list { try accept(part.head) }
    for part in list {
      if let tensor = try part.tensor(taking: &rest) { tensors.append(tensor) }
    }
    guard rest.isEmpty else {
      throw InputError("bytes that belong to no tensor follow the last one", at: "body", found: "\(rest.count)")
    }
  }

  /// A tensor as the JSON tells of it, its data not read yet.
  private struct Part {
    let head: InferenceTensor.Head
    let location: String
    /// Whether it is of a type that is read; an answer's other outputs may be of any.
    let isKnown: Bool
    /// Bytes of raw data.
    let size: Int?
    /// Stands before the elements.
    let data: JSONReader?

    init(_ reader: inout JSONReader, of direction: Direction) throws(InputError) {
      var record = Record()
      var data: JSONReader?
      try reader.members { (reader, key) throws(InputError) in
        switch key {
        case "name", "shape", "datatype", "parameters": record[key] = try reader.value()
        case "data":
          data = reader
          try reader.pass()
        default: try reader.pass()
        }
      }
      guard let name = record["name"]?.string else {
        throw InputError("a tensor has no name", at: direction.rawValue)
      }
      location = "\(direction.rawValue), '\(name.prefix(64))'"
      guard let sides = record["shape"]?.array, sides.count <= 8 else {
        throw InputError("the tensor has no shape", at: location)
      }
      let shape = sides.compactMap(\.integer)
      guard shape.count == sides.count else { throw InputError("the shape is not whole numbers", at: location) }
      let datatype = record["datatype"]?.string.flatMap(InferenceTensor.DataType.init)
      isKnown = datatype != nil
      guard isKnown || direction == .response else {
        throw InputError(
          "unknown datatype", at: location,
          expected: InferenceTensor.DataType.allCases.map(\.rawValue).joined(separator: ", "),
          found: record["datatype"]?.excerpt ?? "none")
      }
      head = InferenceTensor.Head(name: name, shape: shape, datatype: datatype ?? .bytes)
      size = record["parameters"]?.record?["binary_data_size"]?.integer
      self.data = data
    }

    /// Nil where its type is not known.
    func tensor(taking rest: inout Data.SubSequence) throws(InputError) -> InferenceTensor? {
      guard isKnown else {
        rest = rest.dropFirst(max(size ?? 0, 0))
        return nil
      }
      let (shape, datatype) = (head.shape, head.datatype)
      let count = try InferenceTensor.count(shape, at: location)
      guard let size else {
        guard let data else { throw InputError("the tensor has no data", at: location) }
        return InferenceTensor(
          name: head.name, shape: shape, datatype: datatype,
          data: try InferenceTensor.bytes(from: data, count: count, datatype: datatype, at: location))
      }
      let needed = datatype == .bytes ? max(size, 0) : count * datatype.dtype.byteCount
      guard size == needed, rest.count >= size else {
        throw InputError(
          "the binary data do not fit the shape", at: location, expected: "\(needed) bytes",
          found: "\(min(size, rest.count))")
      }
      defer { rest = rest.dropFirst(size) }
      let tensor = InferenceTensor(
        name: head.name, shape: shape, datatype: datatype, data: Data(rest.prefix(size)))
      guard datatype != .bytes || tensor.items != nil else {
        throw InputError(
          "the binary data do not fit the shape", at: location,
          expected: "\(count) elements, each behind its length in four bytes")
      }
      return tensor
    }
  }

  private static func requested(_ value: Value) throws(InputError) -> [RequestedOutput] {
    guard let outputs = value.array else { throw InputError("a list is expected", at: "outputs") }
    var requested: [RequestedOutput] = []
    for output in outputs {
      guard let name = output.record?["name"]?.string else {
        throw InputError("an output has no name", at: "outputs")
      }
      let parameters = output.record?["parameters"]?.record
      let classes = parameters?["classification"]
      guard classes == nil || classes?.integer ?? 0 > 0 else {
        throw InputError(
          "the number of classes is no whole number above 0", at: "outputs, '\(name.prefix(64))', classification",
          found: classes?.excerpt)
      }
      requested.append(
        RequestedOutput(name: name, isBinary: parameters?["binary_data"]?.bool, classes: classes?.integer))
    }
    return requested
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
            var parameters = Record()
            parameters["binary_data"] = output.isBinary.map { .bool($0) }
            parameters["classification"] = output.classes.map { .int($0) }
            if !parameters.isEmpty { record["parameters"] = .object(parameters) }
            return .object(record)
          })
      }
    }
    let json = Data(Value.object(message).json().utf8)
    return Encoded(body: json + raw, headerLength: raw.isEmpty ? nil : json.count)
  }
}
