import CryoEM
import Reporting

/// An acquisition planned on a synthetic survey: what chance, habit, planning and an oracle collect in the same time.
enum CryoChapter: DemoChapter {
  /// The survey that planners learn from, the one that is planned, and the comparison.
  private static let (past, grid, study) = ("cryo-past", "cryo-grid", "cryo")
  private static let policies: [PolicyName] = [
    .random, .snowball, .greedyPatch, .treeDP, .closedLoop, .oracle
  ]
  private static let budgets = ["60", "120", "240"]

  static let parts: [RunPart] = [
    RunPart(name: past, arguments: ["cryo", "simulate", "--seed", "1"], lastFile: CryoSimulateCommand.lastFile),
    RunPart(name: grid, arguments: ["cryo", "simulate", "--seed", "2"], lastFile: CryoSimulateCommand.lastFile),
    RunPart(
      name: study,
      arguments: [
        "cryo", "study", "--survey", "{run}/\(grid)/survey.csv", "--predictions", "{run}/\(grid)/predictions.txt",
        "--train-survey", "{run}/\(past)/survey.csv", "--train-predictions", "{run}/\(past)/predictions.txt",
        "--minutes", budgets.joined(separator: ","), "--starts", "20"
      ])
  ]

  private static func number(_ run: RunFiles, _ policy: PolicyName, _ budget: String, _ name: String) -> Double? {
    run.number("main.\(policy.rawValue).\(budget).\(name)")
  }

  static func summary(_ parts: [RunFiles.Part]) -> Record {
    guard let run = parts[study] else { return [:] }
    var summary: Record = ["cryo_synthetic": .bool(run.summary["synthetic"]?.bool ?? true)]
    for policy in policies {
      for budget in budgets {
        let key = "cryo_\(policy.rawValue.replacing("-", with: "_"))_\(budget)_good"
        summary[key] = number(run, policy, budget, "mean").map { .double($0) }
      }
    }
    return summary
  }

  static func tables(_ parts: [RunFiles.Part]) -> [Table] {
    guard let run = parts[study] else { return [] }
    let last = budgets[budgets.count - 1]
    return [
      Table(
        "Good micrographs in the same time, mean ± sd over \(CryoReport.text(run.number("starts"), decimals: 0)) "
          + "start holes of a synthetic survey",
        columns: [.text("Policy")] + budgets.map { .number("\($0) min") } + [.number("of the oracle")],
        rows: policies.map { policy in
          let cells = budgets.map { budget -> Table.Cell in
            let (mean, deviation) = (number(run, policy, budget, "mean"), number(run, policy, budget, "sd"))
            return "\(CryoReport.text(mean)) ± \(CryoReport.text(deviation))"
          }
          let share = number(run, policy, last, "of_oracle").map { NumberText.percent($0, decimals: 1) }
          return ["\(policy.rawValue)"] + cells + ["\(share ?? "–")"]
        })
    ]
  }

  static func keyFigures(_ parts: [RunFiles.Part]) -> [Report.KeyFigure] {
    let last = budgets[budgets.count - 1]
    guard let run = parts[study], let share = number(run, .closedLoop, last, "of_oracle"),
      let greedy = number(run, .greedyPatch, last, "of_oracle")
    else { return [] }
    return [
      .init(
        "Closed-loop planning", NumberText.percent(share, decimals: 1),
        detail: "of the oracle's micrographs; greedy: \(NumberText.percent(greedy, decimals: 1))")
    ]
  }

  static func sections(_ parts: [RunFiles.Part]) -> [Report.Section] {
    guard let run = parts[study] else { return [] }
    let shown = Set(policies.map(\.rawValue))
    return [
      Report.Section(
        "Planning a cryo-EM session",
        [
          .callout(.caution, "The survey is synthetic: no microscope took these exposures."),
          .prose(
            "Each policy chooses holes one after the other until the time is up; moves cost minutes, and only holes "
              + "of 6 Å or better count. The planners (tree-dp, closed-loop) learned how far predictions can be "
              + "trusted from another made-up survey; the oracle knows every outcome beforehand. One survey of "
              + "\(Wording.count(run.number("holes"))) holes: it shows the order of the policies, not what a real "
              + "grid would give.")
        ] + tables(parts).map { .table($0) } + CryoReport.curves(run, shown) + CryoReport.map(run))
    ]
  }
}
