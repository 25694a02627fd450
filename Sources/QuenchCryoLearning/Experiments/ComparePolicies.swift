import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Policies that collect from the same start holes of one survey: a part of a ``PolicyStudy``.
public struct ComparePolicies: Experiment {
  public static let kind = "cryo-compare"

  /// What becomes of the predictions before policies see them.
  public enum Change: String, CaseIterable, Codable, Sendable {
    case none
    /// Every prediction is the survey's median: they tell nothing.
    case constant
    /// Predictions are 1.5 Å too high on a random half of the patches.
    case damaged
  }

  public var trials = PolicyTrials()
  /// Networks of one setting, one a seed: `name=file,file`.
  public var dqn: [String] = []
  public var policies = PolicyName.allCases
  public var change = Change.none

  public init() {}

  /// What a policy collected under one budget; of several networks, over all of them.
  public struct Cell: Codable, Hashable, Sendable {
    /// Good micrographs over all start holes, and their standard deviation (population).
    public var mean: Double
    public var sd: Double
    /// The share of what the policy that knows the truth collected.
    public var ofOracle: Double
    /// Networks; 1 for other policies.
    public var seeds: Int
    /// The standard deviation of the networks' means, where there are several.
    public var sdOfSeeds: Double?

    init(_ evaluations: [PolicyEvaluation], of oracle: PolicyEvaluation, budget: Double) {
      let means = Sample(evaluations.map { Sample($0.good(budget: budget)).mean })
      let all = Sample(evaluations.flatMap { $0.good(budget: budget) })
      (mean, sd) = (all.mean, all.deviationOfAll)
      ofOracle = mean / max(Sample(oracle.good(budget: budget)).mean, 1e-9)
      seeds = means.values.count
      sdOfSeeds = means.standardDeviation
    }
  }

  /// Cells by policy and by minutes as text: `policies["closed-loop"]?["120"]`.
  public typealias Cells = ByName<ByName<Cell>>

  public struct Outcome: Codable, Sendable {
    public var policies: Cells
  }

  public func versions(on device: String) -> Record { tensorVersions(on: device, .float32) }

  public func checked() throws(InputError) -> ComparePolicies {
    try trials.validate()
    for item in dqn { try requireSetting(item.contains("="), "dqn", "name=file,file", "'\(item)'") }
    return self
  }

  /// The networks by the names of their settings.
  private var networkFiles: [(name: String, files: [String])] {
    dqn.map { item in
      let parts = item.split(separator: "=", maxSplits: 1).map(String.init)
      return (parts[0], parts.dropFirst().first?.split(separator: ",").map(String.init) ?? [])
    }
  }

  /// - Throws: `InputError` if a file cannot be read.
  func inputs() throws(InputError) -> Record {
    var inputs = try trials.inputs()
    for (name, files) in networkFiles {
      for (index, file) in files.enumerated() {
        inputs["dqn-\(name)-\(index + 1)"] = .string(try Fingerprint.sha256(ofFile: URL(filePath: file)))
      }
    }
    return inputs
  }

  public func run(in context: RunContext) throws -> Outcome {
    let console = context.console
    let survey = try change.applied(to: trials.survey(console), seed: trials.seedBits)
    var maker = PolicyMaker(training: try trials.trainingSurvey(console))
    maker.seed = trials.seedBits
    let device = try context.tensorDevice()
    let networks = try networkFiles.map { item in
      (item.name, try item.files.map { try QNetwork(contentsOf: URL(filePath: $0), device: device) })
    }
    let environment = try Environment(survey, rules: trials.rules.rules(budget: trials.longest))
    let player = PolicyPlayer(
      environment: environment, starts: try survey.starts(trials.starts, seed: trials.seedBits),
      budgets: trials.minutes, console: console)
    func play(_ name: PolicyName) throws -> PolicyEvaluation {
      try player.play(maker.make(name, in: environment), name.rawValue)
    }
    let folder = try context.open(inputs: inputs())

    let oracle = try play(.oracle)
    var cells = Cells()
    var figures = CollectionFigures(survey, budget: trials.longest)
    func add(_ label: String, _ evaluations: [PolicyEvaluation]) {
      var row = ByName<Cell>()
      for budget in trials.minutes {
        row[PolicyTrials.name(budget)] = Cell(evaluations, of: oracle, budget: budget)
      }
      cells[label] = row
      figures.add(label, evaluations, rule: trials.rules.rule)
    }
    for name in policies where name != .dqn && name != .oracle {
      let evaluation = try play(name)
      add(name.rawValue, [evaluation])
      if name == .closedLoop, let trace = evaluation.traces.first { figures.show(trace, of: name, on: survey) }
    }
    for (label, networks) in networks where policies.contains(.dqn) {
      add(
        "dqn-\(label)",
        try networks.map { network in
          maker.dqn = DQNPolicy(network)
          return try play(.dqn)
        })
    }
    add("oracle", [oracle])
    try figures.write(to: folder.artefact(CollectionFigures.fileName))
    return Outcome(policies: cells)
  }

