import Foundation
import QuenchSupport

/// Made-up images that a small network learns in seconds: a grating whose direction tells the class, with a random
/// phase and noise. For tests and for trying things out where no data set is at hand.
public struct Synthetic: Hashable, Codable, Sendable {
  public var trainCount = 1024
  public var testCount = 256
  public var classes = 10
  public var channels = 3
  /// Height and width in pixels.
  public var side = 32
  public var seed: UInt64 = 0

  public init() {}

  /// The images of a split, classes in turn.
  /// - Throws: `InputError` if a count is not positive or the images would not fit into memory.
  public func make(_ split: DataSplit) throws(InputError) -> PixelBlock {
    let count = split == .train ? trainCount : testCount
    guard count > 0, (2...256).contains(classes), channels == 1 || channels == 3, (4...512).contains(side) else {
      throw InputError(
        "synthetic images cannot be made like this",
        expected: "1 or more images, 2 to 256 classes, 1 or 3 channels, 4 to 512 pixels a side",
        found: "\(count) images, \(classes) classes, \(channels) channels, \(side) pixels")
    }
    try checkMemory(for: [count, channels, side, side], at: "synthetic")
    var pixels = Data(capacity: count * channels * side * side)
    for image in 0..<count {
      var random = SplitMix64(seed, split == .train ? 0 : 1, UInt64(image))
      let plane = grating(of: image % classes, using: &random)
      for _ in 0..<channels { pixels.append(noisy(plane, using: &random)) }
    }
    let labels = (0..<count).map { Int64($0 % classes) }
    return PixelBlock(shape: [count, channels, side, side], pixels: pixels, labels: labels)
  }

  /// Values in -1...1, row after row: three waves across the image, in the class's direction.
  private func grating(of label: Int, using random: inout SplitMix64) -> [Double] {
    let angle = Double.pi * Double(label) / Double(classes)
    let frequency = 3 * 2 * Double.pi / Double(side)
    let phase = Double.random(in: 0..<Double.pi / 2, using: &random)
    let across = (0..<side).map { Double($0) * frequency * cos(angle) + phase }
    let down = (0..<side).map { Double($0) * frequency * sin(angle) }
    return down.flatMap { y in across.map { x in sin(x + y) } }
  }

  /// Grey values round 128 with up to 40 of noise either way.
  private func noisy(_ plane: [Double], using random: inout SplitMix64) -> Data {
    Data(plane.map { UInt8(128 + 80 * $0 + Double(random.next() >> 56) * (80 / 255) - 40) })
  }
}

/// - Throws: `InputError` if bytes of `shape` need more than the machine's memory.
func checkMemory(for shape: [Int], at location: String) throws(InputError) {
  let available = Int(clamping: ProcessInfo.processInfo.physicalMemory)
  guard let needed = product(shape), needed < available else {
    let size = shape.map(String.init).joined(separator: " x ")
    throw InputError(
      "the images do not fit into memory", at: location, expected: "less than \(available >> 20) MB",
      found: "\(size) bytes", remedy: "choose a smaller size or fewer images")
  }
}
