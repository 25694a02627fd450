import Attacks
import Foundation
import Reporting

/// The page about `quench attack`.
enum AttackReportPage {
  static func make(_ run: RunFiles) -> Report {
    let attack = run.setting("attack")
    let norm = run.setting("norm")
    let summary = run.summary
    let budget = summary["epsilon"]?.number.map { "\(PixelBudget($0))" } ?? "any size"
    let interval = summary["interval"]?.array?.map(\.number) ?? []
    var figures: [Report.KeyFigure] = []
    if !summary.isEmpty {
      figures = [
        .init(
          "Robust accuracy", Wording.accuracy(run.number("robust_accuracy")),
          detail: run.number("robust_accuracy") == nil
            ? "the network answers NaN or infinity to \(Wording.count(run.number("undefined"))) images"
            : "95 %: \(Wording.interval(interval.first ?? nil, interval.last ?? nil)), "
              + "n\u{a0}=\u{a0}\(Wording.count(run.number("n")))"),
        .init("Clean accuracy", Wording.accuracy(run.number("clean_accuracy"))),
        .init("Time", Wording.duration(run.number("seconds"))),
        .init(
          "Forward passes", Wording.count(run.number("mean_queries")),
          detail: "an image; \(Wording.count(run.number("mean_gradients"))) backward")
      ]
      if let probe = summary["probe"]?.string {
        figures.insert(
          .init(
            "After a probe", Wording.accuracy(run.number("probe_robust_accuracy")),
            detail: "a short \(probe) on what was left"), at: 1)
      }
    }
    return Report(
      title: "\(attack) on \(summary["model"]?.string ?? "a network")",
      summary: "The weights in `\(run.setting("weights"))` were attacked with `\(attack)` on images of "
        + "`\(run.setting("data"))`, perturbations of at most \(budget) in the norm \(norm), pixels in [0, 1].",
      keyFigures: figures, sections: sections(run), record: run.record)
  }

  private static func sections(_ run: RunFiles) -> [Report.Section] {
    let summary = run.summary
    guard !summary.isEmpty else { return [] }
    var sections = [findings(summary)]
    let curve = summary["curve"]?.array?.compactMap(\.record) ?? []
    if !curve.isEmpty {
      sections.append(Report.Section("Accuracy by budget", [.figure(chart(curve)), .table(rounding(curve))]))
    } else if let pictures = AttackText.pictures(summary) {
      sections.append(
        Report.Section(
          "As 8-bit pictures", [.prose(pictures.prefix(1).uppercased() + pictures.dropFirst() + ".")]))
    }
    let shares = summary["attacks"]?.array?.compactMap(\.record) ?? []
    sections.append(Report.Section("Attacks", [.table(table(shares))]))
    return sections
  }

  private static func findings(_ summary: Record) -> Report.Section {
    let messages = AttackText.findings(summary)
    let blocks: [Report.Block] =
      messages.isEmpty
      ? [.callout(.result, "No check found a reason to doubt these figures.")]
      : messages.map { .callout(.caution, $0.prefix(1).uppercased() + $0.dropFirst() + ".") }
    return Report.Section("Findings", blocks)
  }

  private static func chart(_ curve: [Record]) -> LineChart {
    let points = curve.compactMap { row -> LineChart.Point? in
      guard let x = row["epsilon"]?.number, let y = row["robust_accuracy"]?.number else { return nil }
      let ends = row["interval"]?.array?.compactMap(\.number) ?? []
      return LineChart.Point(x, y, interval: ends.count == 2 && ends[0] <= ends[1] ? ends[0]...ends[1] : nil)
    }
    return LineChart(
      "Robust accuracy", x: Axis("Budget", unit: "pixel range = 1"),
      y: Axis("Accuracy", unit: nil, style: .percent),
      series: [.init("robust accuracy", points)],
      caption: "Bars are 95 % intervals (Wilson). An image broken at one budget is broken at the larger ones.")
  }

  private static func rounding(_ curve: [Record]) -> Table {
    Table(
      "Broken images, and those that still deceive once rounded to 8 bits",
      columns: [
        .text("Budget"), .number("Broken"), .number("Deceive as pictures"), .number("within the budget")
      ],
      rows: curve.map { point in
        [
          "\(point["epsilon"]?.number.map { "\(PixelBudget($0))" } ?? "any")",
          "\(Wording.count(point["broken"]?.number))", "\(Wording.count(point["broken_8bit"]?.number))",
          "\(Wording.count(point["broken_8bit_within_budget"]?.number))"
        ]
      })
  }

  private static func table(_ shares: [Record]) -> Table {
    Table(
      "Each attack in the order in which they ran",
      columns: [
        .text("Attack"), .text("Budget"), .number("Images tried"), .number("Broken"), .number("Robust accuracy"),
        .number("Forward passes"), .number("Backward passes"), .number("Time")
      ],
      rows: shares.map { share in
        [
          "\(share["attack"]?.string ?? "")", "\(share["epsilon"]?.number.map { "\(PixelBudget($0))" } ?? "any")",
          "\(Wording.count(share["tried"]?.number))", "\(Wording.count(share["broken"]?.number))",
          "\(Wording.accuracy(share["robust_accuracy"]?.number))", "\(Wording.count(share["queries"]?.number))",
          "\(Wording.count(share["gradients"]?.number))", "\(Wording.duration(share["seconds"]?.number))"
        ]
      })
  }
}
