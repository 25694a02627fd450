import Foundation

/// A picture of a fixed size in CSS pixels; y grows downwards.
///
/// Colours are style classes, so that the page's style sheet sets them for light, dark and print.
struct SVG {
  enum Anchor: String { case start, middle, end }

  let width: Double
  let height: Double
  private(set) var content = Markup()

  /// The height of a line of text.
  static let lineHeight = 15.0

  init(width: Double, height: Double) {
    self.width = width
    self.height = height
  }

  mutating func line(_ from: (x: Double, y: Double), _ to: (x: Double, y: Double), class style: String) {
    content += .element(
      "line",
      ["x1": from.x.svg, "y1": from.y.svg, "x2": to.x.svg, "y2": to.y.svg, "class": style])
  }

  mutating func rectangle(x: Double, y: Double, width: Double, height: Double, class style: String) {
    content += .element(
      "rect", ["x": x.svg, "y": y.svg, "width": max(0, width).svg, "height": max(0, height).svg, "class": style])
  }

  mutating func polyline(_ points: [(x: Double, y: Double)], class style: String) {
    content += .element("polyline", ["points": SVG.list(points), "class": style])
  }

  mutating func polygon(_ points: [(x: Double, y: Double)], class style: String) {
    content += .element("polygon", ["points": SVG.list(points), "class": style])
  }

  mutating func text(
    _ text: String, x: Double, y: Double, anchor: Anchor = .start, class style: String = "t", turned: Bool = false
  ) {
    if turned {
      content += .element(
        "text",
        [
          "x": x.svg, "y": y.svg, "text-anchor": anchor.rawValue, "class": style,
          "transform": "rotate(-90 \(x.svg) \(y.svg))"
        ], Markup(text))
    } else {
      content += .element(
        "text", ["x": x.svg, "y": y.svg, "text-anchor": anchor.rawValue, "class": style], Markup(text))
    }
  }

  /// A vertical or horizontal error bar between two points, with caps.
  mutating func errorBar(_ from: (x: Double, y: Double), _ to: (x: Double, y: Double), class style: String) {
    let isVertical = from.x == to.x
    let (dx, dy) = isVertical ? (3.0, 0.0) : (0.0, 3.0)
    line(from, to, class: style)
    for end in [from, to] { line((end.x - dx, end.y - dy), (end.x + dx, end.y + dy), class: style) }
  }

  /// The shape that tells a series apart without colour.
  mutating func marker(_ kind: Int, x: Double, y: Double, class style: String) {
    let r = 3.6
    switch kind % 6 {
    case 0: content += .element("circle", ["cx": x.svg, "cy": y.svg, "r": "3.4", "class": style])
    case 1: rectangle(x: x - 3.1, y: y - 3.1, width: 6.2, height: 6.2, class: style)
    case 2: polygon([(x, y - r - 0.6), (x + r + 0.4, y + r - 0.4), (x - r - 0.4, y + r - 0.4)], class: style)
    case 3: polygon([(x, y - r - 0.8), (x + r + 0.8, y), (x, y + r + 0.8), (x - r - 0.8, y)], class: style)
    case 4: polygon([(x, y + r + 0.6), (x + r + 0.4, y - r + 0.4), (x - r - 0.4, y - r + 0.4)], class: style)
    default:
      line((x - r, y - r), (x + r, y + r), class: style + " x")
      line((x - r, y + r), (x + r, y - r), class: style + " x")
    }
  }

  /// The finished element, named for readers who do not see it.
  func element(title: String, description: String, class style: String) -> Markup {
    .element(
      "svg",
      [
        "viewBox": "0 0 \(width.svg) \(height.svg)", "width": width.svg, "height": height.svg, "role": "img",
        "class": style
      ],
      .element("title", [:], Markup(title)), .element("desc", [:], Markup(description)), content)
  }

  private static func list(_ points: [(x: Double, y: Double)]) -> String {
    points.map { "\($0.x.svg),\($0.y.svg)" }.joined(separator: " ")
  }

  /// About how wide `text` is drawn, rather too much than too little.
  static func width(of text: String) -> Double {
    text.unicodeScalars.reduce(0) { width, scalar in
      switch scalar {
      case "i", "l", "j", "I", "'", ".", ",", ":", ";", "|", "!": width + 3.6
      case "f", "t", "r", " ", "(", ")", "[", "]", "-", "/": width + 4.8
      case "m", "w", "M", "W", "@", "%", "—": width + 11
      case "A"..."Z": width + 8.4
      case "\u{1100}"...: width + 12.5
      default: width + 7
      }
    }
  }

  /// `text`, cut with an ellipsis if it is wider than `width`.
  static func fit(_ text: String, into width: Double) -> String {
    guard self.width(of: text) > width else { return text }
    var short = text
    while !short.isEmpty, self.width(of: short + "…") > width { short.removeLast() }
    return short + "…"
  }
}

extension Double {
  /// The number with at most two decimals, as SVG attributes want it.
  var svg: String {
    let rounded = (self * 100).rounded() / 100
    guard rounded.isFinite, rounded.magnitude < 1e9 else { return "0" }
    return rounded == rounded.rounded() ? "\(Int(rounded))" : "\(rounded)"
  }
}
