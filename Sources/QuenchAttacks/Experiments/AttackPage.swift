import Foundation
import QuenchReporting
import QuenchVision

/// What is said about an attack on a network: on the terminal and as a page.
extension AttackExperiment {
  public static func text(of run: PerformedRun<Self>) -> String {
    guard let outcome = run.outcome else { return "" }
    func at(_ epsilon: Double?, _ norm: String = "") -> String {
      epsilon.map { " at \(norm)\(PixelBudget($0))" } ?? ""
    }
    var lines = [
      "clean accuracy   \(Wording.accuracy(outcome.cleanAccuracy)) of \(NumberText.count(outcome.n, "image"))",
      "robust accuracy  \(outcome.robustText)\(at(outcome.epsilon, "\(outcome.norm.rawValue) "))"
    ]
    if let probe = outcome.probe, let accuracy = outcome.probeRobustAccuracy {
      lines.append("  after a probe  \(Wording.accuracy(accuracy.value)), by a short \(probe) on what was left")
    }
    if let pictures = outcome.picturesText { lines.append("8-bit pictures   \(pictures)") }
    if outcome.attacks.count > 1 {
      lines += outcome.attacks.map {
        "  after \($0.attack)\(at($0.epsilon)): \(Wording.accuracy($0.robustAccuracy))"
      }
    }
    return
      (lines + [
        "time             \(Wording.duration(outcome.seconds))",
        "rows             \(run.folder.artefact("rows.csv").relativePath)",
        "report           \(run.folder.report.relativePath)"
      ]).joined(separator: "\n")
  }

  public static func report(of run: PerformedRun<Self>) -> Report {
    let (target, attack) = (run.experiment.target, run.outcome?.attack ?? run.experiment.attackTitle)
    let name = attack.hasPrefix("sweep-") ? run.experiment.attackTitle : attack
    let budget = run.outcome?.epsilon.map { "\(PixelBudget($0))" } ?? "any size"
    let norm = run.outcome?.norm.rawValue ?? run.record.settings["norm"]?.description ?? "–"
    return Report(
      title: "\(name) on \(run.outcome?.model ?? "a network")",
      summary: "The weights in `\(target.weights)` were attacked with `\(name)` on images of "
        + "`\(target.selection.data.rawValue)`, perturbations of at most \(budget) in the norm \(norm), pixels in [0, 1].",
      keyFigures: run.outcome?.keyFigures ?? [], sections: run.outcome?.sections ?? [], record: run.record)
  }
}

extension AttackOutcome {
  fileprivate var robustText: String {
    robustAccuracy.map { "\(Wording.accuracy($0.value)) (95 %: \($0.interval))" }
      ?? "none: the network answers NaN or infinity"
  }

  /// How many broken images still deceive with pixels rounded to 8 bits; nil if none was broken.
  fileprivate var picturesText: String? {
    let (broken, left, within) = (rounding.broken, rounding.deceiving, rounding.withinBudget)
    guard broken > 0 else { return nil }
    return
      "\(left) of \(NumberText.count(broken, "broken image")) still \(left == 1 ? "deceives" : "deceive") once rounded"
      + (epsilon != nil && within < left ? ", \(within) of them within the budget" : "")
  }

  fileprivate var keyFigures: [Report.KeyFigure] {
    let robust =
      robustAccuracy?.keyFigure("Robust accuracy", of: n)
      ?? .init(
        "Robust accuracy", Wording.accuracy(nil),
        detail: "the network answers NaN or infinity to \(Wording.count(Double(undefined))) images")
    let probed = probe.map { probe in
      Report.KeyFigure(
        "After a probe", Wording.accuracy(probeRobustAccuracy?.value),
        detail: "a short \(probe) on what was left")
    }
    return [robust] + (probed.map { [$0] } ?? []) + [
      .init("Clean accuracy", Wording.accuracy(cleanAccuracy)),
      .init("Time", Wording.duration(seconds)),
      .init(
        "Forward passes", Wording.count(meanQueries), detail: "an image; \(Wording.count(meanGradients)) backward")
    ]
  }

  fileprivate var sections: [Report.Section] {
    var sections = [Report.Section("Findings", findings.isEmpty ? [Self.noFinding] : findings.map(\.callout))]
    if let curve {
      sections.append(Report.Section("Accuracy by budget", [.figure(chart(curve)), .table(roundingTable(curve))]))
    } else if let picturesText {
      sections.append(Report.Section("As 8-bit pictures", [.prose(picturesText.asSentence)]))
    }
    return sections + [Report.Section("Attacks", [.table(attackTable)])]
  }

  private static let noFinding = Report.Block.callout(.result, "No check found a reason to doubt these figures.")

  private func chart(_ curve: [Point]) -> LineChart {
    let points = curve.compactMap { point -> LineChart.Point? in
      guard let epsilon = point.epsilon, let robust = point.robustAccuracy else { return nil }
      return LineChart.Point(epsilon, robust.value, interval: min(robust.low, robust.high)...robust.high)
    }
    return LineChart(
      "Robust accuracy", x: Axis("Budget", unit: "pixel range = 1"),
      y: Axis("Accuracy", unit: nil, style: .percent),
      series: [.init("robust accuracy", points)],
      caption: "Bars are 95 % intervals (Wilson). An image broken at one budget is broken at the larger ones.")
  }

  private func roundingTable(_ curve: [Point]) -> Table {
    Table(
      "Broken images, and those that still deceive once rounded to 8 bits",
      columns: [
        .text("Budget"), .number("Broken"), .number("Deceive as pictures"), .number("within the budget")
      ],
      rows: curve.map { point in
        [.init(point.epsilon.budgetText)]
          + [point.rounding.broken, point.rounding.deceiving, point.rounding.withinBudget]
          .map { .init(Wording.count(Double($0))) }
      })
  }

  private var attackTable: Table {
    Table(
      "Each attack in the order in which they ran",
      columns: [
        .text("Attack"), .text("Budget"), .number("Images tried"), .number("Broken"), .number("Robust accuracy"),
        .number("Forward passes"), .number("Backward passes"), .number("Time")
      ],
      rows: attacks.map { share in
        [
          "\(share.attack)", .init(share.epsilon.budgetText), "\(Wording.count(Double(share.tried)))",
          "\(Wording.count(Double(share.broken)))", "\(Wording.accuracy(share.robustAccuracy))",
          "\(Wording.count(Double(share.queries)))", "\(Wording.count(Double(share.gradients)))",
          "\(Wording.duration(share.seconds))"
        ]
      })
  }
}

extension Double? {
  fileprivate var budgetText: String { map { "\(PixelBudget($0))" } ?? "any" }
}

extension Finding {
  /// The message as a page shows it.
  public var callout: Report.Block { .callout(.caution, message.asSentence) }
}

extension String {
  /// With a capital letter at the beginning and a full stop at the end.
  fileprivate var asSentence: String { "\(prefix(1).uppercased())\(dropFirst())." }
}
