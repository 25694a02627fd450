import QuenchReporting
import QuenchSupport
import QuenchTorch

/// Training images that the ranges of 8-bit integers are measured on.
public struct Calibration: Hashable, Sendable {
  /// How many images are taken unless somebody says.
  public static let standardImages = 512
  /// How many may be asked for.
  public static let images = 1...100_000

  private var selection: DataSelection
  private let seed: Int

  /// - Parameters:
  ///   - selection: The data set.
  ///   - images: How many of its training images.
  ///   - seed: By which they are drawn.
  public init(_ selection: DataSelection, images: Int = standardImages, seed: Int = 1) {
    self.selection = selection
    self.selection.trainLimit = images
    self.seed = seed
  }

  /// - Throws: `InputError` for a number of images out of ``images``.
  public static func check(images count: Int) throws(InputError) {
    try requireSetting(images.contains(count), "calibration-images", "1 to \(images.upperBound)", count)
  }

  /// The images' pixels in [0, 1], `[N, C, H, W]`.
  /// - Parameters:
  ///   - network: That shall take them.
  ///   - wanted: What a network takes: pictures come to its size, and classes are known by its names.
  ///   - console: Told what was left out and how images were drawn.
  /// - Throws: `InputError` if the data set is missing or damaged, or the network does not take its images.
  public func pixels(
    for network: Network, _ wanted: WantedPictures? = nil, _ console: RunConsole
  ) throws(InputError) -> Tensor {
    let images = try selection.load(
      .train, for: wanted, on: network.device, seed: UInt64(bitPattern: Int64(seed)), console
    ).images
    let shape = Array(images.shape.dropFirst())
    guard network.architecture.accepts(imageShape: shape) else {
      throw InputError(
        "the network does not take these images", at: "calibration", expected: network.architecture.inputText,
        found: shape.map(String.init).joined(separator: " x "))
    }
    return images.to(.float32) * (1.0 / 255)
  }
}
