import ArgumentParser
import CryoEM
import Foundation
import Reporting
import Support

struct CryoPlanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan",
    abstract: "Write the order in which to expose holes.",
    discussion: """
      The plan is the exact best for calibrated predictions and level-based costs in
      thousandths of a minute or half seconds; for other costs, or where these are too
      many for the time, it says how much more may be possible. Holes that the survey
      gives a measured CTF for count as exposed unless --ignore-measured, or unless
      all are measured: a finished survey is planned anew.

      Examples:
        quench cryo plan --survey grid.csv --predictions grid.txt --start 0 \\
          --out plan.csv
        quench cryo plan --survey grid.csv --predictions grid.txt --start HOLE \\
          --minutes 240 \\
          --train-survey old.csv --train-predictions old.txt \\
            --time-stamps old-times.csv --out plan.csv
      """)

  @OptionGroup(title: "Survey") var survey: SurveyOptions
  @OptionGroup(title: "Learning") var training: TrainingSurveyOptions
  @OptionGroup(title: "Rules") var rules: RulesOptions

  @Option(help: ArgumentHelp("The hole to begin at: its name, or its index from 0.", valueName: "hole"))
  var start: String

  @Option(help: ArgumentHelp("Minutes at the microscope.", valueName: "min"))
  var minutes = 480.0

  @Option(help: "How probabilities are made of predictions: auto, logistic, isotonic, scores or hard.")
  var calibration = CalibrationName.automatic

  @Option(
    help: ArgumentHelp("Fit costs to a session's time stamps instead of --costs.", valueName: "csv"),
    completion: .file())
  var timeStamps: String?

  @Option(
    help: ArgumentHelp("Plan with stage travel at this speed instead of costs by level.", valueName: "µm/min"))
  var stageSpeed: Double?

  @Flag(help: "Plan as if nothing had been measured yet.")
  var ignoreMeasured = false

  @Option(help: ArgumentHelp("The plan's file.", valueName: "csv"), completion: .file())
  var out: String

  @OptionGroup var output: OutputOptions

  func validate() throws {
    _ = try rules.rules(budget: minutes)
    if let stageSpeed, !(stageSpeed > 0 && stageSpeed.isFinite) {
      throw ValidationError("--stage-speed must be above 0.")
    }
  }

  func run() throws {
    let survey = try self.survey.load(output).survey
    guard survey.holes.allSatisfy({ $0.prediction != nil }) else {
      throw InputError("a plan needs a prediction of every hole", at: "--predictions")
    }
    var rules = try self.rules.rules(budget: minutes)
    if let timeStamps {
      let url = URL(filePath: timeStamps)
      rules.minutes = try TimeModel(TimestampFile(contentsOf: url), from: url.path).minutes(includesStops: true)
    }
    let trained = try training.load(
      allowsStrangers: self.survey.strangers.extraPredictions, threshold: rules.threshold, output)
    let probabilities = try calibration.make(training: trained, for: survey, threshold: rules.threshold)
      .probabilities(of: survey, threshold: rules.threshold)
    let start = try CryoData.start(self.start, of: survey, at: "--start")
    let isFinished = survey.holes.allSatisfy(\.fit.isMeasured)
    if isFinished, !ignoreMeasured {
      output.note("note: every hole of the survey is measured; planned as if none were (--ignore-measured)")
    }
    var isVisited = survey.holes.map { !ignoreMeasured && !isFinished && $0.fit.isMeasured }
    isVisited[start] = true
    let planner = TreePlanner(survey, minutes: rules.minutes)
    let plan =
      if let stageSpeed {
        try LocalSearch(survey, minutes: rules.minutes, speed: stageSpeed)
          .plan(values: probabilities, from: start, isVisited: isVisited, budget: minutes)
      } else {
        planner.plan(values: probabilities, from: start, isVisited: isVisited, budget: minutes)
      }
    let bound =
      stageSpeed == nil
      ? planner.bound(values: probabilities, from: start, isVisited: isVisited, budget: minutes) : nil
    guard !plan.holes.isEmpty else {
      throw InputError(
        "nothing can be exposed in this time", at: "--minutes",
        expected: "at least \(NumberText.plain(rules.minutes.hole)) min, and unmeasured holes",
        found: "\(NumberText.plain(minutes)) min and \(NumberText.count(isVisited.count { !$0 }, "hole"))",
        remedy: "give more time")
    }
    let table = PlanTable(plan, survey, probabilities, from: start, minutes: rules.minutes)
    try AtomicFile.write(Data(table.csv.utf8), to: URL(filePath: out))
    var summary = table.summary(survey)
    let shortfall = bound.map { max(0, $0 - plan.value) } ?? 0
    summary["possibly_better_by"] = stageSpeed == nil ? .double(shortfall < 1e-6 ? 0 : shortfall) : nil
    let basis = try calibrationBasis(trained, rules.threshold)
    output.printResult(
      summary,
      """
      exposures      \(plan.holes.count) in \(CryoReport.text(plan.minutes)) min
      expected good  \(CryoReport.text(plan.value)) (95 %: \(CryoReport.text(summary["expected_good_low"]?.number)) to \
      \(CryoReport.text(summary["expected_good_high"]?.number)) if holes are independent)\(Self.shortfall(shortfall))
      calibration    \(basis)
      plan           \(out)
      """)
  }

  /// What may be missing where costs had to be rounded.
  private static func shortfall(_ shortfall: Double) -> String {
    shortfall < 0.005
      ? ""
      : "\n               at most \(NumberText.plain(shortfall, digits: 2)) more are possible: costs were rounded"
  }

  private func calibrationBasis(_ trained: Survey?, _ threshold: Double) throws(InputError) -> String {
    switch (calibration, trained) {
    case (.hard, _), (.scores, _): return calibration.rawValue
    case (_, nil): return "assumed; name --train-survey to learn it"
    case (.isotonic, _): return "learned from the training survey"
    case (_, let trained?):
      return try LearnedCalibration(trained, threshold: threshold).isFitted
        ? "learned from the training survey" : "not learned: see the warning"
    }
  }
}

