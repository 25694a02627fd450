import QuenchSupport
import QuenchTorch

/// `[channels, height, width]`, written `3x32x32`.
public struct ImageShape: Hashable, Sendable, TextSetting {
  public static let meaning = "the shape of an image"
  public static let expected = "channels x height x width, such as 3x32x32"

  public let sizes: [Int]

  public init?(_ text: String) {
    let parts = text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
    let sizes = parts.compactMap { $0 }
    guard parts.count == 3, sizes.count == 3, (1...1024).contains(sizes[0]),
      sizes.dropFirst().allSatisfy({ (1...4096).contains($0) })
    else { return nil }
    self.sizes = sizes
  }

  public var description: String { Self.text(sizes) }

  public static func text(_ sizes: [Int]) -> String { sizes.map(String.init).joined(separator: "x") }
}

extension ModelName {
  /// The network for the images that it was made for.
  public var usualArchitecture: Architecture {
    takesLargeImages
      ? architecture(input: [3, 224, 224], classes: 1000) : architecture(input: [3, 32, 32], classes: 10)
  }

  /// The network for images and a number of classes that a user gives; nil: as usual.
  /// - Throws: `InputError` if the images are too small for it.
  public func architecture(input: ImageShape?, classes: Int? = nil) throws(InputError) -> Architecture {
    try NamedNetwork(self, input: input?.sizes, classes: classes).architecture()
  }
}
