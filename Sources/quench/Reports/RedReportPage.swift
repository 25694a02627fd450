import Deception
import Foundation
import Reporting

/// The pages about `quench red build-data`, `train` and `evaluate`.
enum RedReportPage {
  static func make(_ run: RunFiles) -> Report {
    switch run.record.command.dropFirst(2).first {
    case "build-data": return data(run)
    case "train": return training(run)
    default: return evaluation(run)
    }
  }

  private static func data(_ run: RunFiles) -> Report {
    let rates = run.summary["rates"]?.array?.compactMap(\.record) ?? []
    let table = Table(
      "Cells: attacks at a strength on a victim",
      columns: [.text("Cell"), .number("Pairs"), .number("Success"), .number("After rounding to 8 bits")],
      rows: rates.map { row in
        [
          "\(row["cell"]?.string ?? "")", "\(Wording.count(row["n"]?.number))",
          "\(Wording.accuracy(row["success_unrounded"]?.number))", "\(Wording.accuracy(row["success"]?.number))"
        ]
      })
    return Report(
      title: "Attack data set",
      summary: "Pairs of clean and adversarial images of `\(run.setting("data"))`, as 8-bit pixels. Every victim "
        + "classifies every clean image right.",
      keyFigures: [
        .init("Cells", Wording.count(run.number("cells"))), .init("Pairs", Wording.count(run.number("pairs"))),
        .init("Time", Wording.duration(run.number("seconds")))
      ], sections: [Report.Section("Cells", [.table(table)])], record: run.record)
  }

  private static func training(_ run: RunFiles) -> Report {
    func points(_ key: String) -> [LineChart.Point] {
      run.metrics.compactMap { row in
        guard let x = row["epoch"]?.number, let y = row[key]?.number else { return nil }
        return LineChart.Point(x, y)
      }
    }
    let epoch = Axis("Epoch", unit: nil)
    return Report(
      title: "Denoiser by \(run.setting("method"))",
      summary: "A denoiser was trained on the pairs in `\(run.setting("pairs"))`; the answers of "
        + "`\(run.setting("surrogates"))` guide it.",
      keyFigures: [
        .init(
          "PA_benign", Wording.accuracy(run.number("validation_pa_benign")),
          detail: "\(Wording.count(run.number("validation_pairs"))) held-out pairs, by which the epoch was chosen"),
        .init("Pairs", Wording.count(run.number("pairs"))),
        .init("Training time", Wording.duration(run.number("seconds")))
      ],
      sections: [
        Report.Section(
          "Learning",
          [
            .figure(
              LineChart(
                "Loss", x: epoch, y: Axis("Loss", unit: nil), series: [.init("training batches", points("loss"))])),
            .figure(
              LineChart(
                "Prediction alignment of held-out pairs", x: epoch, y: Axis("Share", unit: nil, style: .percent),
                series: [
                  .init("PA_benign", points("validation_pa_benign")),
                  .init("PA_adv", points("validation_pa_adversarial"))
                ]))
          ])
      ], record: run.record)
  }

  private static func evaluation(_ run: RunFiles) -> Report {
    let summary = run.summary
    func number(_ key: String) -> Double { summary[key]?.number ?? .nan }
    let seen = "mean over cells, \(Wording.count(number("groups.seen.n"))) pairs of seen attacks"
    let groups = (RedEvaluation.Group.allCases.map(\.rawValue) + ["all"]).filter {
      summary["groups.\($0).cells"] != nil
    }
    let alignment = Table(
      "Prediction alignment and distances, means over cells and over pairs",
      columns: [
        .text("Cells"), .number("Pairs"), .number("PA_benign"), .number("identity"), .number("PA_adv"),
        .number("identity"), .number("d(x, x_R)"), .number("d(x, x')"), .number("d(f(x), f(x_R))"),
        .number("Angle", unit: "degrees"), .number("IAA benign"), .number("IAA adv")
      ],
      rows: groups.map { group in
        func cell(_ key: String) -> Table.Cell { .init(NumberText.plain(number("groups.\(group).\(key)"))) }
        func share(_ key: String) -> Table.Cell { .init(Wording.accuracy(number("groups.\(group).\(key)"))) }
        return [
          "\(group)", "\(Wording.count(number("groups.\(group).n")))", share("pa_benign_cell_mean"),
          share("identity_pa_benign"), share("pa_adversarial_cell_mean"), share("identity_pa_adversarial"),
          cell("d_x_xr"), cell("d_x_xa"), cell("d_fx_fxr"), cell("angle"), cell("iaa_benign"),
          cell("iaa_adversarial")
        ]
      })
    var sections = [
      Report.Section("Prediction alignment", [.table(alignment)]),
      Report.Section("Detection", [.table(detection(summary))])
    ]
    let origins = origins(summary)
    if !origins.rows.isEmpty { sections.append(Report.Section("Where perturbations come from", [.table(origins)])) }
    sections += RedStudies.sections(summary)
    if !run.examples.isEmpty {
      sections.append(Report.Section("Examples", run.examples.map { .figure($0.figure) }))
    }
    if let rows = summary["defence"]?.array?.compactMap(\.record) {
      sections.append(
        Report.Section(
          "As a defense",
          [
            .table(defence(rows)),
            .callout(
              .note, "An attacker who knows the denoiser gets past it: it explains attacks and stops none.")
          ] + findings(summary).map { .callout(.caution, $0.prefix(1).uppercased() + $0.dropFirst() + ".") }))
    }
    return Report(
      title: "What the denoiser recovers",
      summary:
        "The denoiser of `\(run.setting("run"))` on the test pairs of `\(run.setting("pairs"))`, judged by the "
        + "victim that each attack was made on. The identity, which recovers nothing, is the floor.",
      keyFigures: [
        .init("PA_benign", Wording.accuracy(number("groups.seen.pa_benign_cell_mean")), detail: seen),
        .init("PA_adv", Wording.accuracy(number("groups.seen.pa_adversarial_cell_mean")), detail: seen),
        .init(
          "AUROC", NumberText.plain(number("detection.\(SuspicionScore.standard.rawValue).auroc")),
          detail: "of the change in \(SuspicionScore.standard.rawValue), 95 %: "
            + range(summary["detection.\(SuspicionScore.standard.rawValue).auroc_interval"]))
      ], sections: summary.isEmpty ? [] : sections, record: run.record)
  }

