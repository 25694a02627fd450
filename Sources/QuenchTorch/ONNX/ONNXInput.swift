import QuenchSupport

/// The images that an ONNX model takes.
struct ONNXInput {
  /// A shape to lower the model for.
  struct Shape {
    /// Shapes `[N, C, H, W]`, of which each differs from the other in every free dimension.
    var trials: [[Int]]
    /// What each dimension of `[N, C, H, W]` may be.
    var sizes: [ClosedRange<Int>]
    /// Whether the batch is free though the file fixes it at 1.
    var freesBatch: Bool
    var notes: [String]
  }

  let name: String
  let dtype: DType
  let isChannelsLast: Bool
  /// Of the model's own input, nil for free ones.
  private let dimensions: [Int?]

  /// Height and width where the file leaves them free, and others to find out what hangs on them: no common divisor of
  /// strides makes them equal.
  private static let (side, otherSide) = (224, 160)

  /// - Throws: `InputError` if the inputs are not one of images.
  init(_ inputs: [ONNXProto.ValueInfo], at location: String) throws(InputError) {
    guard let input = inputs.first, inputs.count == 1 else {
      throw InputError(
        "the network takes several inputs", at: location, expected: "one, images [N, C, H, W]",
        found: inputs.isEmpty ? "none" : inputs.map(\.name).joined(separator: ", "),
        remedy: "export a network that takes the images alone")
    }
    let place = "\(location), input '\(input.name.excerpt(80))'"
    guard let dtype = ONNXTensors.dtype(input.type), dtype.isFloatingPoint else {
      throw InputError(
        "the network takes no floating-point numbers", at: place, expected: "images [N, C, H, W] in float32",
        found: input.type == 0 ? "no tensor" : ONNXTensors.typeName(input.type),
        remedy: "export a network of images")
    }
    let sizes = input.sizes ?? [.free, .fixed(3), .free, .free]
    guard sizes.count == 4 else {
      throw InputError(
        "the network takes no images", at: place, expected: "[N, C, H, W]", found: "\(sizes.count) dimensions",
        remedy: "export a network of images")
    }
    var dimensions: [Int?] = []
    for size in sizes {
      if case .fixed(let value) = size {
        guard value <= 1 << 16 else { throw InputError("a size is impossible", at: place, found: "\(value)") }
        dimensions.append(value)
      } else {
        dimensions.append(nil)
      }
    }
    let isFew = { (size: Int?) in size.map { $0 == 1 || $0 == 3 || $0 == 4 } ?? false }
    isChannelsLast = isFew(dimensions[3]) && !isFew(dimensions[1])
    (name, self.dtype, self.dimensions) = (input.name, dtype, dimensions)
  }

  /// The shapes to try, freest first.
  var shapes: [Shape] {
    let own = isChannelsLast ? [dimensions[0], dimensions[3], dimensions[1], dimensions[2]] : dimensions
    let sidesAreFree = own[2] == nil || own[3] == nil
    var tries: [(batch: Bool, sides: Bool)] = [(true, true), (true, false), (false, false)]
    if !sidesAreFree { tries.remove(at: 0) }
    if let batch = own[0], batch > 1 { tries.removeAll { $0.batch } }
    return tries.map { shape(own, freesBatch: $0.batch, freesSides: $0.sides) }
  }

  private func shape(_ own: [Int?], freesBatch: Bool, freesSides: Bool) -> Shape {
    let batch = own[0] ?? 1
    let first = [batch, own[1] ?? 3, own[2] ?? Self.side, own[3] ?? Self.side]
    var second = first
    var sizes = first.map { $0...$0 }
    var notes: [String] = []
    if freesBatch {
      second[0] = 2
      sizes[0] = 1...(.max)
    } else {
      notes.append("the network takes \(batch == 1 ? "one image" : "\(batch) images") at a time")
    }
    for dimension in 2..<4 where own[dimension] == nil && freesSides {
      second[dimension] = Self.otherSide
      sizes[dimension] = 1...(.max)
    }
    if own[2] == nil || own[3] == nil {
      notes.append(
        "the file leaves the images' size \(freesSides ? "free" : "open, the network does not"): "
          + "\(first[2]) x \(first[3]) pixels are taken")
    }
    let trials = first == second ? [first] : [first, second]
    return Shape(trials: trials, sizes: sizes, freesBatch: freesBatch && own[0] == 1, notes: notes)
  }
}
