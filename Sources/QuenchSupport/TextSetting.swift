/// A setting that is written as a text of its own, such as `2:4` or `3x32x32`.
public protocol TextSetting: Codable, LosslessStringConvertible {
  /// What a text that is none of these is told not to be, such as `the shape of an image`.
  static var meaning: String { get }
  /// What is expected in its place.
  static var expected: String { get }
}

extension TextSetting {
  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let setting = Self(text) else {
      throw InputError("not \(Self.meaning)", expected: Self.expected, found: "'\(text)'")
    }
    self = setting
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
