import Foundation

/// The exact test of p ≤ p₀ that looks at the successes at a few fixed times and spends its error over them.
///
/// Up to look j it may have used α (t_j / N)^ρ; what an earlier look could not use is carried forward.
public struct GroupSequentialTest: Hashable, Sendable {
  /// After how many trials it looks, rising; the last is N.
  public let looks: [Int]
  /// The least number of successes that rejects p ≤ p₀ at each look; nil: none does.
  public let boundaries: [Int?]
  /// The probability that it ever rejects where p = p₀: at most α.
  public let size: Double

  /// - Parameters:
  ///   - looks: After how many trials it looks, rising.
  ///   - threshold: p₀.
  ///   - failureProbability: α in (0, 1).
  ///   - exponent: ρ above 0: how late the error is spent.
  public init(looks: [Int], threshold: Threshold, failureProbability: Double, exponent: Double = 0.5) {
    var walk = Walk()
    var boundaries: [Int?] = []
    var spent = 0.0
    for look in looks {
      let allowed = failureProbability * pow(Double(look) / Double(looks.last ?? 1), exponent)
      walk.advance(to: look, threshold)
      let boundary = walk.boundary(spending: allowed - spent)
      if let boundary { spent += walk.stop(from: boundary) }
      boundaries.append(boundary)
    }
    self.looks = looks
    self.boundaries = boundaries
    size = spent
  }

  /// The probability that it rejects where each trial succeeds with `probability`.
  public func power(at probability: Double) -> Double {
    var walk = Walk()
    var rejected = 0.0
    for (look, boundary) in zip(looks, boundaries) {
      walk.advance(to: look, Threshold(probability))
      if let boundary { rejected += walk.stop(from: boundary) }
    }
    return rejected
  }

  /// The distribution of the number of successes among paths that were not stopped.
  private struct Walk {
    /// Terms below this are left out: together they are far below every digit that counts.
    private static let negligible = 1e-40

    private var trials = 0
    private var probabilities = [1.0]

    mutating func advance(to look: Int, _ p: Threshold) {
      let step = look - trials
      let (logP, logQ) = (log(p.probability), log(p.failing))
      let logFactorial: Double = lgamma(Double(step) + 1)
      var increments: [(successes: Int, probability: Double)] = []
      for h in 0...step {
        var term = logFactorial - lgamma(Double(h) + 1) - lgamma(Double(step - h) + 1)
        if h > 0 { term += Double(h) * logP }
        if h < step { term += Double(step - h) * logQ }
        if exp(term) > Self.negligible { increments.append((h, exp(term))) }
      }
      var next = [Double](repeating: 0, count: look + 1)
      for (successes, probability) in probabilities.enumerated() where probability > Self.negligible {
        for (h, term) in increments { next[successes + h] += probability * term }
      }
      trials = look
      probabilities = next
    }

    /// The least number of successes whose paths and those above are together no more probable than `allowed`.
    func boundary(spending allowed: Double) -> Int? {
      var tail = 0.0
      var boundary: Int?
      for successes in probabilities.indices.reversed() {
        tail += probabilities[successes]
        if tail > allowed { break }
        boundary = successes
      }
      return boundary
    }

    /// Stops the paths with at least `boundary` successes.
    /// - Returns: How probable they were.
    mutating func stop(from boundary: Int) -> Double {
      guard boundary < probabilities.count else { return 0 }
      let stopped = probabilities[boundary...].reversed().reduce(0, +)
      for successes in boundary..<probabilities.count { probabilities[successes] = 0 }
      return stopped
    }
  }
}
