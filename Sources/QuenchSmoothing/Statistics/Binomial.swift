import CStatistics
import Foundation

/// Bounds and tests for the probability of success behind a number of successes in independent trials.
public enum Binomial {
  /// The one-sided Clopper–Pearson lower bound: with probability at least 1 - α it is at most the true probability.
  ///
  /// The α-quantile of Beta(k, n - k + 1); 0 for no success.
  /// - Parameters:
  ///   - successes: k, in 0...n.
  ///   - trials: n, at least 1.
  ///   - failureProbability: α in (0, 1).
  public static func lowerBound(successes: Int, of trials: Int, failureProbability: Double) -> Double {
    if successes == 0 { return 0 }
    if successes == trials { return pow(failureProbability, 1 / Double(trials)) }
    return cs_beta_quantile(Double(successes), Double(trials - successes + 1), failureProbability)
  }

  /// The one-sided Clopper–Pearson upper bound; parameters as for the lower one.
  public static func upperBound(successes: Int, of trials: Int, failureProbability: Double) -> Double {
    if successes == trials { return 1 }
    if successes == 0 { return -expm1(log(failureProbability) / Double(trials)) }
    return cs_beta_upper_quantile(Double(successes + 1), Double(trials - successes), failureProbability)
  }

  /// The randomized Clopper–Pearson lower bound, whose coverage is exactly 1 - α (Voráček 2024): the p that solves
  /// P[Bin(n, p) > k] + w · P[Bin(n, p) = k] = α.
  /// - Parameters:
  ///   - k: Successes.
  ///   - n: Trials.
  ///   - failureProbability: α.
  ///   - w: Uniform in [0, 1), drawn once and independently of the trials; 1 gives the plain bound.
  public static func randomizedLowerBound(
    successes k: Int, of n: Int, failureProbability: Double, w: Double
  ) -> Double {
    if k == 0 && w >= failureProbability { return 0 }
    if k == n && w <= failureProbability { return 1 }
    // A mixture of two tails, each growing with p.
    func excess(_ p: Double) -> Double {
      (1 - w) * upperTail(k + 1, of: n, probability: p) + w * upperTail(k, of: n, probability: p)
        - failureProbability
    }
    return bisect(0, 1) { excess($0) < 0 }
  }

  /// P[Bin(n, p) ≥ k].
  public static func upperTail(_ k: Int, of n: Int, probability p: Double) -> Double {
    upperTail(k, of: n, failing: 1 - p)
  }

  /// P[Bin(n, p) ≥ k], given 1 - p, which keeps its precision where p is close to 1.
  public static func upperTail(_ k: Int, of n: Int, failing q: Double) -> Double {
    if k <= 0 { return 1 }
    if k > n { return 0 }
    return cs_beta_upper_tail(Double(n - k + 1), Double(k), q)
  }

  /// The least k with P[Bin(n, p) ≥ k] ≤ α: so many successes reject a probability of at most p. Nil where n
  /// successes of n do not.
  public static func criticalCount(of n: Int, failing q: Double, failureProbability: Double) -> Int? {
    guard upperTail(n, of: n, failing: q) <= failureProbability else { return nil }
    var (low, high) = (0, n)
    while low < high {
      let middle = (low + high) / 2
      if upperTail(middle, of: n, failing: q) <= failureProbability { high = middle } else { low = middle + 1 }
    }
    return low
  }

  /// The p-value of the two-sided test that the first of two counts is as probable as the other:
  /// min(1, 2 · P[Bin(a + b, ½) ≥ max(a, b)]).
  public static func twoSidedTest(_ a: Int, _ b: Int) -> Double {
    min(1, 2 * upperTail(max(a, b), of: a + b, failing: 0.5))
  }
}

/// The point of `low`...`high` up to which `isBelow` holds, to the last bit that a double can tell.
func bisect(_ low: Double, _ high: Double, _ isBelow: (Double) -> Bool) -> Double {
  var (low, high) = (low, high)
  for _ in 0..<200 {
    let middle = (low + high) / 2
    guard middle > low, middle < high else { break }
    if isBelow(middle) { low = middle } else { high = middle }
  }
  return low
}
