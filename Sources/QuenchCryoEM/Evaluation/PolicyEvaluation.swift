import Foundation
import QuenchSupport

/// What a policy collects from several start holes under several budgets.
public struct PolicyEvaluation: Sendable {
  public struct Row: Hashable, Sendable {
    public var start: Int
    public var budget: Double
    public var result: EpisodeResult
  }

  /// Budget by budget, start by start.
  public private(set) var rows: [Row] = []
  /// The episodes of the largest budget, one a start.
  public private(set) var traces: [Trace] = []

  /// - Parameters:
  ///   - policy: What is tried.
  ///   - environment: The survey and its rules; its budget is set aside.
  ///   - starts: Start holes.
  ///   - budgets: Minutes.
  ///   - progress: Called with the number of episodes done, of ``episodes(_:starts:budgets:)``.
  public init(
    _ policy: some Policy, in environment: Environment, starts: [Int], budgets: [Double],
    progress: (Int) throws -> Void = { _ in }
  ) throws {
    let largest = budgets.max() ?? 0
    var done = 0
    func traces(_ budget: Double) throws -> [Trace] {
      let environment = try environment.with(budget: budget)
      return try starts.map { start in
        let trace = environment.run(policy, from: start)
        done += 1
        try progress(done)
        return trace
      }
    }
    self.traces = try traces(largest)
    for budget in budgets {
      let own = policy.dependsOnBudget && budget < largest ? try traces(budget) : self.traces
      rows += own.map { trace in
        Row(
          start: trace.start, budget: budget,
          result: trace.result(budget: budget, rule: environment.rules.rule))
      }
    }
  }

  /// How many episodes an evaluation plays.
  public static func episodes(_ policy: some Policy, starts: [Int], budgets: [Double]) -> Int {
    policy.dependsOnBudget ? starts.count * Set(budgets).count : starts.count
  }

  /// Good holes by start under one budget.
  public func good(budget: Double) -> [Double] {
    rows.filter { $0.budget == budget }.map { Double($0.result.good) }
  }

  /// Mean good holes after each of `minutes`, under the largest budget.
  public func curve(at minutes: [Double], rule: BudgetRule) -> [Double] {
    minutes.map { minute in
      traces.reduce(0) { $0 + Double($1.steps.count { $0.isGood && $0.elapsed <= minute }) } / Double(traces.count)
    }
  }

  /// So many different start holes, drawn at random; all holes of a smaller survey.
  public static func starts(_ count: Int, of survey: Survey, seed: UInt64) -> [Int] {
    var generator = SplitMix64(seed, 0x57A2)
    return Array(survey.holes.indices.shuffled(using: &generator).prefix(count))
  }
}

/// The policies by name.
public enum PolicyName: String, CaseIterable, Sendable {
  case random
  case serial
  case predictRank = "predict-rank"
  case snowball
  case greedyPatch = "greedy-patch"
  case greedyTile = "greedy-tile"
  case dqn
  case treeDP = "tree-dp"
  case closedLoop = "closed-loop"
  case oracle

  /// Whether the policy needs a prediction of every hole.
  public var needsPredictions: Bool {
    switch self {
    case .predictRank, .greedyPatch, .greedyTile, .dqn, .treeDP: true
    case .random, .serial, .snowball, .closedLoop, .oracle: false
    }
  }
}

/// How predictions become probabilities, by name.
public enum CalibrationName: String, CaseIterable, Sendable {
  /// The usual logistic curve for resolutions, as fitted on the training survey if there is one; a classifier's own
  /// scores where there is none.
  case automatic = "auto"
  case logistic, isotonic, scores, hard

  /// - Throws: `InputError` if what it must learn from is missing or too little.
  public func make(training: Survey?, for survey: Survey, threshold: Double) throws(InputError) -> Calibration {
    switch self {
    case .hard: return .hard
    case .scores: return .scores
    case .automatic:
      if let training { return .logistic(try LearnedCalibration(training, threshold: threshold).curve) }
      return survey.predictionKind == .classes
        ? .scores : .logistic(LogisticCalibration(assumingThreshold: threshold))
    case .logistic, .isotonic:
      guard let training else {
        throw InputError(
          "the calibration needs outcomes to learn from", at: "calibration",
          expected: "`train-survey` and `train-predictions`", remedy: "name them, or use `calibration` auto")
      }
      return self == .logistic
        ? .logistic(try LearnedCalibration(training, threshold: threshold).curve)
        : .isotonic(try IsotonicCalibration(fitting: training, threshold: threshold))
    }
  }
}

/// What policies are made from.
public struct PolicyMaker {
  /// What planners learn from.
  public var training: Survey?
  public var calibration = CalibrationName.automatic
  /// The policy of ``PolicyName/dqn``, a network's: `DQNPolicy` of `CryoLearning`.
  public var dqn: (any Policy)?
  /// Of random choices.
  public var seed: UInt64 = 1
  /// Exposures between two plans of ``PolicyName/closedLoop``.
  public var interval = 1

  public init(training: Survey? = nil) { self.training = training }

  /// - Throws: `InputError` if the policy lacks predictions, weights, or something to learn from.
  public func make(_ name: PolicyName, in environment: Environment) throws(InputError) -> any Policy {
    let survey = environment.visible
    if name.needsPredictions, survey.holes.contains(where: { $0.prediction == nil }) {
      throw InputError(
        "the policy \(name.rawValue) needs a prediction of every hole", at: "policy", remedy: "add `predictions`")
    }
    switch name {
    case .random: return FixedOrder.random(seed: seed)
    case .serial: return FixedOrder.serial
    case .predictRank: return FixedOrder.predictRank
    case .snowball: return Snowball()
    case .greedyPatch: return FixedOrder.greedy(.patch)
    case .greedyTile: return FixedOrder.greedy(.tile)
    case .oracle: return PlanPolicy.oracle(environment)
    case .treeDP:
      let calibration = try calibration.make(
        training: training, for: survey, threshold: environment.rules.threshold)
      return PlanPolicy.treeDP(survey, calibration, threshold: environment.rules.threshold)
    case .closedLoop:
      return try closedLoop(threshold: environment.rules.threshold, for: survey.predictionKind)
    case .dqn:
      guard let dqn else {
        throw InputError(
          "the policy dqn needs a trained network", at: "policy", remedy: "name its file with `weights`")
      }
      return dqn
    }
  }

  /// The closed-loop planner, which also works while an acquisition is under way.
  public func closedLoop(
    threshold: Double, for kind: Prediction.Kind = .resolution
  ) throws(InputError) -> ClosedLoopPlanner {
    guard let training else {
      return ClosedLoopPlanner(assumingThreshold: threshold, for: kind, interval: interval)
    }
    return try ClosedLoopPlanner(training: training, threshold: threshold, interval: interval)
  }
}
