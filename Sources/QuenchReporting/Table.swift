/// Rows and columns; numbers stand below each other.
public struct Table: Hashable, Sendable {
  public struct Column: Hashable, Sendable {
    public enum Alignment: String, Hashable, Sendable { case text, number }

    public var title: String
    public var unit: String?
    public var alignment: Alignment

    public static func text(_ title: String) -> Column { Column(title: title, unit: nil, alignment: .text) }
    public static func number(_ title: String, unit: String? = nil) -> Column {
      Column(title: title, unit: unit, alignment: .number)
    }
  }

  public struct Cell: Hashable, Sendable, ExpressibleByStringLiteral, ExpressibleByStringInterpolation {
    public var text: String
    /// Whether the cell stands out, as the best of its column.
    public var isStrong: Bool

    public init(_ text: String, isStrong: Bool = false) {
      self.text = text
      self.isStrong = isStrong
    }

    public init(stringLiteral text: String) { self.init(text) }
  }

  public var caption: String
  public var columns: [Column]
  /// Rows as long as there are columns; missing cells stay empty.
  public var rows: [[Cell]]

  public init(_ caption: String, columns: [Column], rows: [[Cell]]) {
    self.caption = caption
    self.columns = columns
    self.rows = rows
  }

  var markup: Markup {
    let head = columns.map { column in
      Markup.element(
        "th", ["scope": "col", "class": column.alignment.rawValue], Markup(column.title),
        column.unit.map { .element("small", [:], Markup(" (\($0))")) } ?? "")
    }
    let body = rows.map { row in
      let cells = columns.enumerated().map { index, column in
        let cell = index < row.count ? row[index] : ""
        let content = cell.isStrong ? Markup.element("strong", [:], Markup(cell.text)) : Markup(cell.text)
        return index == 0
          ? Markup.element("th", ["scope": "row", "class": column.alignment.rawValue], content)
          : Markup.element("td", ["class": column.alignment.rawValue], content)
      }
      return Markup.element("tr", [:], cells.joined())
    }
    return .element(
      "div", ["class": "scroll", "tabindex": "0", "role": "region", "aria-label": caption],
      .element(
        "table", [:], .element("caption", [:], .element("span", [:], Markup(caption))),
        .element("thead", [:], .element("tr", [:], head.joined())), .element("tbody", [:], body.joined())))
  }
}
