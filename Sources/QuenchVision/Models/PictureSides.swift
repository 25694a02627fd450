import QuenchSupport

/// Height and width: `224` or `240x320`.
public struct PictureSides: Hashable, Sendable, TextSetting {
  public static let meaning = "the size of pictures"
  public static let expected = "pixels (224), or height x width such as 240x320, up to 4096"

  public var height: Int
  public var width: Int

  public init(height: Int, width: Int) { (self.height, self.width) = (height, width) }

  public init?(_ text: String) {
    let sides = text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
    guard let height = sides.first ?? nil, let width = sides.last ?? nil, sides.count <= 2,
      [height, width].allSatisfy({ (1...4096).contains($0) })
    else { return nil }
    (self.height, self.width) = (height, width)
  }

  public var description: String { height == width ? "\(height)" : "\(height)x\(width)" }

  /// The shorter one.
  public var shorter: Int { min(height, width) }
}
