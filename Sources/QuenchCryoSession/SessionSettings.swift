import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport

/// How a session is planned: what the log keeps, so that it goes on after a break as it began.
public struct SessionSettings: Hashable, Codable, Sendable {
  /// Å up to which a hole is good.
  public var threshold: Double
  /// Minutes at the microscope.
  public var budget: Double
  /// What moves cost, in minutes, from hole to grid.
  public var costs: [Double]
  /// Where the microscope stands at the start: a place in the survey.
  public var start: Int
  public var hypotheses: [StoredHypothesis]
  /// When it began, in seconds since 1970.
  public var began: Double
  /// Whether the events come from the time stamps of an earlier session.
  public var isReplay: Bool
  /// Whether the holes that the survey has measured count as exposed before the session, for the planner to learn from.
  /// If not, these measurements are there to compare with.
  public var knowsMeasurements: Bool

  /// A hypothesis of the closed-loop planner as the log keeps it.
  public struct StoredHypothesis: Hashable, Codable, Sendable {
    var name: String
    var intercept: Double
    var slope: Double
    var variances: [Double]
    var weight: Double

    init(_ hypothesis: Hypothesis) {
      name = hypothesis.name
      (intercept, slope) = (hypothesis.calibration.intercept, hypothesis.calibration.slope)
      let variances = hypothesis.variances
      self.variances = [variances.patch, variances.square, variances.tile, variances.grid]
      weight = hypothesis.weight
    }
  }

  public init(
    rules: AcquisitionRules, start: Int, hypotheses: [Hypothesis], began: Date, isReplay: Bool = false,
    knowsMeasurements: Bool = false
  ) {
    threshold = rules.threshold
    budget = rules.budget
    costs = rules.minutes.values
    self.start = start
    self.hypotheses = hypotheses.map(StoredHypothesis.init)
    self.began = began.timeIntervalSince1970
    self.isReplay = isReplay
    self.knowsMeasurements = knowsMeasurements
  }

  /// The same session under other rules or expectations.
  public func with(rules: AcquisitionRules, start: Int, hypotheses: [Hypothesis]?) -> SessionSettings {
    var copy = self
    (copy.threshold, copy.budget, copy.costs, copy.start) = (
      rules.threshold, rules.budget, rules.minutes.values, start
    )
    if let hypotheses { copy.hypotheses = hypotheses.map(StoredHypothesis.init) }
    return copy
  }

  /// Whether expectations were assumed, and not learned from a training survey.
  public func assumesExpectations(of kind: Prediction.Kind) -> Bool {
    hypotheses == ClosedLoopPlanner(assumingThreshold: threshold, for: kind).hypotheses.map(StoredHypothesis.init)
  }

  /// What differs from `earlier`, in words: `budget 480 → 600 min`.
  public func changes(since earlier: SessionSettings, of survey: Survey) -> [String] {
    func text(_ values: [Double]) -> String { values.map { NumberText.plain($0) }.joined(separator: ",") }
    var changes: [String] = []
    if budget != earlier.budget { changes.append("budget \(text([earlier.budget])) → \(text([budget])) min") }
    if threshold != earlier.threshold {
      changes.append("threshold \(text([earlier.threshold])) → \(text([threshold])) Å")
    }
    if costs != earlier.costs { changes.append("costs \(text(earlier.costs)) → \(text(costs)) min") }
    if start != earlier.start {
      changes.append("start \(survey.holes[earlier.start].name) → \(survey.holes[start].name)")
    }
    if hypotheses != earlier.hypotheses { changes.append("what predictions are worth") }
    return changes
  }

  /// - Throws: `InputError` if the log was tampered with.
  public var rules: AcquisitionRules {
    get throws(InputError) {
      guard costs.count == 5 else {
        throw InputError("the acquisition log is damaged: it has \(costs.count) costs")
      }
      let rules = AcquisitionRules(
        minutes: MoveTable(costs[0], costs[1], costs[2], costs[3], grid: costs[4]), threshold: threshold,
        budget: budget, rule: .strict)
      try rules.validate()
      return rules
    }
  }

