import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport
import QuenchVision

/// A policy that collects from a measured survey, from many start holes.
public struct EvaluatePolicy: Experiment {
  public static let kind = "cryo-evaluate"

  public var trials = PolicyTrials()
  public var policy = PolicyName.closedLoop
  /// The network of ``/QuenchCryoEM/PolicyName/dqn``: what ``TrainDQN`` writes.
  public var weights: String?
  /// How `tree-dp` makes probabilities of predictions.
  public var calibration = CalibrationName.automatic
  /// Exposures between two plans of `closed-loop`.
  public var replan = 1

  /// A row for each start and budget.
  public static let episodesFileName = "episodes.csv"

  public init() {}

  public struct Outcome: Codable, Sendable {
    public var policy: PolicyName
    public var holes: Int
    /// Start holes.
    public var starts: Int
    public var goodHoles: Int
    public var synthetic: Bool
    /// By the minutes as text: `120`.
    public var budgets: ByName<CollectedFigures>
    /// Of the policy's episodes.
    public var seconds: Double
    public var visitsPerSecond: Double
  }

  public func versions(on device: String) -> Record { tensorVersions(on: device, .float32) }

  public func checked() throws(InputError) -> EvaluatePolicy {
    try trials.validate()
    try requireSetting(replan >= 1, "replan", "at least 1", replan)
    try requireSetting(policy != .dqn || weights != nil, "weights", "the network of the policy dqn", "none")
    return self
  }

  public func run(in context: RunContext) throws -> Outcome {
    let console = context.console
    let survey = try trials.survey(console)
    let starts = try survey.starts(trials.starts, seed: trials.seedBits)
    var maker = PolicyMaker(training: try trials.trainingSurvey(console))
    (maker.calibration, maker.interval, maker.seed) = (calibration, replan, trials.seedBits)
    if let weights {
      maker.dqn = DQNPolicy(try QNetwork(contentsOf: URL(filePath: weights), device: context.tensorDevice()))
    }
    let environment = try Environment(survey, rules: trials.rules.rules(budget: trials.longest))
    let player = PolicyPlayer(
      environment: environment, starts: starts, budgets: trials.minutes, console: console)
    let folder = try context.open(
      inputs: trials.inputs().merging(Fingerprint.inputs(["weights": weights])))

    let clock = ContinuousClock.now
    let evaluation = try player.play(maker.make(policy, in: environment), "Collecting")
    let seconds = (ContinuousClock.now - clock) / .seconds(1)
    let oracle = policy == .oracle ? evaluation : try player.play(PlanPolicy.oracle(environment), "Oracle")
    try AtomicFile.write(Data(evaluation.table.utf8), to: folder.artefact(Self.episodesFileName))
    try figures(evaluation, oracle, player).write(to: folder.artefact(CollectionFigures.fileName))

    var budgets = ByName<CollectedFigures>()
    for budget in trials.minutes {
      budgets[PolicyTrials.name(budget)] = CollectedFigures(evaluation, of: oracle, budget: budget)
    }
    return Outcome(
      policy: policy, holes: survey.count, starts: starts.count,
      goodHoles: survey.goodCount(threshold: trials.rules.threshold), synthetic: survey.isSynthetic,
      budgets: budgets, seconds: seconds,
      visitsPerSecond: Double(evaluation.traces.reduce(0) { $0 + $1.steps.count }) / max(seconds, 1e-9))
  }

  /// Curves of the policy, the oracle and greedy-patch, and a map of the first start's episode.
  private func figures(
    _ evaluation: PolicyEvaluation, _ oracle: PolicyEvaluation, _ player: PolicyPlayer
  ) throws -> CollectionFigures {
    let environment = player.environment
    var figures = CollectionFigures(environment.survey, budget: trials.longest)
    figures.add(policy.rawValue, [evaluation], rule: trials.rules.rule)
    if policy != .oracle { figures.add("oracle", [oracle], rule: trials.rules.rule) }
    if policy != .greedyPatch, environment.visible.holes.allSatisfy({ $0.prediction != nil }) {
      let greedy = try PolicyEvaluation(
        FixedOrder.greedy(.patch), in: environment, starts: player.starts, budgets: [trials.longest])
      figures.add("greedy-patch", [greedy], rule: trials.rules.rule)
    }
    if let trace = evaluation.traces.first { figures.show(trace, of: policy, on: environment.survey) }
    return figures
  }
}

