import Foundation
import QuenchReporting
import QuenchSupport

/// CERTIFY (Cohen et al. 2019): selects the class ĉ that a classifier gives most of n₀ noisy copies, and bounds on fresh
/// copies how probable it is, p̲ ≤ P[f(x + δ) = ĉ]. Where p̲ > ½, the smoothed classifier answers ĉ within the L2 radius
/// σ Φ⁻¹(p̲).
///
/// The certificate is wrong with probability at most α, whichever way the probability is estimated:
/// - `fixed` always takes n copies and p̲ from Clopper and Pearson: the paper's algorithm.
/// - `radii` asks for given radii, from the smallest on, and stops as soon as the answer is sure (``SequentialTest``):
///   the same guarantee for a fraction of the copies.
public struct Certify: Hashable, Sendable {
  /// σ, the noise's standard deviation, in units in which pixels lie in [0, 1].
  public let sigma: Double
  /// n₀, noisy copies that pick the class.
  public let selection: Int
  /// n, noisy copies that bound its probability: exactly so many, or at most.
  public let estimation: Int
  /// α in (0, 1).
  public let failureProbability: Double
  /// The radii that are asked for, rising; nil: the largest that n copies show.
  public let radii: [Double]?
  private let rungs: [SequentialTest]

  /// The paper's algorithm.
  /// - Throws: `InputError` for values out of range, or where n is too small for α to certify anything.
  public init(
    fixed estimation: Int, sigma: Double, selection: Int = 100, failureProbability: Double = 0.001
  ) throws(InputError) {
    try self.init(sigma, selection, estimation, failureProbability, radii: nil)
  }

  /// The sequential form.
  /// - Parameters:
  ///   - radii: Rising, from 0 on.
  ///   - estimation: n, the most copies.
  ///   - sigma: σ.
  ///   - selection: n₀.
  ///   - failureProbability: α.
  /// - Throws: `InputError` for values out of range, or where n is too small for α to certify even the first radius.
  public init(
    radii: [Double], atMost estimation: Int = 10_000, sigma: Double, selection: Int = 100,
    failureProbability: Double = 0.001
  ) throws(InputError) {
    try self.init(sigma, selection, estimation, failureProbability, radii: radii)
  }

  private init(
    _ sigma: Double, _ selection: Int, _ estimation: Int, _ failureProbability: Double, radii: [Double]?
  ) throws(InputError) {
    try requireSetting(sigma > 0, "sigma", "above 0: without noise nothing can be certified", sigma)
    try requireSetting(sigma <= 1000, "sigma", "at most 1000, pixels in [0, 1]", sigma)
    try requireSetting((1...1_000_000).contains(selection), "n0", "1 to 1,000,000", selection)
    try requireSetting((1...1_000_000).contains(estimation), "n", "1 to 1,000,000", estimation)
    try requireSetting(
      failureProbability > 0 && failureProbability < 0.5, "alpha", "above 0 and below 0.5", failureProbability)
    let rising = radii.map { radii in
      !radii.isEmpty && radii.allSatisfy { (0...CertifiedRow.largestRadius).contains($0) }
        && zip(radii, radii.dropFirst()).allSatisfy(<)
    }
    try requireSetting(rising ?? true, "radii", "one or more, rising, from 0 to 1,000,000", radii ?? [])
    self.sigma = sigma
    self.selection = selection
    self.estimation = estimation
    self.failureProbability = failureProbability
    self.radii = radii
    rungs = (radii ?? []).map { radius in
      SequentialTest(
        threshold: Threshold(radius: radius, sigma: sigma), limit: estimation,
        failureProbability: failureProbability)
    }
    guard rungs.first?.canAccept ?? (largestRadius > 0) else {
      throw InputError(
        "so few noisy copies certify nothing at this error probability", at: "n",
        expected: "at least \(fewestCopies)", found: "\(estimation)", remedy: "raise it, or alpha")
    }
  }

  /// The radius that is certified where all copies get one class, σ Φ⁻¹(α^(1/n)): no certificate can be larger. For
  /// ``radii`` α is what the last look may spend.
  public var largestRadius: Double {
    let share = radii == nil ? 1 : 1 - SequentialTest.earlyShare
    let bound = Binomial.lowerBound(
      successes: estimation, of: estimation, failureProbability: share * failureProbability)
    return bound > 0.5 ? sigma * Normal.quantile(bound) : 0
  }

  /// The least n that certifies anything.
  private var fewestCopies: Int {
    let threshold = Threshold(radius: radii?.first ?? 0, sigma: sigma)
    let share = radii == nil ? 1 : 1 - SequentialTest.earlyShare
    var n = 1
    while n < 10_000_000,
      Binomial.lowerBound(successes: n, of: n, failureProbability: share * failureProbability)
        <= threshold.probability
    { n += max(1, n / 1000) }
    return n
  }

