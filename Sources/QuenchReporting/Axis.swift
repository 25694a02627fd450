import Foundation

/// What one direction of a chart shows.
public struct Axis: Hashable, Sendable {
  public enum Scale: Hashable, Sendable {
    case linear
    /// Values that are not above zero are not drawn.
    case logarithmic
  }

  public enum Style: Hashable, Sendable {
    case number
    /// Fractions, shown as percentages.
    case percent
  }

  public var title: String
  /// The unit of the values; `nil` for a count or a ratio that the title explains.
  public var unit: String?
  public var scale: Scale
  public var style: Style
  /// The values to show, and no others; `nil`, or a range that the scale cannot show, for those of the data.
  public var range: ClosedRange<Double>?

  public init(
    _ title: String, unit: String?, scale: Scale = .linear, style: Style = .number,
    range: ClosedRange<Double>? = nil
  ) {
    self.title = title
    self.unit = unit
    self.scale = scale
    self.style = style
    self.range = range
  }

  /// The title with the unit: `Time (s)`.
  var caption: String {
    switch (unit, style) {
    case (let unit?, _): "\(title) (\(unit))"
    case (nil, .percent): "\(title) (%)"
    case (nil, .number): title
    }
  }

  /// Whether a value has a place on the axis.
  func admits(_ value: Double) -> Bool { value.magnitude < 1e300 && (scale == .linear || value > 0) }

  /// A value as a label beside its mark, with four significant digits.
  func label(_ value: Double) -> String {
    style == .percent ? NumberText.percent(value) : NumberText.plain(value)
  }

  /// The scale that maps `values` to lengths from `start` to `end`, with about `count` ticks. If it `grows`, a
  /// linear scale without a range of its own reaches to the ticks that enclose the values.
  func mapped(
    _ values: [Double], from start: Double, to end: Double, ticks count: Int, grows: Bool = true
  ) -> AxisMap {
    AxisMap(self, values.filter(admits), from: start, to: end, ticks: max(2, count), grows: grows)
  }
}

/// An axis laid out: where values lie, and its ticks.
struct AxisMap {
  let axis: Axis
  private(set) var low: Double
  private(set) var high: Double
  private let start: Double
  private let end: Double
  private(set) var ticks: [(value: Double, label: String)] = []

  init(_ axis: Axis, _ values: [Double], from start: Double, to end: Double, ticks count: Int, grows: Bool) {
    self.axis = axis
    self.start = start
    self.end = end
    let isLogarithmic = axis.scale == .logarithmic
    let range = axis.range.flatMap { axis.admits($0.lowerBound) && axis.admits($0.upperBound) ? $0 : nil }
    low = range?.lowerBound ?? values.min() ?? (isLogarithmic ? 0.1 : 0)
    high = range?.upperBound ?? values.max() ?? 1
    if !(high - low > 1e-9 * max(low.magnitude, high.magnitude)) {
      let padding = low.magnitude * 0.1
      (low, high) = isLogarithmic ? (low / 2, low * 2) : low == 0 ? (0, 1) : (low - padding, low + padding)
    }
    if isLogarithmic { logarithmicTicks(count) }
    if ticks.count < 2 { linearTicks(count, grows: grows && range == nil && !isLogarithmic) }
  }

  /// Where `value` lies, in pixels.
  func position(_ value: Double) -> Double {
    let fraction =
      axis.scale == .logarithmic ? (log(value) - log(low)) / (log(high) - log(low)) : (value - low) / (high - low)
    return start + fraction * (end - start)
  }

  func contains(_ value: Double) -> Bool { axis.admits(value) && (low...high).contains(value) }

  /// Ticks at multiples of 1, 2, 2.5 or 5 times a power of ten.
  private mutating func linearTicks(_ count: Int, grows: Bool) {
    let factor = axis.style == .percent ? 100.0 : 1
    let rough = (high - low) / Double(count) * factor
    let power = pow(10, log10(rough).rounded(.down))
    let step = ([1, 2, 2.5, 5, 10].first { $0 * power >= rough * 0.999 } ?? 10) * power
    var (first, last) = (low * factor / step, high * factor / step)
    if grows {
      (first, last) = ((first + 1e-9).rounded(.down), (last - 1e-9).rounded(.up))
      (low, high) = (min(low, first * step / factor), max(high, last * step / factor))
    }
    let digits = step / pow(10, log10(step * 1.0001).rounded(.down))
    let decimals = max(0, -Int(log10(step * 1.0001).rounded(.down)) + (digits > 2.4 && digits < 2.6 ? 1 : 0))
    guard last - first < 100, decimals < 12 else { return }
    ticks = stride(from: (first - 1e-9).rounded(.up), through: last + 1e-9, by: 1).map { index in
      (index * step / factor, short(index * step, decimals: decimals))
    }
  }

  /// Ticks at powers of ten; over less than two of them, also at twice and five times each.
  private mutating func logarithmicTicks(_ count: Int) {
    let (first, last) = (Int(log10(low).rounded(.down)), Int(log10(high).rounded(.up)))
    let decades = log10(high) - log10(low)
    let stride = max(1, Int((decades / Double(count)).rounded(.up)))
    let multiples: [Double] = decades * 3 <= Double(count) ? [1, 2, 5] : [1]
    for exponent in first...last where exponent.isMultiple(of: stride) {
      for multiple in multiples {
        let value = multiple * pow(10, Double(exponent))
        guard value >= low * 0.9999, value <= high * 1.0001 else { continue }
        let shown = axis.style == .percent ? value * 100 : value
        let isFar = !(1e-4...1e6).contains(shown)
        ticks.append((value, isFar && multiple == 1 ? AxisMap.power(exponent) : short(shown, decimals: nil)))
      }
    }
  }

  /// `12000` as `12k`, `3000000` as `3M`, on an axis that reaches beyond 10,000.
  private func short(_ value: Double, decimals: Int?) -> String {
    for (unit, letter) in [(1e9, "G"), (1e6, "M"), (1e3, "k")]
    where value.magnitude >= unit && max(low.magnitude, high.magnitude) >= 1e4 {
      return NumberText.plain(value / unit, digits: 6) + letter
    }
    return decimals.map { NumberText.fixed(value, decimals: $0) } ?? NumberText.plain(value)
  }

  private static func power(_ exponent: Int) -> String {
    let digits = Array("⁰¹²³⁴⁵⁶⁷⁸⁹")
    let raised = "\(exponent.magnitude)".compactMap(\.wholeNumberValue).map { digits[$0] }
    return "10" + (exponent < 0 ? "⁻" : "") + String(raised)
  }
}
