import Foundation

/// Bars from zero, in groups that share a label, lying so that labels of any length fit.
public struct BarChart: Figure {
  public struct Bar: Hashable, Sendable {
    public var value: Double
    /// Where the true value lies with the confidence that the caption states.
    public var interval: ClosedRange<Double>?

    public init(_ value: Double, interval: ClosedRange<Double>? = nil) {
      self.value = value
      self.interval = interval
    }
  }

  public struct Series: Hashable, Sendable {
    public var name: String
    /// One bar a group; `nil` where there is none.
    public var bars: [Bar?]

    public init(_ name: String, _ bars: [Bar?]) {
      self.name = name
      self.bars = bars
    }
  }

  public var title: String
  public var caption: String
  /// What the bars' lengths mean. Bars are drawn on a linear scale.
  public var axis: Axis
  public var groups: [String]
  public var series: [Series]

  public init(_ title: String, axis: Axis, groups: [String], series: [Series], caption: String = "") {
    self.title = title
    self.axis = axis
    self.axis.scale = .linear
    self.groups = groups
    self.series = series
    self.caption = caption
  }

  private static let thickness = 15.0
  private static let pitch = 18.0

  public func picture(width: Double) -> Markup {
    let legend = Legend(series.count > 1 ? series.map(\.name) : [], width: width)
    let groupWidth = groups.map { SVG.width(of: $0) }.max() ?? 0
    let isBeside = groupWidth <= width * 0.28
    let bars = series.flatMap(\.bars).compactMap { $0 }.filter(\.value.isFinite)
    let labelWidth = 10 + (bars.map { SVG.width(of: axis.label($0.value)) }.max() ?? 0)
    let hasNegative = bars.contains { $0.value < 0 }
    let left = (isBeside ? groupWidth + 12 : 1) + (hasNegative ? labelWidth : 0)
    let right = max(left + 40, width - max(labelWidth, 22))
    let ends = bars.compactMap(\.interval).flatMap { [$0.lowerBound, $0.upperBound] }
    let map = axis.mapped(bars.map(\.value) + ends + [0], from: left, to: right, ticks: Int((right - left) / 64))

    let groupHeight = Double(max(1, series.count)) * BarChart.pitch + (isBeside ? 10 : 34)
    let top = legend.height + 4
    let bottom = top + Double(groups.count) * groupHeight
    var svg = SVG(width: width, height: bottom + 42)
    drawAxis(on: &svg, map, top: top, bottom: bottom)
    for (index, group) in groups.enumerated() {
      let y = top + Double(index) * groupHeight
      if isBeside {
        let middle = y + groupHeight / 2 + 4
        svg.text(group, x: left - 8 - (hasNegative ? labelWidth : 0), y: middle, anchor: .end)
      } else {
        svg.text(SVG.fit(group, into: width), x: 0, y: y + 20, class: "t halo")
      }
      draw(group: index, on: &svg, map, top: y + (isBeside ? 5 : 27))
    }
    legend.draw(on: &svg, x: 0) { svg, index, span, y in
      svg.rectangle(x: span.lowerBound, y: y - 6, width: 22, height: 12, class: "bar b\(index % 6)")
    }
    return svg.element(title: title, description: spoken, class: "chart")
  }

  private func drawAxis(on svg: inout SVG, _ map: AxisMap, top: Double, bottom: Double) {
    var occupied = -Double.infinity
    for (value, label) in map.ticks {
      let x = map.position(value)
      svg.line((x, top), (x, bottom), class: "grid")
      let half = SVG.width(of: label) / 2
      guard x - half > occupied else { continue }
      svg.text(label, x: max(x, half), y: bottom + 17, anchor: .middle, class: "t m")
      occupied = x + half + 8
    }
    svg.line((map.position(0), top), (map.position(0), bottom), class: "axis")
    let caption = SVG.fit(axis.caption, into: svg.width)
    let half = SVG.width(of: caption) / 2
    let middle = (map.position(map.low) + map.position(map.high)) / 2
    svg.text(caption, x: max(half, min(middle, svg.width - half)), y: bottom + 35, anchor: .middle)
  }

  private func draw(group: Int, on svg: inout SVG, _ map: AxisMap, top: Double) {
    let zero = map.position(0)
    for (index, series) in series.enumerated() {
      guard group < series.bars.count, let bar = series.bars[group], bar.value.isFinite else { continue }
      let y = top + Double(index) * BarChart.pitch
      let end = map.position(min(map.high, max(map.low, bar.value)))
      svg.rectangle(
        x: min(zero, end), y: y, width: abs(end - zero), height: BarChart.thickness, class: "bar b\(index % 6)")
      var (from, to) = (end, end)
      if let interval = bar.interval {
        (from, to) = (map.position(interval.lowerBound), map.position(interval.upperBound))
        let middle = y + BarChart.thickness / 2
        svg.errorBar((from, middle), (to, middle), class: "error over")
      }
      let isNegative = bar.value < 0
      svg.text(
        axis.label(bar.value), x: isNegative ? min(from, end) - 6 : max(to, end) + 6, y: y + 12,
        anchor: isNegative ? .end : .start, class: "t halo")
    }
  }

  /// The chart in words.
  private var spoken: String {
    let lines = groups.indices.map { group in
      let bars = series.map { series in
        let bar = group < series.bars.count ? series.bars[group] : nil
        return "\(series.name) \(bar.map { axis.label($0.value) } ?? "none")"
      }
      return "\(groups[group]): \(bars.joined(separator: ", "))"
    }
    return "\(axis.caption). \(lines.joined(separator: "; "))."
  }
}
