/// The name of an exposure as Leginon builds it, with the names of its parents:
/// `label_ttttgr_ttttsq[_vNN]_tttthl[_vNN]_tttten[-a]`.
///
/// `gr`, `sq`, `hl` and `en` mark atlas tile, square, patch and exposure; tttt is the target's number in its parent's
/// list; `_vNN` a re-acquired target list; `-a` the frame-aligned sum, which is what a CTF is fitted to. The name is
/// read token by token from its end, so labels of any length and names without versions work. A version after `sq`
/// belongs to the patch's name (same square, another patch), one after `hl` to the hole's own.
public struct HoleName: Hashable, Sendable {
  /// The whole name.
  public let hole: String
  /// Up to and including `hl`.
  public let patch: String
  /// Up to and including `sq`.
  public let square: String
  /// Up to and including `gr`, which in Leginon is a tile of the atlas of one physical grid.
  public let tile: String
  /// The session's label: what stands before the tile's number. Sessions name the physical grid in it.
  public let grid: String
  /// Whether it ends in `-a`.
  public let isAligned: Bool

  /// Nil for a name of another convention, and for images that are no exposures (tiles, squares, patches, focus).
  public init?(_ name: some StringProtocol) {
    let isAligned = name.hasSuffix("-a")
    var rest = Substring(isAligned ? name.dropLast(2) : name[...])
    /// Cuts `_<digits><suffix>` off the end and returns what stood before it.
    func cut(_ suffix: String) -> Bool {
      guard let bar = rest.lastIndex(of: "_") else { return false }
      let token = rest[rest.index(after: bar)...]
      guard token.hasSuffix(suffix), Self.isNumber(token.dropLast(suffix.count)) else { return false }
      rest = rest[..<bar]
      return true
    }
    /// Cuts `_v<digits>` off the end if it is there.
    func cutVersion() {
      guard let bar = rest.lastIndex(of: "_") else { return }
      let token = rest[rest.index(after: bar)...]
      if token.hasPrefix("v"), Self.isNumber(token.dropFirst()) { rest = rest[..<bar] }
    }
    guard cut("en") else { return nil }
    cutVersion()
    let patch = rest
    guard cut("hl") else { return nil }
    cutVersion()
    let square = rest
    guard cut("sq") else { return nil }
    let tile = rest
    guard cut("gr"), !rest.isEmpty else { return nil }
    hole = String(name)
    self.patch = String(patch)
    self.square = String(square)
    self.tile = String(tile)
    grid = String(rest)
    self.isAligned = isAligned
  }

  private static func isNumber(_ text: Substring) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
  }
}

/// What kind of image a Leginon name stands for.
public enum LeginonImage: Hashable, Sendable {
  case tile, square, patch, focus, exposure

  /// By the last token, with or without a version and `-a` behind it; nil for a name of another convention.
  public init?(name: some StringProtocol) {
    var tokens = name.split(separator: "_", omittingEmptySubsequences: false)
    if let last = tokens.last, last.hasPrefix("v"), last.count > 1, last.dropFirst().allSatisfy(\.isNumber) {
      tokens.removeLast()
    }
    guard tokens.count > 1, var token = tokens.last else { return nil }
    if token.hasSuffix("-a") { token = token.dropLast(2) }
    let digits = token.prefix { $0.isNumber }
    guard !digits.isEmpty else { return nil }
    switch token.dropFirst(digits.count) {
    case "gr": self = .tile
    case "sq": self = .square
    case "hl": self = .patch
    case "fa", "fc": self = .focus
    case "en": self = .exposure
    default: return nil
    }
  }
}
