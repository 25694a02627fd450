import Foundation
import QuenchSupport

/// What a closed-loop planner holds possible: a way from predictions to log-odds, and how far regions stray from it.
public struct Hypothesis: Hashable, Sendable {
  /// What it supposes, in a few words.
  public var name: String
  /// Log-odds by prediction.
  public var calibration: LogisticCalibration
  public var variances: EffectVariances
  /// Prior probability.
  public var weight: Double

  public init(name: String, calibration: LogisticCalibration, variances: EffectVariances, weight: Double) {
    self.name = name
    self.calibration = calibration
    self.variances = variances
    self.weight = weight
  }
}

/// Expectations that are mended by outcomes: several hypotheses about the predictor, each with its own belief about the
/// regions, weighted by how well they foretold what was seen.
public struct MixedBelief: Sendable {
  private var beliefs: [Belief]
  /// Logarithms of the hypotheses' weights, up to a constant.
  private var logWeights: [Double]
  private var seen: Set<Int> = []

  public init(_ survey: Survey, hypotheses: [Hypothesis]) {
    beliefs = hypotheses.map { hypothesis in
      let known = survey.holes.map { $0.prediction.map(hypothesis.calibration.logit) }
      let values = known.compactMap { $0 }
      let mean = values.isEmpty ? 0 : values.reduce(0, +) / Double(values.count)
      return Belief(survey, logits: known.map { $0 ?? mean }, variances: hypothesis.variances)
    }
    logWeights = hypotheses.map { log($0.weight) }
  }

  /// Takes in what was measured in `acquisition` since the last call.
  public mutating func update(_ acquisition: Acquisition) {
    let known = seen.isEmpty ? acquisition.earlier + acquisition.visits : acquisition.visits
    let new = known.filter { acquisition.outcomes[$0].isMeasured && !seen.contains($0) }
    for hole in new {
      guard let isGood = acquisition.isGood(hole) else { continue }
      for index in beliefs.indices {
        let p = beliefs[index].probability(hole)
        logWeights[index] += log(max(isGood ? p : 1 - p, 1e-12))
        beliefs[index].observe([(hole, isGood)])
      }
      seen.insert(hole)
    }
  }

  /// The posterior probabilities of the hypotheses.
  public var weights: [Double] {
    let top = logWeights.max() ?? 0
    let weights = logWeights.map { exp($0 - top) }
    let sum = weights.reduce(0, +)
    return weights.map { $0 / sum }
  }

  /// The probability that each hole is good.
  public func probabilities() -> [Double] {
    let weights = weights
    var result: [Double] = []
    for (belief, weight) in zip(beliefs, weights) where weight > 1e-6 {
      let own = belief.probabilities()
      if result.isEmpty { result = Array(repeating: 0, count: own.count) }
      for index in own.indices { result[index] += weight * own[index] }
    }
    return result
  }
}

/// A planner that looks at outcomes: expectations are mended after each exposure, and the tree planner plans anew for
/// the time that is left.
public struct ClosedLoopPlanner: Policy, Sendable {
  /// What it holds possible at the start.
  public var hypotheses: [Hypothesis]
  /// Exposures between two plans.
  public var interval = 1

  private var belief: MixedBelief?
  private var planner: TreePlanner?
  private var plan: [Int] = []
  private var position = 0
  private var age = 0

  public init(hypotheses: [Hypothesis], interval: Int = 1) {
    self.hypotheses = hypotheses
    self.interval = interval
  }

  public var dependsOnBudget: Bool { true }

  public mutating func begin(_ acquisition: Acquisition) {
    belief = MixedBelief(acquisition.survey, hypotheses: hypotheses)
    planner = TreePlanner(
      acquisition.survey, minutes: acquisition.rules.minutes, longest: TreePlanner.quick)
    (plan, position, age) = ([], 0, interval)
  }

  public mutating func next(_ acquisition: Acquisition) -> Int? {
    if age >= interval || position >= plan.count {
      plan = replan(acquisition).holes
      (position, age) = (0, 0)
    }
    age += 1
    while position < plan.count, acquisition.isVisited[plan[position]] { position += 1 }
    guard position < plan.count else { return lastHole(acquisition) }
    position += 1
    return plan[position - 1]
  }