  /// What is wrong with certifying, under noise of `sigma`, the network that a run of `quench train` left in the folder
  /// of `weights`; nil: nothing, or there is no record of such a run.
  public static func finding(onSigma sigma: Double, ofWeights weights: URL) -> String? {
    guard let record = try? RunFolder(existing: weights.deletingLastPathComponent()).record(),
      record.experimentKind?.hasPrefix("train") == true
    else { return nil }
    let learned = record.settings["noise"]?.number ?? 0
    guard abs(learned - sigma) > 1e-6 else { return nil }
    return learned == 0
      ? "the network was trained without noise, under which few images keep their class: train one with noise of "
        + "\(sigma) for this"
      : "the network was trained with noise of \(learned), and is certified under \(sigma)"
  }

  /// Begins to certify an image.
  public func attempt() -> Attempt { Attempt(self) }

  /// Certifies an image whose noisy copies get the classes that `labels` answers; -1 stands for no answer.
  /// - Parameters:
  ///   - chunk: How many copies it may ask for at once; the result does not depend on it.
  ///   - labels: The classes of the copies of a range, in order.
  public func callAsFunction(
    chunk: Int = 64, labels: (NoiseStream.Purpose, Range<Int>) throws -> [Int]
  ) rethrows -> Attempt {
    var attempt = attempt()
    while let wanted = attempt.wanted.first {
      attempt.take(try labels(wanted.purpose, wanted.range.prefix(chunk)))
    }
    return attempt
  }

  /// One image on its way to a certificate.
  public struct Attempt: Hashable, Sendable {
    public let certify: Certify
    /// ĉ; nil while it is being picked, and for good if no copy gets an answer.
    public private(set) var selected: Int?
    /// How many of the copies that decided got ĉ: k.
    public private(set) var successes = 0
    /// How many copies decided: n. Copies that were asked for beyond them do not count.
    public private(set) var trials = 0
    /// How many copies were asked for in all.
    public private(set) var queries = 0
    /// How many of them got no answer.
    public private(set) var unanswered = 0
    private var votes: [Int: Int] = [:]
    private var ladder: LadderTest

    fileprivate init(_ certify: Certify) {
      self.certify = certify
      ladder = LadderTest(certify.rungs)
    }

    /// The copies that it needs next, in this order: any number from the beginning. Those that bound the probability of
    /// the class are fresh whichever it is, and may be asked for together with those that pick it. Empty: it is decided.
    public var wanted: [(purpose: NoiseStream.Purpose, range: Range<Int>)] {
      let selection = (
        purpose: NoiseStream.Purpose.selection, range: min(queries, certify.selection)..<certify.selection
      )
      let estimation = (purpose: NoiseStream.Purpose.estimation, range: trials..<certify.estimation)
      guard selection.range.isEmpty else { return [selection, estimation] }
      return isDecided ? [] : [estimation]
    }

    /// How many of the first copies of ``wanted`` decide nothing before the last of them, whatever classes they get: none
    /// of these is asked for in vain.
    public var certain: Int {
      guard !wanted.isEmpty else { return 0 }
      let left = certify.radii == nil ? certify.estimation - trials : ladder.fewestTrials
      return max(0, certify.selection - queries) + left
    }

    private var isDecided: Bool {
      guard queries >= certify.selection else { return false }
      return selected == nil || trials == certify.estimation || certify.radii != nil && ladder.isDecided
    }

    /// Takes the classes of the next copies, in order; -1 stands for no answer, which is never ĉ.
    public mutating func take(_ labels: some Sequence<Int>) {
      for label in labels {
        queries += 1
        if label < 0 { unanswered += 1 }
        if queries <= certify.selection {
          if label >= 0 { votes[label, default: 0] += 1 }
          if queries == certify.selection {
            selected = votes.min { (-$0.value, $0.key) < (-$1.value, $1.key) }?.key
          }
        } else if !isDecided {
          trials += 1
          if label == selected { successes += 1 }
          if certify.radii != nil { ladder.add(success: label == selected) }
        }
      }
    }

    /// The lower bound p̲ of the probability of ĉ: Clopper and Pearson's, or what the accepted radius needs.
    public var lowerBound: Double {
      guard selected != nil, trials > 0 else { return 0 }
      guard let radii = certify.radii else {
        return Binomial.lowerBound(
          successes: successes, of: trials, failureProbability: certify.failureProbability)
      }
      return ladder.accepted == 0 ? 0 : Normal.cdf(radii[ladder.accepted - 1] / certify.sigma)
    }

    /// The certificate, once it is decided.
    public var certificate: Certificate {
      guard let selected else { return .abstained }
      if let radii = certify.radii {
        return ladder.accepted == 0
          ? .abstained : .certified(label: selected, radius: radii[ladder.accepted - 1])
      }
      let bound = lowerBound
      return bound < 0.5
        ? .abstained : .certified(label: selected, radius: certify.sigma * Normal.quantile(bound))
    }
  }
}
