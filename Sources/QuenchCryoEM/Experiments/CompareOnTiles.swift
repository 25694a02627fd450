import Foundation
import QuenchReporting
import QuenchSupport

/// For each tile of two surveys: planners that learned from all other tiles, on that tile alone, with a budget in
/// proportion to its holes. A part of a `PolicyStudy` of `CryoLearning`.
public struct CompareOnTiles: Experiment {
  public static let kind = "cryo-tiles"

  public var trials = PolicyTrials()

  public init() {}

  /// Mean good micrographs over ten start holes of a tile, or their sums over all tiles.
  public struct Row: Codable, Hashable, Sendable {
    /// Nil for the sums.
    public var holes: Int?
    /// Minutes; nil for the sums.
    public var budget: Double?
    public var oracle = 0.0
    public var closedLoop = 0.0
    public var treeDP = 0.0
    public var greedyPatch = 0.0
    public var snowball = 0.0

    enum CodingKeys: String, CodingKey {
      case holes, budget, oracle, snowball
      case closedLoop = "closed-loop"
      case treeDP = "tree-dp"
      case greedyPatch = "greedy-patch"
    }

    static var policies: [(name: PolicyName, figure: WritableKeyPath<Row, Double> & Sendable)] {
      [
        (.oracle, \.oracle), (.closedLoop, \.closedLoop), (.treeDP, \.treeDP), (.greedyPatch, \.greedyPatch),
        (.snowball, \.snowball)
      ]
    }
  }

  public struct Outcome: Codable, Sendable {
    /// By the tile's name, and `total`.
    public var tiles: ByName<Row>
  }

  public func checked() throws(InputError) -> CompareOnTiles {
    try trials.validate()
    try trials.requireTraining()
    return self
  }

  public func run(in context: RunContext) throws -> Outcome {
    let survey = try trials.survey(context.console)
    let training = try trials.trainingSurvey(context.console)
    _ = try context.open(inputs: trials.inputs())
    let entries = [training, survey].compactMap(\.self).flatMap { survey in survey.holes.indices.map(survey.entry) }
    let whole = try Survey(entries, from: "both surveys")
    var (tiles, total) = (ByName<Row>(), Row())
    for tile in whole.tiles {
      let (others, held) = try whole.splitting(off: [tile])
      let budget = (Double(held.count) * trials.longest / Double(survey.count)).rounded(.up)
      let player = PolicyPlayer(
        environment: try Environment(held, rules: trials.rules.rules(budget: budget)),
        starts: PolicyEvaluation.starts(10, of: held, seed: trials.seedBits), budgets: [budget],
        console: context.console)
      var row = Row()
      (row.holes, row.budget) = (held.count, budget)
      for (name, figure) in Row.policies {
        let policy = try PolicyMaker(training: others).make(name, in: player.environment)
        let evaluation = try player.play(policy, "\(tile.name) \(name.rawValue)")
        row[keyPath: figure] = Sample(evaluation.good(budget: budget)).mean
        total[keyPath: figure] += row[keyPath: figure]
      }
      tiles[tile.name] = row
    }
    tiles["total"] = total
    return Outcome(tiles: tiles)
  }

  public static func text(of run: PerformedRun<CompareOnTiles>) -> String {
    run.outcome.map { table($0.tiles).text } ?? ""
  }

  public static func report(of run: PerformedRun<CompareOnTiles>) -> Report {
    var sections: [Report.Section] = .caution(of: run)
    if let outcome = run.outcome { sections.append(.init("Results", [.table(table(outcome.tiles))])) }
    return Report(
      title: "Policies compared tile by tile on \(run.surveyName)",
      summary: run.experiment.trials.rules.protocolText,
      sections: sections, record: run.record)
  }

  /// A row a tile.
  package static func table(_ tiles: ByName<Row>) -> Table {
    Table(
      "Leave one tile out: planners that learned from all other tiles",
      columns: [.text("Tile"), .number("holes"), .number("budget")]
        + Row.policies.map { .number($0.name.rawValue) },
      rows: tiles.names.map { name -> [Table.Cell] in
        let row = tiles[name]
        let figures =
          [row?.holes.map { Double($0) }, row?.budget]
          + Row.policies.map { policy in row?[keyPath: policy.figure] }
        return ([name] + figures.map { NumberText.figure($0) }).map { Table.Cell($0) }
      })
  }
}

extension PolicyTrials {
  /// - Throws: `InputError` if there are no predictions, or nothing to learn from.
  package func requireTraining() throws(InputError) {
    try source.requirePredictions()
    try requireSetting(
      training.trainSurvey != nil, "train-survey", "a file with its `train-predictions`", "nothing")
  }
}