/// A plan as rows.
struct PlanTable {
  private let plan: Plan
  private let probabilities: [Double]
  private(set) var csv: String

  init(_ plan: Plan, _ survey: Survey, _ probabilities: [Double], from start: Int, minutes: MoveTable) {
    self.plan = plan
    self.probabilities = probabilities
    csv = "order,name,tile,square,patch,predicted_ctf,p_good,move,cost_min,cum_min,cum_expected_good\n"
    // Travel that depends on places is spread over the moves in proportion to their costs by level.
    var costs: [Double] = []
    var current = start
    for hole in plan.holes {
      costs.append(minutes[survey.move(from: current, to: hole)])
      current = hole
    }
    let scale = plan.minutes / max(costs.reduce(0, +), 1e-9)
    var (elapsed, good) = (0.0, 0.0)
    current = start
    for (index, hole) in plan.holes.enumerated() {
      let entry = survey.entry(hole)
      let cost = costs[index] * scale
      elapsed += cost
      good += probabilities[hole]
      let prediction = survey.holes[hole].prediction?.resolution.map { Self.decimal($0) } ?? ""
      csv += "\(index + 1),"
      csv += [entry.name, entry.tile, entry.square, entry.patch]
        .map { DelimitedFile.field($0, separatedBy: ",") }.joined(separator: ",")
      csv += ",\(prediction),"
      csv += "\(Self.decimal(probabilities[hole])),\(survey.move(from: current, to: hole)),\(Self.decimal(cost)),"
      csv += "\(Self.decimal(elapsed)),\(Self.decimal(good))\n"
      current = hole
    }
  }

  /// Minutes, exposures and expected good micrographs, with an interval under independence.
  func summary(_ survey: Survey) -> Record {
    let variance = plan.holes.reduce(0) { $0 + probabilities[$1] * (1 - probabilities[$1]) }
    return [
      "exposures": .int(plan.holes.count), "minutes": .double(plan.minutes), "expected_good": .double(plan.value),
      "expected_good_low": .double(plan.value - 1.96 * variance.squareRoot()),
      "expected_good_high": .double(plan.value + 1.96 * variance.squareRoot()),
      "synthetic": .bool(CryoStudy.isSynthetic(survey))
    ]
  }

  private static func decimal(_ value: Double) -> String { "\((value * 1e4).rounded() / 1e4)" }
}
