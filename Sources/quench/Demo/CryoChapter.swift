import Foundation
import QuenchCryoEM
import QuenchCryoLearning
import QuenchReporting
import QuenchVision

/// An acquisition planned on a synthetic survey: what chance, habit, planning and an oracle collect in the same time.
enum CryoChapter: DemoChapter {
  /// The survey that planners learn from, the one that is planned, and the comparison.
  private static let (past, grid, study) = ("cryo-past", "cryo-grid", "cryo")
  private static let policies: [PolicyName] = [
    .random, .snowball, .greedyPatch, .treeDP, .closedLoop, .oracle
  ]
  private static let budgets = [60.0, 120, 240]

  static func parts(in folder: URL, precision: Precision) -> [StudyPart] {
    func simulation(seed: Int) -> SimulateSurvey {
      var simulation = SimulateSurvey()
      simulation.seed = seed
      return simulation
    }
    func file(_ part: String, _ name: String) -> String { folder.appending(path: "\(part)/\(name)").relativePath }
    var comparison = PolicyStudy()
    comparison.trials.source = SurveySelection(
      file(grid, SimulateSurvey.surveyFileName), predictions: file(grid, SimulateSurvey.predictionsFileName))
    comparison.trials.training = TrainingSurvey(
      file(past, SimulateSurvey.surveyFileName), predictions: file(past, SimulateSurvey.predictionsFileName))
    (comparison.trials.minutes, comparison.trials.starts) = (budgets, "20")
    return [
      StudyPart(past, simulation(seed: 1)), StudyPart(grid, simulation(seed: 2)), StudyPart(study, comparison)
    ]
  }

  /// The comparison, once it is done.
  private static func outcome(_ runs: DemoRuns) -> (PolicyStudy.Outcome, CollectionFigures?)? {
    guard let run = runs.done(study, PolicyStudy.self), let outcome = run.outcome else { return nil }
    return (outcome, CollectionFigures(of: run))
  }

  private static func cell(
    _ outcome: PolicyStudy.Outcome, _ policy: PolicyName, _ budget: Double
  ) -> ComparePolicies.Cell? { outcome.main[policy.rawValue]?[PolicyTrials.name(budget)] }

  static func summary(_ runs: DemoRuns) -> Record {
    guard let (outcome, _) = outcome(runs) else { return [:] }
    var summary: Record = ["cryo_synthetic": .bool(outcome.synthetic)]
    for policy in policies {
      for budget in budgets {
        let key = "cryo_\(policy.rawValue.replacing("-", with: "_"))_\(PolicyTrials.name(budget))_good"
        summary[key] = cell(outcome, policy, budget).map { .double($0.mean) }
      }
    }
    return summary
  }

  static func tables(_ runs: DemoRuns) -> [Table] {
    guard let (outcome, _) = outcome(runs) else { return [] }
    return [
      Table(
        "Good micrographs in the same time, mean ± sd over \(outcome.starts) start holes of a synthetic survey",
        columns: [.text("Policy")] + budgets.map { .number("\(PolicyTrials.name($0)) min") }
          + [.number("of the oracle")],
        rows: policies.map { policy in
          let cells = budgets.map { cell(outcome, policy, $0) }
          let share = cells.last?.map { NumberText.percent($0.ofOracle, decimals: 1) } ?? nil
          return ["\(policy.rawValue)"]
            + cells.map { cell -> Table.Cell in
              guard let cell else { return "–" }
              return "\(NumberText.fixed(cell.mean, decimals: 1)) ± \(NumberText.fixed(cell.sd, decimals: 1))"
            } + ["\(share ?? "–")"]
        })
    ]
  }

  static func keyFigures(_ runs: DemoRuns) -> [Report.KeyFigure] {
    let last = budgets[budgets.count - 1]
    guard let (outcome, _) = outcome(runs), let planned = cell(outcome, .closedLoop, last),
      let greedy = cell(outcome, .greedyPatch, last)
    else { return [] }
    return [
      .init(
        "Closed-loop planning", NumberText.percent(planned.ofOracle, decimals: 1),
        detail: "of the oracle's micrographs; greedy: \(NumberText.percent(greedy.ofOracle, decimals: 1))")
    ]
  }

  static func sections(_ runs: DemoRuns) -> [Report.Section] {
    guard let (outcome, figures) = outcome(runs) else { return [] }
    return [
      Report.Section(
        "Planning a cryo-EM session",
        [
          .callout(.caution, "The survey is synthetic: no microscope took these exposures."),
          .prose(
            "Each policy chooses holes one after the other until the time is up; moves cost minutes, and only holes "
              + "of 6 Å or better count. The planners (tree-dp, closed-loop) learned how far predictions can be "
              + "trusted from another made-up survey; the oracle knows every outcome beforehand. One survey of "
              + "\(Wording.count(Double(outcome.holes))) holes: it shows the order of the policies, not what a real "
              + "grid would give.")
        ] + tables(runs).map { .table($0) } + (figures?.blocks(of: Set(policies.map(\.rawValue))) ?? [])
          + (figures?.map ?? []))
    ]
  }
}
