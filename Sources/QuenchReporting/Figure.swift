/// Something to look at in a report: a chart or a grid of images.
public protocol Figure: Sendable {
  var title: String { get }
  /// What to see in it, in a sentence or two; may be empty.
  var caption: String { get }
  /// The picture, about `width` CSS pixels wide if it cannot adapt itself.
  func picture(width: Double) -> Markup
  /// Whether one picture fits every width, so that no second one for small screens is needed.
  var adapts: Bool { get }
}

extension Figure {
  public var adapts: Bool { false }
}

/// The key to a chart's series: entries one after the other, in as many lines as they need.
struct Legend {
  private let rows: [[(series: Int, name: String, x: Double)]]
  private static let sample = 30.0

  init(_ names: [String], width: Double) {
    var rows: [[(Int, String, Double)]] = []
    var x = Double.infinity
    for (index, name) in names.enumerated() {
      let name = SVG.fit(name, into: width - Legend.sample)
      let entry = Legend.sample + SVG.width(of: name)
      if x + entry > width {
        rows.append([])
        x = 0
      }
      rows[rows.count - 1].append((index, name, x))
      x += entry + 16
    }
    self.rows = rows
  }

  var height: Double { rows.isEmpty ? 0 : Double(rows.count) * 18 + 6 }

  /// Draws the legend with its upper left corner at (`x`, 0); `sample` draws a series' sign between two x at a y.
  func draw(
    on svg: inout SVG, x left: Double, sample: (inout SVG, Int, ClosedRange<Double>, Double) -> Void
  ) {
    for (row, entries) in rows.enumerated() {
      let y = Double(row) * 18 + 8
      for (series, name, x) in entries {
        sample(&svg, series, left + x...left + x + 22, y)
        svg.text(name, x: left + x + Legend.sample - 2, y: y + 4)
      }
    }
  }
}
