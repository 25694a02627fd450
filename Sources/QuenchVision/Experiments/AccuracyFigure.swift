import QuenchReporting
import QuenchSupport

/// An accuracy in an outcome: `accuracy`, `accuracy_low` and `accuracy_high`.
public struct AccuracyFigure: PrefixedGroup, Hashable, Sendable {
  /// In [0, 1].
  public var value: Double
  /// The ends of Wilson's 95 % interval.
  public var low: Double
  public var high: Double

  public init(_ accuracy: Accuracy) {
    (value, low, high) = (accuracy.fraction, accuracy.interval.lowerBound, accuracy.interval.upperBound)
  }

  /// `90.77 to 91.88 %`
  public var interval: String { Wording.interval(low, high) }

  /// A bar of a chart, with the interval across its end.
  public var bar: BarChart.Bar { .init(value, interval: min(low, high)...max(low, high)) }

  /// A key figure of a page.
  /// - Parameters:
  ///   - title: What the accuracy is of.
  ///   - count: How many images it is of.
  public func keyFigure(_ title: String, of count: Int?) -> Report.KeyFigure {
    let n = count.map { ", n\u{a0}=\u{a0}\(Wording.count(Double($0)))" } ?? ""
    return .init(title, Wording.accuracy(value), detail: "95 %: \(interval)\(n)")
  }
}