  private static func detection(_ summary: Record) -> Table {
    Table(
      "How well clean and adversarial images are told apart, with 95 % intervals",
      columns: [
        .text("Score"), .number("Adversarial"), .number("Clean"), .number("AUROC"), .text("interval"),
        .number("AUPR"), .number("Found at 5 % false positives"), .text("interval")
      ],
      rows: SuspicionScore.allCases.map(\.rawValue).map { score in
        func value(_ key: String) -> Value? { summary["detection.\(score).\(key)"] }
        let ends = value("recall_interval")?.array?.map(\.number) ?? []
        return [
          "\(score)", "\(Wording.count(value("n_adversarial")?.number))",
          "\(Wording.count(value("n_clean")?.number))",
          "\(NumberText.plain(value("auroc")?.number ?? .nan))", "\(range(value("auroc_interval")))",
          "\(NumberText.plain(value("aupr")?.number ?? .nan))",
          "\(Wording.accuracy(value("recall_at_5_percent_false_positives")?.number))",
          "\(Wording.interval(ends.first ?? nil, ends.last ?? nil))"
        ]
      })
  }

  /// `0.861 to 0.904`
  private static func range(_ interval: Value?) -> String {
    guard let ends = interval?.array?.compactMap(\.number), ends.count == 2 else { return "–" }
    return "\(NumberText.fixed(ends[0], decimals: 3)) to \(NumberText.fixed(ends[1], decimals: 3))"
  }

  /// What makes the robust accuracies of the defence doubtful, each sentence once, with the attacks that it is about.
  static func findings(_ summary: Record) -> [String] {
    (summary["defence"]?.array?.compactMap(\.record) ?? []).flatMap { row in
      AttackText.findings(row).map { message in
        let levels = NumberText.fixed((row["epsilon"]?.number ?? .nan) * 255, decimals: 0)
        return "\(row["attacker"]?.string ?? ""), \(levels)/255: \(message)"
      }
    }
  }

  private static func origins(_ summary: Record) -> Table {
    let rows = OriginClassifier.Trait.allCases.flatMap { trait in
      OriginClassifier.Input.allCases.compactMap { input -> [Table.Cell]? in
        let key = "\(trait.rawValue)_from_\(input.rawValue)"
        guard let accuracy = summary["\(key).accuracy"]?.number else { return nil }
        let interval = summary["\(key).interval"]?.array?.map(\.number) ?? []
        let classes = summary["\(key).classes"]?.array?.compactMap(\.string) ?? []
        return [
          "\(trait.rawValue)", "\(input == .delta ? "true perturbation" : input.rawValue)",
          "\(classes.joined(separator: ", "))", "\(Wording.accuracy(accuracy))",
          "\(Wording.interval(interval.first ?? nil, interval.last ?? nil))",
          "\(Wording.count(summary["\(key).n"]?.number))"
        ]
      }
    }
    return Table(
      "What a small network tells of held-out pairs: from the true perturbation (the upper bound), from the estimate, and "
        + "from the image (the baseline)",
      columns: [
        .text("Told"), .text("From"), .text("Classes"), .number("Accuracy"), .text("95 % interval"),
        .number("Pairs")
      ], rows: rows)
  }

  private static func defence(_ rows: [Record]) -> Table {
    Table(
      "PGD with 20 steps on the first victim",
      columns: [
        .text("Attacker"), .text("Judged on"), .number("Budget"), .number("Clean accuracy"),
        .number("Robust accuracy"), .text("95 % interval"), .number("Images")
      ],
      rows: rows.map { row in
        [
          "\(row["attacker"]?.string ?? "")", "\(row["model"]?.string ?? "")",
          "\(NumberText.fixed((row["epsilon"]?.number ?? .nan) * 255, decimals: 0))/255",
          "\(Wording.accuracy(row["clean_accuracy"]?.number))",
          "\(Wording.accuracy(row["robust_accuracy"]?.number))",
          "\(Wording.interval(row["interval"]?.array?.first?.number, row["interval"]?.array?.last?.number))",
          "\(Wording.count(row["n"]?.number))"
        ]
      })
  }
}
