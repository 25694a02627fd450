import CryoEM
import Foundation
import Reporting
import Support
import Torch
import Vision

/// What several cryo-EM commands do with their surveys.
enum CryoData {
  /// The measured holes alone; says how many are left out.
  static func measured(_ survey: Survey, _ output: OutputOptions) throws(InputError) -> Survey {
    let measured = survey.holes.indices.filter { survey.holes[$0].fit.isMeasured }
    guard measured.count < survey.count else { return survey }
    guard !measured.isEmpty else {
      throw InputError(
        "no hole of the survey was ever measured", at: "--survey",
        remedy: "policies can be compared only on holes whose outcome is known")
    }
    output.note(
      "note: \(survey.count - measured.count) of \(NumberText.count(survey.count, "hole")) without a measured CTF left out"
    )
    return try survey.subset(measured, from: "--survey")
  }

  /// Start holes: a number of random ones, or a list of indices and names.
  static func starts(_ text: String, of survey: Survey, seed: UInt64) throws(InputError) -> [Int] {
    if let count = Int(text) {
      guard count >= 1 else {
        throw InputError("there is no start hole", at: "--starts", expected: "1 or more", found: text)
      }
      return PolicyEvaluation.starts(count, of: survey, seed: seed)
    }
    var starts: [Int] = []
    for item in text.split(separator: ",") { starts.append(try start(String(item), of: survey, at: "--starts")) }
    return starts
  }

  /// One hole by its index from 0 or its name.
  static func start(_ text: String, of survey: Survey, at flag: String) throws(InputError) -> Int {
    let text = text.trimmingCharacters(in: .whitespaces)
    guard let index = Int(text) else { return try survey.index(of: text, at: flag) }
    guard survey.holes.indices.contains(index) else {
      throw InputError(
        "there is no hole of this index in the survey", at: flag, expected: "0 to \(survey.count - 1)", found: text)
    }
    return index
  }
}

/// One policy on one survey: what `quench cryo evaluate` does.
struct CryoEvaluationRun {
  static let episodesFileName = "episodes.csv"

  let name: PolicyName
  let maker: PolicyMaker
  let environment: Environment
  let starts: [Int]
  let budgets: [Double]
  let output: OutputOptions

  private var rule: BudgetRule { environment.rules.rule }

  /// Plays all episodes and writes them into `folder`.
  /// - Returns: The run's summary.
  func evaluate(in folder: RunFolder) throws -> Record {
    let clock = ContinuousClock.now
    let evaluation = try play(maker.make(name, in: environment), "Collecting")
    let seconds = (ContinuousClock.now - clock) / .seconds(1)
    let oracle = name == .oracle ? evaluation : try play(PlanPolicy.oracle(environment), "Oracle")

    var rows = "start,budget,good,visits,minutes,reward\n"
    for row in evaluation.rows {
      rows += "\(row.start),\(NumberText.plain(row.budget, digits: 12)),\(row.result.good),\(row.result.visits),"
      rows += "\(Self.decimal(row.result.minutes)),\(Self.decimal(row.result.reward))\n"
    }
    try AtomicFile.write(Data(rows.utf8), to: folder.artefact(Self.episodesFileName))
    try figures(evaluation, oracle).write(to: folder.artefact(CryoFigures.fileName))

    var summary: Record = [
      "policy": .string(name.rawValue), "holes": .int(environment.survey.count), "starts": .int(starts.count),
      "good_holes": .int(environment.survey.goodCount(threshold: environment.rules.threshold)),
      "synthetic": .bool(CryoStudy.isSynthetic(environment.survey))
    ]
    var budgets: Record = [:]
    for budget in self.budgets {
      budgets[NumberText.plain(budget, digits: 12)] = .object(Self.record(evaluation, oracle, budget))
    }
    summary["budgets"] = .object(budgets)
    summary["seconds"] = .double(seconds)
    summary["visits_per_second"] = .double(
      Double(evaluation.traces.reduce(0) { $0 + $1.steps.count }) / max(seconds, 1e-9))
    return summary
  }

  func play(_ policy: any Policy, _ task: String) throws -> PolicyEvaluation {
    func play(_ policy: some Policy) throws -> PolicyEvaluation {
      let total = PolicyEvaluation.episodes(policy, starts: starts, budgets: budgets)
      var line = ProgressLine(task, total: total, unit: "episodes", style: output.progress)
      let evaluation = try PolicyEvaluation(policy, in: environment, starts: starts, budgets: budgets) { done in
        line.update(done)
        if Interruption.isRequested { throw Interrupted(folder: nil) }
      }
      line.finish()
      return evaluation
    }
    return try play(policy)
  }

  /// Mean, standard deviation over the starts (population) and 95 % interval of the mean.
  static func record(_ evaluation: PolicyEvaluation, _ oracle: PolicyEvaluation, _ budget: Double) -> Record {
    let rows = evaluation.rows.filter { $0.budget == budget }
    let good = Sample(evaluation.good(budget: budget))
    func mean(_ value: (EpisodeResult) -> Double) -> Double {
      rows.reduce(0) { $0 + value($1.result) } / Double(rows.count)
    }
    let variance = good.values.reduce(0) { $0 + ($1 - good.mean) * ($1 - good.mean) } / Double(good.values.count)
    let best = Sample(oracle.good(budget: budget)).mean
    return [
      "good_mean": .double(good.mean), "good_sd": .double(variance.squareRoot()),
      "good_low": .double(good.interval?.lowerBound ?? good.mean),
      "good_high": .double(good.interval?.upperBound ?? good.mean),
      "visits_mean": .double(mean { Double($0.visits) }),
      "minutes_mean": .double(mean(\.minutes)), "reward_mean": .double(mean(\.reward)),
      "oracle_mean": .double(best),
      "of_oracle": .double(good.mean / max(best, 1e-9)), "n": .int(good.values.count)
    ]
  }

  /// Curves of the policy, the oracle and greedy-patch, and a map of the first start's episode.
  private func figures(_ evaluation: PolicyEvaluation, _ oracle: PolicyEvaluation) throws -> CryoFigures {
    var figures = CryoFigures()
    let largest = budgets.max() ?? 0
    figures.minutes = (0...60).map { largest * Double($0) / 60 }
    figures.curves = [.init(name: name.rawValue, good: evaluation.curve(at: figures.minutes, rule: rule))]
    if name != .oracle {
      figures.curves.append(.init(name: "oracle", good: oracle.curve(at: figures.minutes, rule: rule)))
    }
    let isPredicted = environment.visible.holes.allSatisfy { $0.prediction != nil }
    if isPredicted, name != .greedyPatch {
      let greedy = try PolicyEvaluation(
        FixedOrder.greedy(.patch), in: environment, starts: starts, budgets: [largest])
      figures.curves.append(.init(name: "greedy-patch", good: greedy.curve(at: figures.minutes, rule: rule)))
    }
    if let trace = evaluation.traces.first { figures.show(trace, of: name, on: environment.survey) }
    figures.isSynthetic = CryoStudy.isSynthetic(environment.survey)
    return figures
  }

  static func decimal(_ value: Double) -> String { "\((value * 1e6).rounded() / 1e6)" }
}
