import Foundation
import QuenchReporting
import QuenchSupport

/// What policies are tried on: a survey, how it is collected from, and what planners learn from.
public struct PolicyTrials: InlineGroup, Hashable, Sendable {
  public var source = SurveySelection()
  public var training = TrainingSurvey()
  public var rules = CollectionRules()
  /// Minutes at the microscope, one or several.
  public var minutes = [120.0, 240, 360, 480]
  /// So many start holes drawn at random, or a list of indices from 0 and names with commas.
  public var starts = "50"
  public var seed = 1

  public init() {}

  /// The seed as generators take it.
  package var seedBits: UInt64 { UInt64(bitPattern: Int64(seed)) }

  /// The largest budget.
  package var longest: Double { minutes.max() ?? 0 }

  /// - Throws: `InputError` for a setting that is missing or out of its range.
  package func validate() throws(InputError) {
    try source.validate()
    try training.validate()
    try requireSetting(!minutes.isEmpty, "minutes", "at least one budget", "none")
    for budget in minutes { _ = try rules.rules(budget: budget) }
  }

  /// The measured holes of the survey.
  /// - Throws: `InputError` that names the file and the line.
  package func survey(_ console: RunConsole) throws(InputError) -> Survey {
    try source.load(console).survey.measured(console)
  }

  /// What planners learn from, if a survey is named.
  /// - Throws: `InputError` that names the file and the line.
  package func trainingSurvey(_ console: RunConsole) throws(InputError) -> Survey? {
    try training.load(allowsStrangers: source.extraPredictions, threshold: rules.threshold, console)
  }

  /// - Throws: `InputError` if a file cannot be read.
  package func inputs() throws(InputError) -> Record {
    try Fingerprint.inputs(source.files).merging(Fingerprint.inputs(training.files))
  }

  /// How a budget is called in keys and tables.
  public static func name(_ budget: Double) -> String { NumberText.plain(budget, digits: 12) }
}

/// Plays episodes of policies, all from the same start holes.
package struct PolicyPlayer {
  package let environment: Environment
  package let starts: [Int]
  let budgets: [Double]
  let console: RunConsole

  package init(environment: Environment, starts: [Int], budgets: [Double], console: RunConsole) {
    (self.environment, self.starts, self.budgets, self.console) = (environment, starts, budgets, console)
  }

  /// - Throws: `Interrupted` if the user asked to leave.
  package func play(_ policy: some Policy, _ task: String) throws -> PolicyEvaluation {
    let total = PolicyEvaluation.episodes(policy, starts: starts, budgets: budgets)
    var line = ProgressLine(task, total: total, unit: "episodes", style: console.progress)
    let evaluation = try PolicyEvaluation(policy, in: environment, starts: starts, budgets: budgets) { done in
      line.update(done)
      if Interruption.isRequested { throw Interrupted(folder: nil) }
    }
    line.finish()
    return evaluation
  }
}

/// What a policy collected under one budget, over all start holes.
public struct CollectedFigures: Codable, Hashable, Sendable {
  /// Good micrographs, with the standard deviation over the starts (population) and the mean's 95 % interval.
  public var goodMean: Double
  public var goodSd: Double
  public var goodLow: Double
  public var goodHigh: Double
  public var visitsMean: Double
  public var minutesMean: Double
  public var rewardMean: Double
  /// Good micrographs of the policy that knows the truth.
  public var oracleMean: Double
  /// The share of these that the policy collected.
  public var ofOracle: Double
  /// Start holes.
  public var n: Int

  /// - Parameters:
  ///   - evaluation: Of the policy.
  ///   - oracle: Of the policy that knows the truth, from the same start holes.
  ///   - budget: In minutes, one of those that were tried.
  public init(_ evaluation: PolicyEvaluation, of oracle: PolicyEvaluation, budget: Double) {
    let rows = evaluation.rows.filter { $0.budget == budget }
    let good = Sample(evaluation.good(budget: budget))
    func mean(_ value: (EpisodeResult) -> Double) -> Double {
      rows.reduce(0) { $0 + value($1.result) } / Double(rows.count)
    }
    (goodMean, goodSd) = (good.mean, good.deviationOfAll)
    goodLow = good.interval?.lowerBound ?? good.mean
    goodHigh = good.interval?.upperBound ?? good.mean
    visitsMean = mean { Double($0.visits) }
    minutesMean = mean(\.minutes)
    rewardMean = mean(\.reward)
    oracleMean = Sample(oracle.good(budget: budget)).mean
    ofOracle = good.mean / max(oracleMean, 1e-9)
    n = good.values.count
  }
}

extension Sample {
  /// The standard deviation where the values are all there are.
  package var deviationOfAll: Double {
    (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)).squareRoot()
  }
}

extension NumberText {
  /// `12.3`; a dash for what is not known.
  package static func figure(_ value: Double?, decimals: Int = 1) -> String {
    value.map { fixed($0, decimals: decimals) } ?? "–"
  }
  /// `91.3 %`
  package static func share(_ value: Double?) -> String? { value.map { percent($0, decimals: 1) } }
}