  public static func text(of run: PerformedRun<ComparePolicies>) -> String {
    run.outcome.map { table($0.policies, run.experiment.trials.minutes, run.experiment.change.caption).text } ?? ""
  }

  public static func report(of run: PerformedRun<ComparePolicies>) -> Report {
    let (trials, change) = (run.experiment.trials, run.experiment.change)
    var sections: [Report.Section] = .caution(of: run)
    if let outcome = run.outcome {
      sections.append(.init("Results", [.table(table(outcome.policies, trials.minutes, change.caption))]))
    }
    return Report(
      title: "Policies compared on \(run.surveyName)", summary: trials.rules.protocolText,
      sections: sections + (CollectionFigures(of: run)?.sections() ?? []), record: run.record)
  }

  /// A row a policy.
  static func table(_ cells: Cells, _ budgets: [Double], _ caption: String) -> Table {
    Table(
      caption,
      columns: [.text("Policy")] + budgets.map { .number("\(NumberText.plain($0)) min") }
        + [.number("of the oracle"), .number("seeds")],
      rows: cells.names.map { row($0, budgets, cells[$0]) })
  }

  private static func row(_ label: String, _ budgets: [Double], _ cells: ByName<Cell>?) -> [Table.Cell] {
    let row = budgets.map { cells?[PolicyTrials.name($0)] }
    let last = cells?[PolicyTrials.name(budgets.max() ?? 0)]
    let means = row.map { "\(NumberText.figure($0?.mean)) ± \(NumberText.figure($0?.sd))" }
    let ends = [NumberText.share(last?.ofOracle) ?? "–", last.map { "\($0.seeds)" } ?? "–"]
    return ([label] + means + ends).map { Table.Cell($0) }
  }
}

extension ComparePolicies.Change {
  /// What the comparison shows.
  var caption: String {
    switch self {
    case .none: "Good micrographs, mean ± sd over the start holes"
    case .constant: "The same where every prediction is the survey's median: useless predictions"
    case .damaged: "The same where predictions are 1.5 Å too high on a random half of the patches"
    }
  }

  /// The survey with changed predictions.
  /// - Throws: `InputError` if a hole has no predicted resolution to change.
  func applied(to survey: Survey, seed: UInt64) throws(InputError) -> Survey {
    guard self != .none else { return survey }
    let values = survey.holes.compactMap { $0.prediction?.resolution }.sorted()
    guard values.count == survey.count else {
      throw InputError(
        "there is no predicted resolution to change", at: "change", expected: "one of every hole",
        found: "\(values.count) of \(survey.count)")
    }
    guard self == .damaged else {
      let median = values[values.count / 2]
      return survey.predicting(survey.holes.map { _ in .resolution(median) })
    }
    var generator = SplitMix64(seed, 0xDA3A)
    let half = Set(survey.patches.indices.shuffled(using: &generator).prefix(survey.patches.count / 2))
    return survey.predicting(
      survey.holes.map { hole in
        guard half.contains(hole.patch), let value = hole.prediction?.resolution else { return hole.prediction }
        return .resolution(value + 1.5)
      })
  }
}
