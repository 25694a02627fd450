import QuenchReporting
import QuenchSupport

/// What is said about a study of pruning methods: on the terminal and as a page, over sparsity and time.
extension PruneStudy {
  public static func text(of run: PerformedRun<PruneStudy>) -> String {
    guard let outcome = run.outcome else { return "" }
    return "\n\(table(outcome).text)\n\nreport  \(run.folder.report.relativePath)"
  }

  public static func report(of run: PerformedRun<PruneStudy>) -> Report {
    let study = run.experiment
    let results = study.outcome(in: run.folder)
    let done = results.cells.reduce(0) { $0 + $1.accuracies.count }
    let all = study.methods.count * study.keep.count * study.seeds
    return Report(
      title: "Pruning methods compared on \(study.model.rawValue)",
      summary:
        "Test accuracy on \(NumberText.count(results.n, "image")) that nothing was learned from; "
        + "\(done) of \(all) prunings are done. " + protocolText(study),
      keyFigures: keyFigures(study, results),
      sections: [
        accuracy(study, results), tickets(study, results), time(study, results), everything(results)
      ],
      record: run.record)
  }

  /// Every cell in one table.
  private static func table(_ results: Outcome) -> Table {
    Table(
      "All results",
      columns: [
        .text("Method"), .number("Keep ratio"), .number("Sparsity"), .number("Test accuracy"),
        .number("± sd"), .number("Runs"), .number("Time")
      ],
      rows: [row("dense", 1, results.denseAccuracies, results.denseSeconds)]
        + results.cells.map { row(Method(text: $0.method).title, $0.keepRatio, $0.accuracies, $0.seconds) })
  }

  private static func row(_ name: String, _ keep: Double, _ accuracies: [Double], _ seconds: Double) -> [Table.Cell]
  {
    let accuracy = Sample(accuracies)
    return [
      "\(name)", "\(NumberText.plain(keep))", "\(NumberText.plain(((1 - keep) * 1e6).rounded() / 1e6))",
      "\(NumberText.percent(accuracy.mean))",
      "\(accuracy.standardDeviation.map { NumberText.fixed($0 * 100, decimals: 2) } ?? "–")",
      "\(accuracy.values.count)", "\(Wording.duration(seconds))"
    ]
  }

  private static func protocolText(_ study: PruneStudy) -> String {
    "Dense networks and methods that prune before training learn for \(NumberText.count(study.denseEpochs, "epoch")), "
      + "methods on the "
      + "dense network for \(study.epochs), and again for each further phase or round; OMP and IMP rewind to epoch "
      + "\(study.rewindEpoch)."
  }

  private static func keyFigures(
    _ study: PruneStudy, _ results: Outcome
  ) -> [Report.KeyFigure] {
    guard !results.denseAccuracies.isEmpty else { return [] }
    let best = study.keep.last.flatMap { smallest in
      results.cells.filter { $0.keepRatio == smallest }.max { $0.accuracy < $1.accuracy }
    }
    return [.init("Dense", NumberText.percent(results.denseAccuracy), detail: runs(results.denseAccuracies))]
      + (best.map {
        [
          .init(
            "Best at keep \(NumberText.plain($0.keepRatio))", NumberText.percent($0.accuracy),
            detail: "\(Method(text: $0.method).title), \(runs($0.accuracies))")
        ]
      } ?? [])
  }

  private static func runs(_ accuracies: [Double]) -> String {
    NumberText.count(accuracies.count, "seed")
  }

  private static func accuracy(_ study: PruneStudy, _ results: Outcome) -> Report.Section {
    let series = study.allMethods.map { method in
      LineChart.Series(
        method.title,
        results.cells.filter { $0.method == method.text }
          .map { .init((1 - $0.keepRatio) * 100, $0.accuracy, interval: Sample($0.accuracies).interval) })
    }
    let reference = results.denseAccuracies.isEmpty ? [] : [LineChart.Reference(results.denseAccuracy, "dense")]
    return Report.Section(
      "Accuracy against sparsity",
      [
        .figure(
          LineChart(
            "Test accuracy of what is left", x: Axis("Sparsity", unit: "%"),
            y: Axis("Accuracy", unit: nil, style: .percent), series: series, references: reference,
            caption: study.seeds > 1
              ? "Means over seeds; bars: 95 % intervals of the mean (Student's t)." : "One seed.")),
        .callout(.note, Prune<BiP>.speedStatement)
      ])
  }

  private static func time(_ study: PruneStudy, _ results: Outcome) -> Report.Section {
    Report.Section(
      "Time against sparsity",
      [
        .figure(
          LineChart(
            "Time to the pruned network", x: Axis("Sparsity", unit: "%"), y: Axis("Time", unit: "min"),
            series: study.allMethods.map { method in
              .init(
                method.title,
                results.cells.filter { $0.method == method.text }
                  .map { .init((1 - $0.keepRatio) * 100, $0.seconds / 60) })
            },
            caption: "Without the dense network's training, which all methods on it share."))
      ])
  }

  private static func tickets(_ study: PruneStudy, _ results: Outcome) -> Report.Section {
    Report.Section(
      "Winning tickets",
      [
        .table(
          Table(
            "The sparsest network no worse than the dense one",
            columns: [.text("Method"), .number("Sparsity"), .number("Test accuracy"), .number("Dense")],
            rows: study.allMethods.map { method in
              guard let ticket = results.winningTicket(of: method.text) else {
                return ["\(method.title)", "none", "–", "\(NumberText.percent(results.denseAccuracy))"]
              }
              return [
                "\(method.title)", "\(NumberText.percent(1 - ticket.keepRatio, decimals: 1))",
                "\(NumberText.percent(ticket.accuracy))", "\(NumberText.percent(results.denseAccuracy))"
              ]
            }))
      ])
  }

  private static func everything(_ results: Outcome) -> Report.Section {
    Report.Section("All results", [.table(table(results))])
  }
}
