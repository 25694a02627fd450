/// Figures of some cases of an enumeration, in the order of its cases, under their raw values as keys.
public struct ByCase<Case, Element>: Codable, Sendable
where
  Case: CaseIterable & RawRepresentable<String> & Hashable & Sendable, Element: Codable & Sendable
{
  private struct Key: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  private var values: [Case: Element] = [:]

  public init() {}

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    for name in Case.allCases {
      values[name] = try container.decodeIfPresent(Element.self, forKey: Key(stringValue: name.rawValue))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    for name in Case.allCases {
      if let value = values[name] { try container.encode(value, forKey: Key(stringValue: name.rawValue)) }
    }
  }

  /// The figures of a case; nil where there are none.
  public subscript(name: Case) -> Element? {
    get { values[name] }
    set { values[name] = newValue }
  }

  public var isEmpty: Bool { values.isEmpty }
}
