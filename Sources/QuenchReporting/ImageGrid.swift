import Foundation

/// Small images side by side, their pixels kept sharp.
public struct ImageGrid: Figure {
  public struct Item: Hashable, Sendable {
    /// A PNG file.
    public var png: Data
    /// What the image shows, in a few words; shown below it and read to those who do not see it.
    public var caption: String

    public init(png: Data, caption: String) {
      self.png = png
      self.caption = caption
    }
  }

  public var title: String
  public var caption: String
  public var items: [Item]
  /// The width that an image is shown at, in CSS pixels.
  public var side: Double

  public init(_ title: String, _ items: [Item], side: Double = 84, caption: String = "") {
    self.title = title
    self.items = items
    self.side = side
    self.caption = caption
  }

  public var adapts: Bool { true }

  public func picture(width: Double) -> Markup {
    let cells = items.map { item in
      let source = "data:image/png;base64," + item.png.base64EncodedString()
      return Markup.element(
        "li", [:], .void("img", ["src": source, "alt": item.caption]), .element("span", [:], Markup(item.caption)))
    }
    return .element("ul", ["class": "images", "style": "--side:\(side.svg)px"], cells.joined())
  }
}
