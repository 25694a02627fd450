import Foundation
import QuenchReporting
import QuenchSupport

/// What a served model is, by the Open Inference Protocol, and what of a request it accepts.
public struct InferenceModel: Hashable, Sendable {
  public var name: String
  public var version: String
  /// `[channels, height, width]` of one image: the input `input`, pixels in [0, 1], `[N, C, H, W]`.
  public var inputShape: [Int]
  /// Each output's name, type and shape of one image.
  public var outputs: [Output]
  /// The most images in a request.
  public var largestBatch: Int

  public struct Output: Hashable, Sendable {
    public var name: String
    public var datatype: InferenceTensor.DataType
    public var shape: [Int]

    /// Whether a row holds a number for each class.
    var isOfClasses: Bool { shape.count == 1 && [.float16, .float32, .float64].contains(datatype) }

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

  /// The answer to `GET /v2/models/NAME/config`, as Triton gives it.
  public var configuration: Record {
    func type(_ datatype: InferenceTensor.DataType) -> Value { .string("TYPE_\(datatype.rawValue)") }
    func sides(_ shape: [Int]) -> Value { .array((shape.isEmpty ? [1] : shape).map { .int($0) }) }
    return [
      "name": .string(name), "platform": "quench", "backend": "quench", "max_batch_size": .int(largestBatch),
      "input": [["name": .string(Self.inputName), "data_type": type(.float32), "dims": sides(inputShape)]],
      "output": .array(
        outputs.map { ["name": .string($0.name), "data_type": type($0.datatype), "dims": sides($0.shape)] })
    ]
  }

  /// The answer to a request, given all outputs.
  public func response(to request: InferenceMessage, _ tensors: [InferenceTensor]) -> InferenceMessage.Encoded {
    let wanted =
      request.requested.isEmpty
      ? tensors
      : request.requested.compactMap { output in
        let tensor = tensors.first { $0.name == output.name }
        return output.classes.flatMap { tensor?.top($0) } ?? tensor
      }
    let answer = InferenceMessage(tensors: wanted, id: request.id, modelName: name, modelVersion: version)
    return answer.encoded(.response) { tensor in
      request.requested.first { $0.name == tensor.name }?.isBinary ?? request.wantsBinary
    }
  }
}

extension InferenceTensor {
  /// The `count` largest of each row, `[N, classes]`, as texts `value:class`, the largest first, `[N, count]`: what
  /// Triton's classification extension answers; nil unless they are such rows.
  func top(_ count: Int) -> InferenceTensor? {
    guard shape.count == 2, let floats else { return nil }
    let classes = shape[1]
    let items = (0..<shape[0]).flatMap { row in
      let values = floats[row * classes..<(row + 1) * classes]
      let ranked = zip(values, 0..<classes).sorted { ($0.0, $1.1) > ($1.0, $0.1) }
      return ranked.prefix(count).map { Data("\($0.0):\($0.1)".utf8) }
    }
    return InferenceTensor(items, shape: [shape[0], min(count, classes)], named: name)
  }
}