  func planner() throws(InputError) -> ClosedLoopPlanner {
    var hypotheses: [Hypothesis] = []
    for stored in self.hypotheses {
      guard stored.variances.count == 4 else { throw InputError("the acquisition log is damaged: a hypothesis") }
      hypotheses.append(
        Hypothesis(
          name: stored.name, calibration: LogisticCalibration(intercept: stored.intercept, slope: stored.slope),
          variances: EffectVariances(
            patch: stored.variances[0], square: stored.variances[1], tile: stored.variances[2],
            grid: stored.variances[3]), weight: stored.weight))
    }
    return ClosedLoopPlanner(hypotheses: hypotheses)
  }

  /// Minutes since the session began, by the computer's clock.
  func minutes(at date: Date) -> Double { (date.timeIntervalSince1970 - began) / 60 }

  /// What was measured before the session, where it counts.
  func earlier(_ survey: Survey) -> [Int: CTFFit] {
    knowsMeasurements ? survey.measurements : [:]
  }
}

/// The best order of the holes that are left, by all that was measured so far.
public struct SessionPlan: Hashable, Codable, Sendable {
  /// The last event that it takes into account.
  public var after: Int
  /// Places in the survey, in planned order.
  public var holes: [Int]
  /// When each exposure is expected to be done, in minutes since the session began.
  public var minutes: [Double]
  /// The probability that each is good.
  public var probabilities: [Double]

  public var expectedGood: Double { probabilities.reduce(0, +) }
}

/// Good micrographs against time, to compare a session with.
public struct SessionCurve: Hashable, Codable, Sendable {
  public var name: String
  /// Minutes since the session began, ascending, and good micrographs so far.
  public var points: [[Double]]

  public init(name: String, points: [[Double]]) {
    self.name = name
    self.points = points
  }

  /// The oracle's curve and greedy's from the same start under the same rules.
  ///
  /// Where every hole of `survey` was measured they are what these would have got. Else they are expectations by the
  /// calibrated predictions, of greedy and of the plan that is made before the first exposure, and say so.
  public static func references(
    _ survey: Survey, rules: AcquisitionRules, start: Int, calibration: LogisticCalibration
  ) throws(InputError) -> [SessionCurve] {
    guard survey.holes.allSatisfy(\.fit.isMeasured) else {
      let values = Calibration.logistic(calibration).probabilities(of: survey, threshold: rules.threshold)
      return [
        expected("plan at the start (expected)", PlanPolicy(values: values), survey, rules, start, values),
        expected("greedy (expected)", FixedOrder.greedy(.patch), survey, rules, start, values)
      ]
    }
    let environment = try Environment(survey, rules: rules)
    return [
      ("oracle", environment.run(PlanPolicy.oracle(environment), from: start)),
      ("greedy", environment.run(FixedOrder.greedy(.patch), from: start))
    ].map { name, trace in
      var good = 0.0
      let steps = trace.steps.filter { $0.elapsed <= rules.budget }
      return SessionCurve(
        name: name,
        points: [[0, 0]]
          + steps.map { step in
            good += step.isGood ? 1 : 0
            return [step.elapsed, good]
          })
    }
  }

  private static func expected(
    _ name: String, _ policy: some Policy, _ survey: Survey, _ rules: AcquisitionRules, _ start: Int,
    _ values: [Double]
  ) -> SessionCurve {
    var policy = policy
    var acquisition = Acquisition(
      survey.withoutMeasurements, rules: rules, start: start, earlier: survey.measurements)
    policy.begin(acquisition)
    var (points, good) = ([[0.0, 0.0]], 0.0)
    while !acquisition.isDone, let hole = policy.next(acquisition) {
      acquisition.visit(hole)
      guard acquisition.elapsed <= rules.budget else { break }
      good += values[hole]
      points.append([acquisition.elapsed, good])
    }
    return SessionCurve(name: name, points: points)
  }
}
