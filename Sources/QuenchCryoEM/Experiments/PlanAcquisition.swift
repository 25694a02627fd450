import Foundation
import QuenchReporting
import QuenchSupport

/// The order in which to expose holes: the best for calibrated predictions and costs by level.
public struct PlanAcquisition: Experiment {
  public static let kind = "cryo-plan"

  public var source = SurveySelection()
  public var training = TrainingSurvey()
  public var rules = CollectionRules()
  /// The hole to begin at: its name, or its index from 0.
  public var start = ""
  /// Minutes at the microscope.
  public var minutes = 480.0
  /// How probabilities are made of predictions.
  public var calibration = CalibrationName.automatic
  /// The file of a ``TimestampFile`` of a session, to fit costs to instead of ``rules``' own.
  public var timeStamps: String?
  /// Plan with stage travel at this speed, in µm/min, instead of costs by level.
  public var stageSpeed: Double?
  /// Plan as if nothing had been measured yet.
  public var ignoreMeasured = false

  public static let planFileName = "plan.csv"

  public init() {}

  public struct Outcome: Codable, Sendable {
    public var exposures: Int
    public var minutes: Double
    /// Good micrographs, with a 95 % interval where holes are independent.
    public var expectedGood: Double
    public var expectedGoodLow: Double
    public var expectedGoodHigh: Double
    public var synthetic: Bool
    /// How many more good micrographs may be possible, where costs had to be rounded; nil with stage travel.
    public var possiblyBetterBy: Double?
    /// What the probabilities are made from.
    public var calibration: String
  }

  public func checked() throws(InputError) -> PlanAcquisition {
    try source.validate()
    try training.validate()
    try requireSetting(!start.isEmpty, "start", "a hole", "nothing")
    _ = try rules.rules(budget: minutes)
    if let stageSpeed {
      try requireSetting(stageSpeed > 0 && stageSpeed.isFinite, "stage-speed", "above 0", stageSpeed)
    }
    return self
  }

  public func run(in context: RunContext) throws -> Outcome {
    let console = context.console
    let survey = try source.load(console).survey
    guard survey.holes.allSatisfy({ $0.prediction != nil }) else {
      throw InputError("a plan needs a prediction of every hole", at: "predictions")
    }
    let threshold = rules.threshold
    var costs = try rules.rules(budget: minutes).minutes
    if let timeStamps {
      let url = URL(filePath: timeStamps)
      costs = try TimeModel(TimestampFile(contentsOf: url), from: url.path).minutes(includesStops: true)
    }
    let trained = try training.load(allowsStrangers: source.extraPredictions, threshold: threshold, console)
    let probabilities = try calibration.make(training: trained, for: survey, threshold: threshold)
      .probabilities(of: survey, threshold: threshold)
    let start = try survey.hole(self.start, at: "start")
    let isVisited = visited(survey, start, console)
    let planner = TreePlanner(survey, minutes: costs)
    let plan =
      if let stageSpeed {
        try LocalSearch(survey, minutes: costs, speed: stageSpeed)
          .plan(values: probabilities, from: start, isVisited: isVisited, budget: minutes)
      } else {
        planner.plan(values: probabilities, from: start, isVisited: isVisited, budget: minutes)
      }
    let bound = planner.bound(values: probabilities, from: start, isVisited: isVisited, budget: minutes)
    guard !plan.holes.isEmpty else {
      throw InputError(
        "nothing can be exposed in this time", at: "minutes",
        expected: "at least \(NumberText.plain(costs.hole)) min, and unmeasured holes",
        found: "\(NumberText.plain(minutes)) min and \(NumberText.count(isVisited.count { !$0 }, "hole"))",
        remedy: "give more time")
    }
    let basis = try basis(trained)
    let folder = try context.open(
      inputs: Fingerprint.inputs(source.files).merging(Fingerprint.inputs(training.files))
        .merging(Fingerprint.inputs(["time-stamps": timeStamps])))
    let table = PlanTable(plan, survey, probabilities, from: start, minutes: costs)
    try AtomicFile.write(Data(table.csv.utf8), to: folder.artefact(Self.planFileName))
    let variance = plan.holes.reduce(0) { $0 + probabilities[$1] * (1 - probabilities[$1]) }
    let shortfall = bound.map { max(0, $0 - plan.value) } ?? 0
    return Outcome(
      exposures: plan.holes.count, minutes: plan.minutes, expectedGood: plan.value,
      expectedGoodLow: plan.value - 1.96 * variance.squareRoot(),
      expectedGoodHigh: plan.value + 1.96 * variance.squareRoot(), synthetic: survey.isSynthetic,
      possiblyBetterBy: stageSpeed != nil ? nil : shortfall < 1e-6 ? 0 : shortfall, calibration: basis)
  }

  /// Which holes count as exposed; a finished survey is planned anew.
  private func visited(_ survey: Survey, _ start: Int, _ console: RunConsole) -> [Bool] {
    let isFinished = survey.holes.allSatisfy(\.fit.isMeasured)
    if isFinished, !ignoreMeasured {
      console.note("note: every hole of the survey is measured; planned as if none were (`ignore-measured`)")
    }
    var isVisited = survey.holes.map { !ignoreMeasured && !isFinished && $0.fit.isMeasured }
    isVisited[start] = true
    return isVisited
  }

  private func basis(_ trained: Survey?) throws(InputError) -> String {
    switch (calibration, trained) {
    case (.hard, _), (.scores, _): return calibration.rawValue
    case (_, nil): return "assumed; name --train-survey to learn it"
    case (.isotonic, _): return "learned from the training survey"
    case (_, let trained?):
      return try LearnedCalibration(trained, threshold: rules.threshold).isFitted
        ? "learned from the training survey" : "not learned: see the warning"
    }
  }

  public static func text(of run: PerformedRun<PlanAcquisition>) -> String {
    guard let outcome = run.outcome else { return "" }
    let shortfall = outcome.possiblyBetterBy ?? 0
    let more =
      shortfall < 0.005
      ? ""
      : "\n               at most \(NumberText.plain(shortfall, digits: 2)) more are possible: costs were rounded"
    return """
      exposures      \(outcome.exposures) in \(NumberText.figure(outcome.minutes)) min
      expected good  \(NumberText.figure(outcome.expectedGood)) (95 %: \
      \(NumberText.figure(outcome.expectedGoodLow)) to \(NumberText.figure(outcome.expectedGoodHigh)) if holes are \
      independent)\(more)
      calibration    \(outcome.calibration)
      """
  }

  public static func report(of run: PerformedRun<PlanAcquisition>) -> Report {
    let figures = run.outcome.map { outcome -> [Report.KeyFigure] in
      [
        .init("Exposures", "\(outcome.exposures)", detail: "in \(NumberText.figure(outcome.minutes)) min"),
        .init(
          "Expected good", NumberText.figure(outcome.expectedGood),
          detail: "95 %: \(NumberText.figure(outcome.expectedGoodLow)) to "
            + "\(NumberText.figure(outcome.expectedGoodHigh)) if holes are independent")
      ]
    }
    return Report(
      title: "A plan for \(run.surveyName)",
      summary: "The order of exposures is in `\(planFileName)`; probabilities: \(run.outcome?.calibration ?? "–").",
      keyFigures: figures ?? [], sections: .caution(of: run), record: run.record)
  }
}
