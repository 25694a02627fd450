/// Well-formed HTML or SVG text: elements nest by construction, and all text and attribute values are escaped.
public struct Markup: Hashable, Sendable {
  /// The markup as it stands in the file.
  public private(set) var source = ""

  public init() {}

  /// Plain text, escaped. Characters that XML forbids are left out.
  public init(_ text: String) { source = Markup.escape(text) }

  /// Text as it is: for style sheets and the like that this module itself writes.
  init(trusted source: String) { self.source = source }

  /// One element with its attributes and content.
  public static func element(
    _ name: StaticString, _ attributes: KeyValuePairs<StaticString, String> = [:], _ content: Markup...
  ) -> Markup {
    var source = "<\(name)"
    for (key, value) in attributes { source += " \(key)=\"\(escape(value))\"" }
    return Markup(trusted: source + ">" + content.map(\.source).joined() + "</\(name)>")
  }

  /// An element without content or end, such as `img`.
  static func void(_ name: StaticString, _ attributes: KeyValuePairs<StaticString, String>) -> Markup {
    var source = "<\(name)"
    for (key, value) in attributes { source += " \(key)=\"\(escape(value))\"" }
    return Markup(trusted: source + ">")
  }

  public static func + (left: Markup, right: Markup) -> Markup { Markup(trusted: left.source + right.source) }
  public static func += (left: inout Markup, right: Markup) { left.source += right.source }

  private static func escape(_ text: String) -> String {
    var escaped = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      case "\t", "\n", "\r", " "...: escaped.unicodeScalars.append(scalar)
      default: break
      }
    }
    return escaped
  }
}

extension Sequence<Markup> {
  /// All of them, one after the other.
  func joined() -> Markup { Markup(trusted: map(\.source).joined()) }
}

extension Markup: ExpressibleByStringLiteral {
  public init(stringLiteral value: String) { self.init(value) }
}
