import CStatistics
import Foundation

/// Evidence about a probability of success that may be looked at after every trial.
public enum ConfidenceSequence {
  /// ln W of the Krichevsky–Trofimov bet against the probability `p`, after `h` successes in `t` trials (Voráček 2024,
  /// algorithm 2): ln B(h+½, t-h+½) - ln B(½, ½) - h ln p - (t-h) ln(1-p).
  ///
  /// If p is the true probability, W ever reaches 1/α with probability at most α (Ville).
  public static func logWealth(successes h: Int, of t: Int, against p: Double) -> Double {
    logBeta(Double(h) + 0.5, Double(t - h) + 0.5) - log(Double.pi) - Double(h) * log(p)
      - Double(t - h) * log1p(-p)
  }

  /// The probabilities that the bet of ``logWealth(successes:of:against:)`` has not refuted at level α after these
  /// `t` trials: with probability at least 1 - α they hold the true one for all t at once.
  public static func interval(successes h: Int, of t: Int, failureProbability: Double) -> ClosedRange<Double> {
    let bound = -log(failureProbability)
    let mean = Double(h) / Double(t)
    func isRefuted(_ p: Double) -> Bool { logWealth(successes: h, of: t, against: p) >= bound }
    let low = h == 0 ? 0 : bisect(0, mean, isRefuted)
    let high = h == t ? 1 : bisect(mean, 1) { !isRefuted($0) }
    return low...high
  }

  /// ln E of the one-sided mixture over probabilities above `threshold`, under Jeffreys' prior truncated there.
  ///
  /// For every true probability at or below the threshold, E is a non-negative supermartingale that begins at 1: it
  /// ever reaches 1/α with probability at most α.
  public static func logEvidence(successes h: Int, of t: Int, above threshold: Threshold) -> Double {
    let (a, b) = (Double(h) + 0.5, Double(t - h) + 0.5)
    return logBeta(a, b) + log(cs_beta_cdf(b, a, threshold.failing)) - log(Double.pi)
      - log(cs_beta_cdf(0.5, 0.5, threshold.failing)) - Double(h) * log(threshold.probability)
      - Double(t - h) * log(threshold.failing)
  }

  /// The largest threshold that ``logEvidence(successes:of:above:)`` refutes at level α after these `t` trials.
  public static func lowerBound(successes h: Int, of t: Int, failureProbability: Double) -> Double {
    let bound = -log(failureProbability)
    return bisect(0, Double(h) / Double(t)) { p in
      p == 0 || logEvidence(successes: h, of: t, above: Threshold(p)) >= bound
    }
  }

  /// The Clopper–Pearson lower bound at look j = log₂t + 1 of a sequence that looks at t = 1, 2, 4, ... (Voráček 2024,
  /// algorithm 1), at level α / (j (j + 1)).
  /// - Parameters:
  ///   - h: Successes.
  ///   - t: Trials so far, a power of two.
  ///   - failureProbability: α, of all looks together.
  public static func unionLowerBound(successes h: Int, of t: Int, failureProbability: Double) -> Double {
    let look = Double(t.trailingZeroBitCount + 1)
    return Binomial.lowerBound(successes: h, of: t, failureProbability: failureProbability / (look * (look + 1)))
  }

  /// ln B(a, b).
  private static func logBeta(_ a: Double, _ b: Double) -> Double { lgamma(a) + lgamma(b) - lgamma(a + b) }
}

/// A probability p₀ and what is missing to 1, each in full precision.
public struct Threshold: Hashable, Sendable {
  public let probability: Double
  /// 1 - p₀.
  public let failing: Double

  public init(_ probability: Double) {
    self.probability = probability
    failing = 1 - probability
  }

  /// Φ(`radius` / `sigma`): a class more probable than that under noise is certified at the radius.
  public init(radius: Double, sigma: Double) {
    probability = Normal.cdf(radius / sigma)
    failing = Normal.cdf(-radius / sigma)
  }

  private init(probability: Double, failing: Double) {
    self.probability = probability
    self.failing = failing
  }

  /// The same threshold seen from the failures.
  var mirrored: Threshold { Threshold(probability: failing, failing: probability) }
}