extension PolicyEvaluation {
  /// The rows as text, with a header line.
  public var table: String {
    func decimal(_ value: Double) -> String { "\((value * 1e6).rounded() / 1e6)" }
    return rows.reduce(into: "start,budget,good,visits,minutes,reward\n") { text, row in
      text += "\(row.start),\(PolicyTrials.name(row.budget)),\(row.result.good),\(row.result.visits),"
      text += "\(decimal(row.result.minutes)),\(decimal(row.result.reward))\n"
    }
  }
}

// MARK: - Text and page

extension EvaluatePolicy {
  public static func text(of run: PerformedRun<EvaluatePolicy>) -> String {
    guard let outcome = run.outcome else { return "" }
    let table = Table(
      "",
      columns: [
        .number("min"), .number("good"), .number("± sd"), .number("95 %"), .number("exposures"), .number("oracle")
      ],
      rows: run.experiment.trials.minutes.map { budget in
        let figures = outcome.budgets[PolicyTrials.name(budget)]
        return [
          "\(NumberText.plain(budget))", "\(NumberText.figure(figures?.goodMean))",
          "\(NumberText.figure(figures?.goodSd))", "\(interval(figures))",
          "\(NumberText.figure(figures?.visitsMean))", "\(NumberText.figure(figures?.oracleMean))"
        ]
      })
    return """
      \(table.text)
      rows    \(run.folder.artefact(episodesFileName).relativePath)
      report  \(run.folder.report.relativePath)
      """
  }

  public static func report(of run: PerformedRun<EvaluatePolicy>) -> Report {
    let (trials, policy) = (run.experiment.trials, run.experiment.policy.rawValue)
    let figures = trials.minutes.map {
      (name: PolicyTrials.name($0), of: run.outcome?.budgets[PolicyTrials.name($0)])
    }
    let table = Table(
      "Good micrographs by budget",
      columns: [
        .number("Budget", unit: "min"), .number("Good, mean"), .number("± sd"), .number("95 % of the mean"),
        .number("Exposures"), .number("Oracle"), .number("Of the oracle")
      ],
      rows: figures.map { name, of in
        [
          "\(name)", .init(NumberText.figure(of?.goodMean), isStrong: true), "\(NumberText.figure(of?.goodSd))",
          "\(interval(of))", "\(NumberText.figure(of?.visitsMean))", "\(NumberText.figure(of?.oracleMean))",
          "\(NumberText.share(of?.ofOracle) ?? "–")"
        ]
      })
    var sections: [Report.Section] = .caution(of: run)
    sections.append(.init("Results", [.table(table)]))
    sections += CollectionFigures(of: run)?.sections() ?? []
    return Report(
      title: "\(policy) on \(run.surveyName)",
      summary:
        "The policy `\(policy)` collected from \(NumberText.figure(run.outcome.map { Double($0.starts) }, decimals: 0)) start holes, by rule "
        + "\(trials.rules.rule.rawValue) with \(trials.rules.threshold) Å as the threshold.",
      keyFigures: figures.map { name, of in
        .init(
          "Good in \(name) min", NumberText.figure(of?.goodMean),
          detail: NumberText.share(of?.ofOracle).map { "\($0) of the oracle" } ?? "")
      },
      sections: sections, record: run.record)
  }

  private static func interval(_ figures: CollectedFigures?) -> String {
    "\(NumberText.figure(figures?.goodLow)) to \(NumberText.figure(figures?.goodHigh))"
  }
}
