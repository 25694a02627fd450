import Foundation

/// Curves over a common axis, each with its own colour, dashes and marker.
public struct LineChart: Figure {
  public struct Point: Hashable, Sendable {
    public var x: Double
    /// NaN breaks the line.
    public var y: Double
    /// Where the true value lies with the confidence that the caption states.
    public var interval: ClosedRange<Double>?

    public init(_ x: Double, _ y: Double, interval: ClosedRange<Double>? = nil) {
      self.x = x
      self.y = y
      self.interval = interval
    }
  }

  public struct Series: Hashable, Sendable {
    public var name: String
    public var points: [Point]

    public init(_ name: String, _ points: [Point]) {
      self.name = name
      self.points = points
    }
  }

  /// A level to compare with, such as the accuracy of the dense network.
  public struct Reference: Hashable, Sendable {
    public var value: Double
    public var label: String

    public init(_ value: Double, _ label: String) {
      self.value = value
      self.label = label
    }
  }

  public var title: String
  public var caption: String
  public var x: Axis
  public var y: Axis
  public var series: [Series]
  public var references: [Reference]

  public init(
    _ title: String, x: Axis, y: Axis, series: [Series], references: [Reference] = [], caption: String = ""
  ) {
    self.title = title
    self.x = x
    self.y = y
    self.series = series
    self.references = references
    self.caption = caption
  }

  public func picture(width: Double) -> Markup {
    let layout = Layout(self, width: width)
    var svg = SVG(width: width, height: layout.height)
    drawAxes(on: &svg, layout)
    for (index, series) in series.enumerated() { draw(series, index, on: &svg, layout) }
    drawNames(on: &svg, layout)
    return svg.element(title: title, description: spoken, class: "chart")
  }

  /// The chart in words: each series with its first and last value.
  private var spoken: String {
    let lines = series.map { series in
      let points = series.points.filter { x.admits($0.x) && y.admits($0.y) }
      guard let first = points.first, let last = points.last else { return "\(series.name): no data" }
      return "\(series.name): \(y.label(first.y)) at \(x.label(first.x)), \(y.label(last.y)) at \(x.label(last.x))"
    }
    return "\(y.caption) over \(x.caption). \(lines.joined(separator: "; "))."
  }

  private func drawAxes(on svg: inout SVG, _ layout: Layout) {
    for (value, label) in layout.y.ticks {
      let y = layout.y.position(value)
      svg.line((layout.left, y), (layout.right, y), class: "grid")
      svg.text(label, x: layout.left - 7, y: y + 4, anchor: .end, class: "t m")
    }
    var occupied = -Double.infinity
    for (value, label) in layout.x.ticks {
      let x = layout.x.position(value)
      svg.line((x, layout.bottom), (x, layout.bottom + 4), class: "axis")
      let half = SVG.width(of: label) / 2
      guard x - half > occupied, x + half <= svg.width else { continue }
      svg.text(label, x: x, y: layout.bottom + 17, anchor: .middle, class: "t m")
      occupied = x + half + 8
    }
    svg.line((layout.left, layout.bottom), (layout.right, layout.bottom), class: "axis")
    let caption = SVG.fit(x.caption, into: svg.width)
    let half = SVG.width(of: caption) / 2
    let middle = max(half, min((layout.left + layout.right) / 2, svg.width - half))
    svg.text(caption, x: middle, y: layout.bottom + 35, anchor: .middle)
    svg.text(SVG.fit(y.caption, into: svg.width), x: 0, y: layout.legend.height + 11)
    for reference in references where layout.y.contains(reference.value) {
      let y = layout.y.position(reference.value)
      svg.line((layout.left, y), (layout.right, y), class: "reference")
      let label = SVG.fit(reference.label, into: layout.right - layout.left - 4)
      svg.text(label, x: layout.left + 4, y: y - 4 < layout.top + 8 ? y + 13 : y - 5, class: "t m halo")
    }
  }

  private func draw(_ series: Series, _ index: Int, on svg: inout SVG, _ layout: Layout) {
    let style = "c\(index % 6)"
    let hasMarkers = series.points.count <= 24
    for run in runs(of: series, layout) {
      let intervals = run.compactMap { point in point.interval.map { (point.x, $0) } }
      if !hasMarkers, intervals.count > 1 {
        let upper = intervals.map { (x: layout.x.position($0.0), y: layout.clampedY($0.1.upperBound)) }
        let lower = intervals.map { (x: layout.x.position($0.0), y: layout.clampedY($0.1.lowerBound)) }
        svg.polygon(LineChart.thinned(upper) + LineChart.thinned(lower).reversed(), class: "band \(style)")
      }
      let points = run.map { (x: layout.x.position($0.x), y: layout.y.position($0.y)) }
      svg.polyline(LineChart.thinned(points), class: "curve \(style) d\(index % 6)")
      guard hasMarkers || points.count == 1 else { continue }
      for (x, interval) in intervals {
        let x = layout.x.position(x)
        svg.errorBar(
          (x, layout.clampedY(interval.upperBound)), (x, layout.clampedY(interval.lowerBound)),
          class: "error \(style)")
      }
      for point in points { svg.marker(index, x: point.x, y: point.y, class: "mark \(style)") }
    }
    if !hasMarkers, let last = runs(of: series, layout).last?.last {
      svg.marker(index, x: layout.x.position(last.x), y: layout.y.position(last.y), class: "mark \(style)")
    }
  }

