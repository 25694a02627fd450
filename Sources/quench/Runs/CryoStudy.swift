import CryoEM
import Foundation
import Reporting
import Support
import Torch
import Vision

/// Every policy against each other: what `quench cryo study` does.
struct CryoStudy {
  let survey: Survey
  let training: Survey
  let rules: AcquisitionRules
  let starts: [Int]
  let budgets: [Double]
  /// Networks of one setting, one a seed, by the setting's name.
  let networks: [(name: String, networks: [QNetwork])]
  let seed: UInt64
  let output: OutputOptions

  /// Whether a survey is made up.
  static func isSynthetic(_ survey: Survey) -> Bool { survey.holes[0].name.hasPrefix("synthetic") }

  /// Policies that tables compare and a study's chart leaves out.
  static let simple: [PolicyName] = [.random, .serial, .predictRank, .greedyTile]

  /// The comparisons of a study, with what each shows.
  private static let comparisons = [
    ("main", "Good micrographs, mean ± sd over the start holes"),
    ("constant", "The same where every prediction is the survey's median: useless predictions"),
    ("damaged", "The same where predictions are 1.5 Å too high on a random half of the patches")
  ]

  /// - Returns: The study's summary.
  func perform(in folder: RunFolder) throws -> Record {
    var summary: Record = [
      "holes": .int(survey.count), "starts": .int(starts.count), "synthetic": .bool(Self.isSynthetic(survey)),
      "budgets": .array(budgets.map { .double($0) })
    ]
    summary["main"] = .object(try compare(survey, PolicyName.allCases, folder))
    let values = survey.holes.compactMap { $0.prediction?.resolution }.sorted()
    if values.count == survey.count {
      let few: [PolicyName] = [.snowball, .treeDP, .closedLoop]
      let median = values[values.count / 2]
      let constant = survey.predicting(survey.holes.map { _ in .resolution(median) })
      summary["constant"] = .object(try compare(constant, few, nil))
      summary["damaged"] = .object(try compare(damaged(), few, nil))
    }
    summary["tiles"] = .object(try leaveOneTileOut())
    return summary
  }

  private func damaged() -> Survey {
    var generator = SplitMix64(seed, 0xDA3A)
    let half = Set(survey.patches.indices.shuffled(using: &generator).prefix(survey.patches.count / 2))
    return survey.predicting(
      survey.holes.map { hole in
        guard half.contains(hole.patch), let value = hole.prediction?.resolution else { return hole.prediction }
        return .resolution(value + 1.5)
      })
  }

  private func compare(_ survey: Survey, _ names: [PolicyName], _ folder: RunFolder?) throws -> Record {
    var maker = PolicyMaker(training: training)
    maker.seed = seed
    let environment = try Environment(survey, rules: rules)
    func run(_ name: PolicyName, _ maker: PolicyMaker) throws -> PolicyEvaluation {
      try CryoEvaluationRun(
        name: name, maker: maker, environment: environment, starts: starts, budgets: budgets, output: output
      ).play(maker.make(name, in: environment), name.rawValue)
    }
    let oracle = try run(.oracle, maker)
    var result: Record = [:]
    var figures = CryoFigures()
    figures.minutes = (0...60).map { (budgets.max() ?? 0) * Double($0) / 60 }
    func add(_ label: String, _ evaluations: [PolicyEvaluation]) {
      var cells: Record = [:]
      for budget in budgets {
        cells[NumberText.plain(budget, digits: 12)] = .object(cell(evaluations, oracle, budget))
      }
      result[label] = .object(cells)
      let curves = evaluations.map { $0.curve(at: figures.minutes, rule: rules.rule) }
      figures.curves.append(
        .init(
          name: label,
          good: figures.minutes.indices.map { i in curves.reduce(0) { $0 + $1[i] } / Double(curves.count) }))
    }
    for name in names where name != .dqn && name != .oracle {
      let evaluation = try run(name, maker)
      add(name.rawValue, [evaluation])
      if name == .closedLoop, let trace = evaluation.traces.first { figures.show(trace, of: name, on: survey) }
    }
    for (label, networks) in networks where names.contains(.dqn) {
      add(
        "dqn-\(label)",
        try networks.map { network in
          maker.network = network
          return try run(.dqn, maker)
        })
    }
    add("oracle", [oracle])
    if let folder {
      figures.isSynthetic = Self.isSynthetic(survey)
      try figures.write(to: folder.artefact(CryoFigures.fileName))
    }
    return result
  }

