import Foundation
import QuenchReporting

/// A map of squares, patches and holes, coloured by resolution, with a path of exposures.
///
/// Squares lie side by side, tile by tile, and patches within their square; holes lie within their patch where the survey
/// says. Colours run from dark blue (good) to yellow (bad), which people with any colour vision tell apart.
public struct SurveyMap: Figure {
  public var title: String
  public var caption: String
  /// One a hole: its square's position in the list, its place within, in patches, and its resolution in Å.
  public struct Dot: Hashable, Sendable, Codable {
    public var square: Int
    public var x: Double
    public var y: Double
    public var resolution: Double?
    /// Its number among the exposures of the path; nil if it is not on it.
    public var order: Int?
  }

  public struct Square: Hashable, Sendable, Codable {
    public var name: String
    /// Patches side by side.
    public var columns: Int
    public var rows: Int
  }

  public var squares: [Square]
  public var dots: [Dot]

  /// - Parameters:
  ///   - title: Above the map.
  ///   - survey: The holes.
  ///   - resolutions: What the colours show, by hole; nil is drawn as an empty circle.
  ///   - path: Exposed holes in order.
  ///   - caption: Below the map.
  public init(_ title: String, _ survey: Survey, resolutions: [Double?], path: [Int], caption: String = "") {
    self.title = title
    self.caption = caption
    squares = []
    dots = []
    let order = Dictionary(zip(path, 1...), uniquingKeysWith: { first, _ in first })
    for (index, square) in survey.squares.enumerated() {
      let columns = max(1, Int(Double(square.parts.count).squareRoot().rounded(.up)))
      let rows = (square.parts.count + columns - 1) / columns
      squares.append(
        Square(name: "\(survey.tiles[square.parent].name) \(square.name)", columns: columns, rows: rows))
      for (place, patch) in square.parts.enumerated() {
        for (hole, position) in Self.places(survey, survey.patches[patch].holes) {
          dots.append(
            Dot(
              square: index, x: Double(place % columns) + position.x, y: Double(place / columns) + position.y,
              resolution: resolutions[hole], order: order[hole]))
        }
      }
    }
  }

  public init(_ title: String, squares: [Square], dots: [Dot], caption: String = "") {
    (self.title, self.caption, self.squares, self.dots) = (title, caption, squares, dots)
  }

  /// Places of a patch's holes in the unit square, with a margin: as they lie in the image, or in rows.
  private static func places(_ survey: Survey, _ holes: Range<Int>) -> [(hole: Int, position: SIMD2<Double>)] {
    let known = holes.compactMap { survey.holes[$0].stage ?? survey.holes[$0].offset }
    let lower = known.reduce(SIMD2(repeating: .infinity)) { SIMD2(min($0.x, $1.x), min($0.y, $1.y)) }
    let upper = known.reduce(SIMD2(repeating: -.infinity)) { SIMD2(max($0.x, $1.x), max($0.y, $1.y)) }
    let extent = max(upper.x - lower.x, upper.y - lower.y)
    let side = max(1, Int(Double(holes.count).squareRoot().rounded(.up)))
    return holes.enumerated().map { index, hole in
      var unit = SIMD2(Double(index % side) + 0.5, Double(index / side) + 0.5) / Double(side)
      if known.count == holes.count, extent > 0, let place = survey.holes[hole].stage ?? survey.holes[hole].offset {
        unit = (place - lower) / extent
      }
      return (hole, SIMD2(repeating: 0.12) + 0.76 * unit)
    }
  }

  private static let edges = [4.0, 5, 6, 8, 10]
  private static let colours = ["#00306f", "#2f5597", "#5f7f95", "#958f78", "#c8ae5e", "#f5d94e"]
  private static let labels = ["to 4 Å", "to 5 Å", "to 6 Å", "to 8 Å", "to 10 Å", "over 10 Å"]

  private static func colour(_ resolution: Double) -> Int { edges.firstIndex { resolution <= $0 } ?? edges.count }

  public func picture(width: Double) -> Markup {
    let (cell, gap) = (width < 480 ? 26.0 : 30.0, 10.0)
    var places: [(x: Double, y: Double)] = []
    var (x, y, rowHeight) = (0.0, 30.0, 0.0)
    for square in squares {
      let size = (width: Double(square.columns) * cell, height: Double(square.rows) * cell)
      if x > 0, x + size.width > width { (x, y, rowHeight) = (0, y + rowHeight + gap, 0) }
      places.append((x, y))
      x += size.width + gap
      rowHeight = max(rowHeight, size.height)
    }
    let height = y + rowHeight + 4
    var content = Markup()
    for (index, label) in Self.labels.enumerated() {
      let step = width / Double(Self.labels.count)
      content += Self.circle(Double(index) * step + 6, 9, 5, fill: Self.colours[index])
      content += .element(
        "text", ["x": Self.number(Double(index) * step + 15), "y": "13", "class": "t"], Markup(label))
    }
    for (square, place) in zip(squares, places) {
      content += .element(
        "rect",
        [
          "x": Self.number(place.x), "y": Self.number(place.y), "width": Self.number(Double(square.columns) * cell),
          "height": Self.number(Double(square.rows) * cell), "fill": "none", "class": "axis"
        ], .element("title", [:], Markup(square.name)))
    }
    let path = dots.filter { $0.order != nil }.sorted { ($0.order ?? 0) < ($1.order ?? 0) }
    let points = path.map { dot in
      "\(Self.number(places[dot.square].x + dot.x * cell)),\(Self.number(places[dot.square].y + dot.y * cell))"
    }
    content += .element("polyline", ["points": points.joined(separator: " "), "class": "curve c1"])
    for dot in dots {
      let (x, y) = (places[dot.square].x + dot.x * cell, places[dot.square].y + dot.y * cell)
      content += Self.circle(
        x, y, dot.order == nil ? 1.7 : 2.4, fill: dot.resolution.map { Self.colours[Self.colour($0)] } ?? "none")
    }
    return .element(
      "svg",
      [
        "viewBox": "0 0 \(Self.number(width)) \(Self.number(height))", "width": Self.number(width),
        "height": Self.number(height), "role": "img", "class": "chart"
      ],
      .element("title", [:], Markup(title)),
      .element(
        "desc", [:],
        Markup("\(squares.count) squares with \(dots.count) holes, of which \(path.count) lie on the path.")),
      content)
  }

  private static func circle(_ x: Double, _ y: Double, _ radius: Double, fill: String) -> Markup {
    .element(
      "circle",
      [
        "cx": number(x), "cy": number(y), "r": number(radius), "fill": fill, "stroke": "#7f7f7f",
        "stroke-width": "0.5"
      ])
  }

  private static func number(_ value: Double) -> String { String(format: "%.1f", value) }
}
