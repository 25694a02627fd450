import Foundation
import QuenchSmoothing
import QuenchSupport

/// Messages of the Open Inference Protocol. A file holds one as it lies in a body, with the length of its JSON, which
/// a header tells, in the four bytes before it; none: all is JSON.
extension FuzzTarget {
  /// Requests as a server reads them; what is accepted can be answered.
  static let inferenceRequest = FuzzTarget(name: "inference-request", seeds: InferenceSeeds.requests) { data in
    let (body, length) = InferenceSeeds.parts(of: data)
    let request = try InferenceMessage(body, headerLength: length, .request)
    let (pixels, count) = try model.pixels(of: request)
    guard pixels.count == count * 16 else { throw BrokenPromise("\(pixels.count) bytes for \(count) images") }
    let logits = InferenceTensor(
      name: "logits", shape: [count, 2], datatype: .float32, data: Data(count: 8 * count))
    let answer = model.response(to: request, [logits])
    _ = try InferenceMessage(answer.body, headerLength: answer.headerLength, .response)
  }

  /// Answers as a client reads them.
  static let inferenceAnswer = FuzzTarget(name: "inference-answer", seeds: InferenceSeeds.answers) { data in
    let (body, length) = InferenceSeeds.parts(of: data)
    for tensor in try InferenceMessage(body, headerLength: length, .response).tensors { _ = tensor.floats }
  }

  private static let model = InferenceModel(
    name: "box", version: "7", inputShape: [1, 2, 2],
    outputs: [.init(name: "logits", datatype: .float32, shape: [2])], largestBatch: 4)
}

private enum InferenceSeeds {
  static let requests: [Data] = [
    file(
      #"{"id":"a","inputs":[{"name":"input","shape":[1,1,2,2],"datatype":"FP32","data":[[[[0,0.5],[1e-3,1]]]]}]}"#),
    file(
      """
      {"inputs":[{"name":"input","shape":[2,1,2,2],"datatype":"FP16","parameters":{"binary_data_size":16}}],
      "outputs":[{"name":"logits","parameters":{"binary_data":true}}],"parameters":{"binary_data_output":false}}
      """, Data(count: 16))
  ]

  static let answers: [Data] = [
    file(
      """
      {"model_name":"box","model_version":"7","outputs":[{"name":"y","shape":[1,2],"datatype":"FP64","data":[1,-2.5]},
      {"name":"n","shape":[1],"datatype":"INT64","data":[7]},{"name":"b","shape":[1],"datatype":"BOOL","data":[true]}]}
      """),
    file(
      #"{"outputs":[{"name":"y","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}}]}"#,
      Data(count: 8))
  ]

  static func file(_ json: String, _ raw: Data = Data()) -> Data {
    let length = raw.isEmpty ? UInt32.max : UInt32(json.utf8.count)
    return withUnsafeBytes(of: length.littleEndian) { Data($0) } + Data(json.utf8) + raw
  }

  static func parts(of data: Data) -> (body: Data, headerLength: Int?) {
    let length = data.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
    return (Data(data.dropFirst(4)), length == UInt32.max ? nil : length)
  }
}