  private func drawNames(on svg: inout SVG, _ layout: Layout) {
    if let ends = layout.directLabels {
      for (index, y) in ends.enumerated() {
        svg.text(series[index].name, x: layout.right + 9, y: y + 4, class: "t n\(index % 6)")
      }
    } else {
      layout.legend.draw(on: &svg, x: 0) { svg, index, span, y in
        svg.polyline([(span.lowerBound, y), (span.upperBound, y)], class: "curve c\(index % 6) d\(index % 6)")
        svg.marker(index, x: (span.lowerBound + span.upperBound) / 2, y: y, class: "mark c\(index % 6)")
      }
    }
  }

  /// The stretches of points that can be drawn, in order.
  private func runs(of series: Series, _ layout: Layout) -> [ArraySlice<Point>] {
    series.points.split { !layout.x.contains($0.x) || !layout.y.contains($0.y) }
  }

  /// The same curve with at most four points a pixel column: the first, the lowest, the highest and the last.
  static func thinned(_ points: [(x: Double, y: Double)]) -> [(x: Double, y: Double)] {
    guard points.count > 400 else { return points }
    var thin: [(x: Double, y: Double)] = []
    var start = 0
    while start < points.count {
      let column = points[start].x.rounded()
      let end = points[start...].firstIndex { $0.x.rounded() != column } ?? points.count
      let indices = start..<end
      let lowest = indices.min { points[$0].y < points[$1].y } ?? start
      let highest = indices.max { points[$0].y < points[$1].y } ?? start
      thin += Set([start, lowest, highest, end - 1]).sorted().map { points[$0] }
      start = end
    }
    return thin
  }
}

/// Where a line chart's parts lie.
private struct Layout {
  let height: Double
  let left: Double
  let right: Double
  let top: Double
  let bottom: Double
  let x: AxisMap
  let y: AxisMap
  let legend: Legend
  /// For each series the y of its name at the right edge; `nil` if the names would collide and a legend is drawn.
  let directLabels: [Double]?

  init(_ chart: LineChart, width: Double) {
    let plotHeight = width < 440 ? 200.0 : width * 0.3 + 74
    let points = chart.series.flatMap(\.points).filter { chart.x.admits($0.x) && chart.y.admits($0.y) }
    let intervals = points.compactMap(\.interval).flatMap { [$0.lowerBound, $0.upperBound] }
    let yValues = points.map(\.y) + intervals + chart.references.map(\.value)

    func lay(_ legend: Legend, right: Double) -> (top: Double, left: Double, x: AxisMap, y: AxisMap) {
      let top = legend.height + 24
      let y = chart.y.mapped(yValues, from: top + plotHeight, to: top, ticks: Int(plotHeight / 40))
      let left = 10 + (y.ticks.map { SVG.width(of: $0.label) }.max() ?? 0)
      let x = chart.x.mapped(points.map(\.x), from: left, to: right, ticks: Int((right - left) / 64), grows: false)
      return (top, left, x, y)
    }

    let names = chart.series.map(\.name)
    let nameWidth = names.map { SVG.width(of: $0) }.max() ?? 0
    let noLegend = Legend([], width: width)
    let direct = lay(noLegend, right: width - nameWidth - 12)
    let ends = Layout.ends(chart, direct.x, direct.y)
    if width >= 440, nameWidth <= width / 4, names.count > 1, let ends {
      (directLabels, legend, right) = (ends, noLegend, width - nameWidth - 12)
      (top, left, x, y) = direct
    } else {
      (directLabels, legend, right) = (nil, Legend(names.count > 1 ? names : [], width: width), width - 14)
      (top, left, x, y) = lay(legend, right: right)
    }
    bottom = top + plotHeight
    height = bottom + 42
  }

  func clampedY(_ value: Double) -> Double {
    y.axis.admits(value) ? min(bottom, max(top, y.position(value))) : bottom
  }

  /// Where the series end, if all end at the right edge and far enough apart for a name each.
  private static func ends(_ chart: LineChart, _ x: AxisMap, _ y: AxisMap) -> [Double]? {
    var ends: [Double] = []
    for series in chart.series {
      guard let last = series.points.max(by: { $0.x < $1.x }), x.contains(last.x), y.contains(last.y),
        x.position(x.high) - x.position(last.x) < 24
      else { return nil }
      ends.append(y.position(last.y))
    }
    let sorted = ends.sorted()
    return zip(sorted, sorted.dropFirst()).allSatisfy { $1 - $0 >= SVG.lineHeight } ? ends : nil
  }
}
