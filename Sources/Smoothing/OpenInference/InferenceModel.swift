import Foundation
import Reporting
import Support

/// What a served model is, by the Open Inference Protocol, and what of a request it accepts.
public struct InferenceModel: Hashable, Sendable {
  public var name: String
  public var version: String
  /// `[channels, height, width]` of one image: the input `input`, FP32 pixels in [0, 1], `[N, C, H, W]`.
  public var inputShape: [Int]
  /// Each output's name, type and shape of one image.
  public var outputs: [Output]
  /// The most images in a request.
  public var largestBatch: Int

  public struct Output: Hashable, Sendable {
    public var name: String
    public var datatype: InferenceTensor.DataType
    public var shape: [Int]

    public init(name: String, datatype: InferenceTensor.DataType, shape: [Int]) {
      self.name = name
      self.datatype = datatype
      self.shape = shape
    }
  }

  public static let inputName = "input"

  public init(name: String, version: String, inputShape: [Int], outputs: [Output], largestBatch: Int) {
    self.name = name
    self.version = version
    self.inputShape = inputShape
    self.outputs = outputs
    self.largestBatch = largestBatch
  }

  /// The answer to `GET /v2/models/NAME`.
  public var metadata: Record {
    func tensor(_ name: String, _ datatype: InferenceTensor.DataType, _ shape: [Int]) -> Value {
      [
        "name": .string(name), "datatype": .string(datatype.rawValue),
        "shape": .array(([-1] + shape).map { .int($0) })
      ]
    }
    return [
      "name": .string(name), "versions": [.string(version)], "platform": "quench",
      "inputs": [tensor(Self.inputName, .float32, inputShape)],
      "outputs": .array(outputs.map { tensor($0.name, $0.datatype, $0.shape) }),
      "parameters": ["max_batch_size": .int(largestBatch)]
    ]
  }

  /// The pixels of a request, `[N, C, H, W]` as float32 bytes, and N.
  /// - Throws: `InputError` for another input, shape, type, too many images, or pixels that are no numbers.
  public func pixels(of request: InferenceMessage) throws(InputError) -> (data: Data, count: Int) {
    guard request.tensors.count == 1, let input = request.tensors.first, input.name == Self.inputName else {
      throw InputError(
        "the model has one input", at: "inputs", expected: "'\(Self.inputName)'",
        found: request.tensors.map { "'\($0.name.prefix(64))'" }.joined(separator: ", "))
    }
    let location = "inputs, '\(input.name)'"
    guard input.shape.count == 4, Array(input.shape.dropFirst()) == inputShape, input.shape[0] > 0 else {
      throw InputError(
        "the images have another shape", at: location, expected: "\([-1] + inputShape)", found: "\(input.shape)")
    }
    guard input.shape[0] <= largestBatch else {
      throw InputError(
        "the request has too many images", at: location, expected: "at most \(largestBatch)",
        found: "\(input.shape[0])", remedy: "send it in parts")
    }
    for output in request.requested where !outputs.contains(where: { $0.name == output.name }) {
      throw InputError(
        "the model has no such output", at: "outputs",
        expected: outputs.map { "'\($0.name)'" }.joined(separator: ", "), found: "'\(output.name.prefix(64))'")
    }
    guard let pixels = input.floats else {
      throw InputError(
        "the model takes pixels in [0, 1]", at: location, expected: "FP32", found: input.datatype.rawValue)
    }
    guard pixels.allSatisfy(\.isFinite) else {
      throw InputError("the pixels hold NaN or infinity", at: location)
    }
    return (pixels.withUnsafeBytes { Data($0) }, input.shape[0])
  }

  /// The answer to a request, given all outputs.
  public func response(to request: InferenceMessage, _ tensors: [InferenceTensor]) -> InferenceMessage.Encoded {
    let wanted =
      request.requested.isEmpty
      ? tensors : request.requested.compactMap { output in tensors.first { $0.name == output.name } }
    let answer = InferenceMessage(tensors: wanted, id: request.id, modelName: name, modelVersion: version)
    return answer.encoded(.response) { tensor in
      request.requested.first { $0.name == tensor.name }?.isBinary ?? request.wantsBinary
    }
  }
}
