import Foundation
import QuenchSupport
import QuenchVision

/// What of a request a model takes: its images as numbers, bytes or files.
extension InferenceModel {
  private typealias DataType = InferenceTensor.DataType

  /// What the input may be: numbers in [0, 1], bytes of 0 to 255, or JPEG and PNG files.
  private static let inputTypes: [DataType] = [.float32, .float16, .float64, .uint8, .bytes]

  /// The most bytes of a request that holds as many images as the model takes: as raw FP64, or up to 64 MiB of JSON.
  public var largestRequest: Int {
    let elements = inputShape.reduce(largestBatch, *)
    return 1 << 16 + max(8 * elements, min(32 * elements, 64 << 20))
  }

  /// - Throws: `InputError` unless the tensor can be the model's images, so that nothing is read of others.
  public func accept(_ input: InferenceTensor.Head) throws(InputError) {
    guard input.name == Self.inputName else { throw otherInputs([input.name]) }
    let location = "inputs, '\(input.name)'"
    guard Self.inputTypes.contains(input.datatype) else {
      throw InputError(
        "the model takes pixels in [0, 1]", at: location,
        expected: "FP32, FP16 or FP64, UINT8 for pixels of 0 to 255, or BYTES for JPEG and PNG files",
        found: input.datatype.rawValue)
    }
    let shape = input.shape
    let isFitting =
      input.datatype == .bytes
      ? [[], [1]].contains(Array(shape.dropFirst())) : shape.count == 4 && Array(shape.dropFirst()) == inputShape
    guard isFitting, let count = shape.first, count > 0 else {
      throw InputError(
        "the images have another shape", at: location,
        expected: input.datatype == .bytes ? "[-1] files" : "\([-1] + inputShape)", found: "\(shape)")
    }
    guard count <= largestBatch else {
      throw InputError(
        "the request has too many images", at: location, expected: "at most \(largestBatch)", found: "\(count)",
        remedy: "send it in parts")
    }
  }

  /// The pixels of a request, `[N, C, H, W]` as float32 bytes, and N.
  /// - Throws: `InputError` for another input, shape, type, too many images, pixels that are no numbers or look as if
  ///   white were 255, and files that are no pictures of the model's size.
  public func pixels(of request: InferenceMessage) throws(InputError) -> (data: Data, count: Int) {
    guard request.tensors.count == 1, let input = request.tensors.first else {
      throw otherInputs(request.tensors.map(\.name))
    }
    try accept(input.head)
    for output in request.requested { try accept(output) }
    return (try pixels(of: input).withUnsafeBytes { Data($0) }, input.shape[0])
  }

  private func accept(_ requested: InferenceMessage.RequestedOutput) throws(InputError) {
    let location = "outputs, '\(requested.name.prefix(64))'"
    guard let output = outputs.first(where: { $0.name == requested.name }) else {
      throw InputError(
        "the model has no such output", at: location,
        expected: outputs.map { "'\($0.name)'" }.joined(separator: ", "))
    }
    guard requested.classes == nil || output.isOfClasses else {
      throw InputError(
        "the output has no classes", at: "\(location), classification",
        expected: outputs.filter(\.isOfClasses).map { "'\($0.name)'" }.joined(separator: ", "))
    }
  }

  private func pixels(of input: InferenceTensor) throws(InputError) -> [Float] {
    let location = "inputs, '\(input.name)'"
    if let items = input.items {
      var pixels: [Float] = []
      for (index, item) in items.enumerated() {
        pixels += try self.pixels(ofFile: item, name: "\(location), picture \(index + 1)")
      }
      return pixels
    }
    guard let pixels = input.floats else { return input.data.map { Float($0) / 255 } }
    guard let least = pixels.min(), let most = pixels.max(), pixels.allSatisfy(\.isFinite) else {
      throw InputError("the pixels hold NaN or infinity", at: location)
    }
    // Noise round pixels in [0, 1] goes below 0 long before it comes so far above 1.
    guard least < 0 || most <= 16 else {
      throw InputError(
        "the pixels look as if white were 255", at: location, expected: "pixels in [0, 1]",
        found: "\(least) to \(most)", remedy: "divide them by 255, or send them as UINT8")
    }
    return pixels
  }

  /// The pixels of a JPEG or PNG file, also in base 64, as JSON has no other form for it.
  private func pixels(ofFile item: Data, name: String) throws(InputError) -> [Float] {
    let (channels, height, width) = (inputShape[0], inputShape[1], inputShape[2])
    guard channels == 1 || channels == 3 else {
      throw InputError(
        "the model's images are no pictures", at: name, expected: "FP32 or UINT8 of \(channels) channels")
    }
    let file = Data(base64Encoded: item) ?? item
    return try file.parse { (bytes) throws(InputError) in
      let size = try Picture.size(of: bytes, name: name)
      guard size == (width, height) else {
        throw InputError(
          "the picture has another size", at: name, expected: "\(width) x \(height)",
          found: "\(size.width) x \(size.height)", remedy: "resize it")
      }
      let planes = try Picture(decoding: bytes, name: name, channels: channels).planes(.uniform)
      return planes.map { Float($0) / 255 }
    }
  }

  private func otherInputs(_ names: [String]) -> InputError {
    InputError(
      "the model has one input", at: "inputs", expected: "'\(Self.inputName)'",
      found: names.map { "'\($0.prefix(64))'" }.joined(separator: ", "))
  }
}