  private func cell(_ evaluations: [PolicyEvaluation], _ oracle: PolicyEvaluation, _ budget: Double) -> Record {
    let means = Sample(evaluations.map { Sample($0.good(budget: budget)).mean })
    let all = evaluations.flatMap { $0.good(budget: budget) }
    let mean = Sample(all).mean
    let variance = all.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(all.count)
    var record: Record = [
      "mean": .double(mean), "sd": .double(variance.squareRoot()),
      "of_oracle": .double(mean / max(Sample(oracle.good(budget: budget)).mean, 1e-9)),
      "seeds": .int(means.values.count)
    ]
    record["sd_of_seeds"] = means.standardDeviation.map { .double($0) }
    return record
  }

  /// For each tile of both surveys: planners that learned from all other tiles, on that tile alone, with a budget in
  /// proportion to its holes.
  private func leaveOneTileOut() throws -> Record {
    let entries = [training, survey].flatMap { survey in survey.holes.indices.map(survey.entry) }
    let whole = try Survey(entries, from: "both surveys")
    let names: [PolicyName] = [.oracle, .closedLoop, .treeDP, .greedyPatch, .snowball]
    var totals = [Double](repeating: 0, count: names.count)
    var result: Record = [:]
    for tile in whole.tiles {
      let held = try whole.subset(tile.holes, from: tile.name)
      let others = try whole.subset(
        whole.holes.indices.filter { !tile.holes.contains($0) }, from: "the other tiles")
      var rules = rules
      rules.budget = (Double(held.count) * (budgets.max() ?? 0) / Double(survey.count)).rounded(.up)
      let environment = try Environment(held, rules: rules)
      let starts = PolicyEvaluation.starts(10, of: held, seed: seed)
      var row: Record = ["holes": .int(held.count), "budget": .double(rules.budget)]
      for (index, name) in names.enumerated() {
        let evaluation = try CryoEvaluationRun(
          name: name, maker: PolicyMaker(training: others), environment: environment, starts: starts,
          budgets: [rules.budget], output: output
        ).play(PolicyMaker(training: others).make(name, in: environment), "\(tile.name) \(name.rawValue)")
        let good = Sample(evaluation.good(budget: rules.budget)).mean
        totals[index] += good
        row[name.rawValue] = .double(good)
      }
      result[tile.name] = .object(row)
    }
    result["total"] = .object(
      zip(names, totals).reduce(into: [:] as Record) { record, total in
        record[total.0.rawValue] = .double(total.1)
      })
    return result
  }

  // MARK: - Tables

  /// The tables of a study's summary.
  static func tables(_ summary: Record) -> [Table] {
    let budgets = summary["budgets"]?.array?.compactMap(\.number) ?? []
    var tables = comparisons.compactMap { key, caption -> Table? in
      let labels = labels(summary, key)
      guard !labels.isEmpty else { return nil }
      return Table(
        caption,
        columns: [.text("Policy")] + budgets.map { .number("\(NumberText.plain($0)) min") }
          + [.number("of the oracle"), .number("seeds")],
        rows: labels.map { label -> [Table.Cell] in
          func value(_ budget: Double, _ name: String) -> Double? {
            summary["\(key).\(label).\(NumberText.plain(budget, digits: 12)).\(name)"]?.number
          }
          let cells = budgets.map { budget -> Table.Cell in
            "\(CryoReport.text(value(budget, "mean"))) ± \(CryoReport.text(value(budget, "sd")))"
          }
          let last = budgets.max() ?? 0
          return ["\(label)"] + cells
            + [
              "\(value(last, "of_oracle").map { NumberText.percent($0, decimals: 1) } ?? "–")",
              "\(CryoReport.text(value(last, "seeds"), decimals: 0))"
            ]
        })
    }
    let tiles = labels(summary, "tiles")
    let columns = ["holes", "budget", "oracle", "closed-loop", "tree-dp", "greedy-patch", "snowball"]
    if !tiles.isEmpty {
      tables.append(
        Table(
          "Leave one tile out: planners that learned from all other tiles",
          columns: [.text("Tile")] + columns.map { .number($0) },
          rows: tiles.map { tile in
            ["\(tile)"] + columns.map { "\(CryoReport.text(summary["tiles.\(tile).\($0)"]?.number))" }
          }))
    }
    return tables
  }

  /// The names under a key of a flat summary, in order.
  private static func labels(_ summary: Record, _ key: String) -> [String] {
    var labels: [String] = []
    for name in summary.keys where name.hasPrefix(key + ".") {
      let label = String(name.dropFirst(key.count + 1).prefix { $0 != "." })
      if labels.last != label { labels.append(label) }
    }
    return labels
  }
}
