import Foundation
import QuenchSupport

/// How often holes are good, by the probability that was given for them: what a reliability plot shows.
public struct Reliability: Hashable, Sendable {
  /// The holes whose probability lies in one span.
  public struct Bin: Hashable, Sendable {
    public var range: ClosedRange<Double>
    /// The mean probability that was given.
    public var predicted: Double
    public var good: Int
    public var count: Int

    /// The share of good holes, with Wilson's 95 % interval.
    public var observed: Accuracy { Accuracy(correct: good, count: count) }
  }

  /// Spans with at least one hole, ascending.
  public let bins: [Bin]
  public let count: Int

  /// - Parameters:
  ///   - probabilities: One a hole, in [0, 1].
  ///   - survey: The holes; those that were not measured are left out.
  ///   - threshold: Å up to which a hole is good.
  ///   - count: Spans of equal width.
  public init(_ probabilities: [Double], of survey: Survey, threshold: Double, bins count: Int = 10) {
    precondition(probabilities.count == survey.count && count > 0, "one probability a hole")
    var sums = [(predicted: Double, good: Int, count: Int)](repeating: (0, 0, 0), count: count)
    for (probability, hole) in zip(probabilities, survey.holes) where hole.fit.isMeasured {
      let bin = min(max(Int(probability * Double(count)), 0), count - 1)
      sums[bin].predicted += probability
      sums[bin].good += hole.fit.isGood(threshold: threshold) ? 1 : 0
      sums[bin].count += 1
    }
    let width = 1 / Double(count)
    bins = sums.enumerated().filter { $1.count > 0 }.map { index, sum in
      Bin(
        range: Double(index) * width...Double(index + 1) * width, predicted: sum.predicted / Double(sum.count),
        good: sum.good, count: sum.count)
    }
    self.count = sums.reduce(0) { $0 + $1.count }
  }

  /// The mean distance between given and observed, weighted by holes (expected calibration error; Naeini et al. 2015).
  public var expectedError: Double {
    bins.reduce(0) { $0 + abs($1.predicted - $1.observed.fraction) * Double($1.count) } / Double(max(count, 1))
  }
}