  /// The best plan for the time left, by all that was measured so far.
  public mutating func replan(_ acquisition: Acquisition) -> Plan {
    belief?.update(acquisition)
    guard let planner, let values = belief?.probabilities() else { return Plan(holes: [], minutes: 0, value: 0) }
    return planner.plan(
      values: values, from: acquisition.current, isVisited: acquisition.isVisited,
      budget: max(acquisition.timeLeft, 0))
  }

  /// The probability that each hole is good, by all that was measured so far.
  public mutating func probabilities(_ acquisition: Acquisition) -> [Double] {
    belief?.update(acquisition)
    return belief?.probabilities() ?? []
  }

  /// Under the reference rule one more visit counts when nothing else fits into the time: the likeliest hole.
  private func lastHole(_ acquisition: Acquisition) -> Int? {
    guard acquisition.rules.rule == .reference, let values = belief?.probabilities() else { return nil }
    return acquisition.bestUnvisited(values)
  }
}

extension Acquisition {
  /// The unvisited hole of the largest value above 0; the first of equals.
  func bestUnvisited(_ values: [Double]) -> Int? {
    var best: Int?
    for hole in values.indices where !isVisited[hole] && values[hole] > 0 {
      if let found = best, values[found] >= values[hole] { continue }
      best = hole
    }
    return best
  }
}

extension ClosedLoopPlanner {
  /// A planner that learns what to expect from a survey whose outcomes are known.
  ///
  /// It holds possible that the predictor is as good as there, that it is so but for offsets of whole patches, that it was
  /// surer there than it should be here (as a predictor is of holes that it was trained on), and that it is worth nothing
  /// here. Calibration and variances come from the training survey alone.
  /// - Throws: `InputError` if the training survey cannot calibrate predictions.
  public init(training survey: Survey, threshold: Double, interval: Int = 1) throws(InputError) {
    let calibration = try LearnedCalibration(survey, threshold: threshold).curve
    let logits = survey.holes.map { $0.prediction.map(calibration.logit) ?? 0 }
    let (variances, _) = Belief.fit(survey, logits: logits, threshold: threshold, fitsIntercept: false)
    var trusting = variances
    trusting.grid = variances.tile
    var wary = trusting
    wary.patch += 1
    let zeros = [Double](repeating: 0, count: survey.count)
    var (blind, intercept) = Belief.fit(survey, logits: zeros, threshold: threshold, fitsIntercept: true)
    blind.grid = blind.tile
    self.init(
      hypotheses: [
        Hypothesis(name: "the predictor holds", calibration: calibration, variances: trusting, weight: 0.6),
        Hypothesis(name: "it errs by patches", calibration: calibration, variances: wary, weight: 0.1),
        Hypothesis(
          name: "it tells nothing", calibration: LogisticCalibration(intercept: intercept, slope: 0),
          variances: blind, weight: 0.1)
      ] + Self.overconfident(calibration, by: [2, 4, 8, 16], weight: 0.2), interval: interval)
  }

  /// A planner for a predictor of which nothing is known: assumed calibration and the variances of a published survey.
  public init(assumingThreshold threshold: Double, for kind: Prediction.Kind = .resolution, interval: Int = 1) {
    let calibration = LogisticCalibration(assumingThreshold: threshold, for: kind)
    self.init(
      hypotheses: [
        Hypothesis(
          name: "the predictor is usual", calibration: calibration, variances: .published, weight: 0.7),
        Hypothesis(
          name: "it tells nothing", calibration: LogisticCalibration(intercept: -0.5, slope: 0),
          variances: EffectVariances(patch: 1.5, square: 0.75, tile: 0.75, grid: 0.75), weight: 0.2)
      ] + Self.overconfident(calibration, by: [2, 4], weight: 0.1), interval: interval)
  }

  /// The hypotheses that log-odds are too large by a factor, which share `weight`.
  private static func overconfident(
    _ calibration: LogisticCalibration, by temperatures: [Double], weight: Double
  ) -> [Hypothesis] {
    temperatures.map { temperature in
      Hypothesis(
        name: "it is too sure, by \(Int(temperature))", calibration: calibration.tempered(by: temperature),
        variances: .published, weight: weight / Double(temperatures.count))
    }
  }
}
