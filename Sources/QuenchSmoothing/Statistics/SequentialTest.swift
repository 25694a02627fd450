import Foundation

/// The hybrid test of p ≤ p₀ that may stop after any trial, early or at N, for or against.
///
/// It accepts p > p₀ at the first t at which the evidence of
/// ``ConfidenceSequence/logEvidence(successes:of:above:)`` reaches 1 / (0.1 α), or at N by the binomial test at level
/// 0.9 α: together it errs with probability at most α. It gives up at the first t at which the mirrored evidence
/// refutes p ≥ p₀ at level β, or no trial to come can change the answer; giving up is never an error.
public struct SequentialTest: Hashable, Sendable {
  public enum Decision: Hashable, Sendable {
    /// p > p₀, with error probability at most α.
    case accepted
    /// Not shown.
    case givenUp
  }

  public let threshold: Threshold
  /// N.
  public let limit: Int
  /// accept[t]: the least number of successes that accepts after t trials; t + 1 where none does.
  public let accept: [Int32]
  /// futile[t]: the largest number of successes at which it gives up after t trials; -1 where none.
  public let futile: [Int32]

  /// The share of α that looking early takes.
  public static let earlyShare = 0.1

  /// - Parameters:
  ///   - threshold: p₀.
  ///   - limit: N, the most trials.
  ///   - failureProbability: α in (0, 1).
  ///   - futility: β, the probability of giving up early although p > p₀.
  public init(threshold: Threshold, limit: Int, failureProbability: Double, futility: Double = 0.01) {
    self.threshold = threshold
    self.limit = limit
    var accept = Self.earlyBoundary(threshold, limit, -log(Self.earlyShare * failureProbability))
    let mirrored = Self.earlyBoundary(threshold.mirrored, limit, -log(futility))
    let last = Binomial.criticalCount(
      of: limit, failing: threshold.failing, failureProbability: (1 - Self.earlyShare) * failureProbability)
    accept[limit] = min(accept[limit], Int32(last ?? limit + 1))
    let needed = accept[limit]
    self.accept = accept
    futile = (0...limit).map { t in max(Int32(t) - mirrored[t], needed - 1 - Int32(limit - t)) }
  }

  /// Whether any number of successes accepts.
  public var canAccept: Bool { zip(accept, Int32(0)...).contains { $0 <= $1 } }

  /// What `successes` of `trials` decide; nil: go on. Nothing is decided before the first trial.
  public func decision(successes: Int, of trials: Int) -> Decision? {
    if trials > 0, Int32(successes) >= accept[trials] { return .accepted }
    return trials > 0 && Int32(successes) <= futile[trials] ? .givenUp : nil
  }

  /// How many more trials it takes at the least to accept, and to give up; more than are left where it cannot accept.
  func fewestTrials(after successes: Int, of trials: Int) -> (toAccept: Int, toGiveUp: Int) {
    // Each bound moves by 0 or 1 a trial, so that successes alone, or failures alone, never lead back across it.
    func first(_ isReached: (Int) -> Bool) -> Int {
      var (fewest, most) = (1, limit - trials + 1)
      while fewest < most {
        let middle = (fewest + most) / 2
        if isReached(middle) { most = middle } else { fewest = middle + 1 }
      }
      return fewest
    }
    return (
      first { Int32(successes + $0) >= accept[trials + $0] }, first { Int32(successes) <= futile[trials + $0] }
    )
  }

  /// For each t up to `limit` the least number of successes whose evidence above `threshold` reaches `bound`, t + 1
  /// where none does. One more trial moves it by 0 or 1: a success never lowers the evidence, a failure never raises it.
  private static func earlyBoundary(_ threshold: Threshold, _ limit: Int, _ bound: Double) -> [Int32] {
    var boundary: [Int32] = [1]
    boundary.reserveCapacity(limit + 1)
    for t in 1...limit {
      let h = Int(boundary[t - 1])
      let suffices =
        h <= t && ConfidenceSequence.logEvidence(successes: h, of: t, above: threshold) >= bound
      boundary.append(Int32(suffices ? h : h + 1))
    }
    return boundary
  }
}

/// One stream of trials tested against rising thresholds: each rung is accepted only if the one below it was, so that
/// all claims together err with probability at most α (fixed-sequence testing).
public struct LadderTest: Hashable, Sendable {
  /// Rising.
  public let rungs: [SequentialTest]
  public private(set) var successes = 0
  public private(set) var trials = 0
  private var decisions: [SequentialTest.Decision?]

  public init(_ rungs: [SequentialTest]) {
    self.rungs = rungs
    decisions = Array(repeating: nil, count: rungs.count)
  }

  /// Whether no trial to come can change the result.
  public var isDecided: Bool {
    let open = decisions.firstIndex { $0 != .accepted }
    return open.map { decisions[$0] == .givenUp } ?? true
  }

  /// So many trials it takes at the least, whatever they show, until it is decided: a rung gives up, or it is accepted and
  /// those above it are decided.
  public var fewestTrials: Int {
    zip(rungs, decisions).reversed().reduce(0) { above, rung in
      switch rung.1 {
      case .accepted: return above
      case .givenUp: return 0
      case nil:
        let fewest = rung.0.fewestTrials(after: successes, of: trials)
        return min(fewest.toGiveUp, max(fewest.toAccept, above))
      }
    }
  }

  /// How many rungs, from the lowest on, are accepted.
  public var accepted: Int { decisions.prefix { $0 == .accepted }.count }

  /// Takes the result of one trial. Every rung is decided by the first crossing of its own bounds, whatever the others
  /// did meanwhile.
  public mutating func add(success: Bool) {
    trials += 1
    if success { successes += 1 }
    for index in rungs.indices where decisions[index] == nil {
      decisions[index] = rungs[index].decision(successes: successes, of: trials)
    }
  }
}
