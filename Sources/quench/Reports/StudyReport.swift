import Reporting

/// The page about `quench prune study`: methods against each other, over sparsity and time.
enum StudyReport {
  static func make(_ study: PruningStudy, _ results: PruningStudy.Results, _ record: RunRecord) -> Report {
    let done = results.cells.reduce(0) { $0 + $1.accuracy.values.count }
    let all = study.methods.count * study.keepRatios.count * study.seeds.count
    return Report(
      title: "Pruning methods compared on \(study.model)",
      summary:
        "Test accuracy on \(NumberText.count(results.testImages, "image")) that nothing was learned from; "
        + "\(done) of \(all) prunings are done. " + protocolText(study),
      keyFigures: keyFigures(study, results),
      sections: [
        accuracy(study, results), tickets(study, results), time(study, results), everything(study, results)
      ],
      record: record)
  }

  /// Every cell in one table.
  static func table(_ study: PruningStudy, _ results: PruningStudy.Results) -> Table {
    Table(
      "All results",
      columns: [
        .text("Method"), .number("Keep ratio"), .number("Sparsity"), .number("Test accuracy"),
        .number("± sd"), .number("Runs"), .number("Time")
      ],
      rows: [row("dense", 1, results.dense, results.denseSeconds)]
        + results.cells.map { row($0.method.title, $0.keepRatio, $0.accuracy, $0.seconds) })
  }

  private static func row(_ name: String, _ keep: Double, _ accuracy: Sample, _ seconds: Sample) -> [Table.Cell] {
    [
      "\(name)", "\(NumberText.plain(keep))", "\(NumberText.plain(((1 - keep) * 1e6).rounded() / 1e6))",
      "\(NumberText.percent(accuracy.mean))",
      "\(accuracy.standardDeviation.map { NumberText.fixed($0 * 100, decimals: 2) } ?? "–")",
      "\(accuracy.values.count)", "\(Wording.duration(seconds.mean))"
    ]
  }

  private static func protocolText(_ study: PruningStudy) -> String {
    "Dense networks and methods that prune before training learn for \(NumberText.count(study.denseEpochs, "epoch")), "
      + "methods on the "
      + "dense network for \(study.epochs), and again for each further phase or round; OMP and IMP rewind to epoch "
      + "\(study.rewindEpoch)."
  }

  private static func keyFigures(
    _ study: PruningStudy, _ results: PruningStudy.Results
  ) -> [Report.KeyFigure] {
    guard !results.dense.values.isEmpty else { return [] }
    let best = study.keepRatios.last.flatMap { smallest in
      results.cells.filter { $0.keepRatio == smallest }.max { $0.accuracy.mean < $1.accuracy.mean }
    }
    return [.init("Dense", NumberText.percent(results.dense.mean), detail: runs(results.dense))]
      + (best.map {
        [
          .init(
            "Best at keep \(NumberText.plain($0.keepRatio))", NumberText.percent($0.accuracy.mean),
            detail: "\($0.method.title), \(runs($0.accuracy))")
        ]
      } ?? [])
  }

  private static func runs(_ sample: Sample) -> String {
    NumberText.count(sample.values.count, "seed")
  }

  private static func accuracy(_ study: PruningStudy, _ results: PruningStudy.Results) -> Report.Section {
    let series = study.methods.map { method in
      LineChart.Series(
        method.title,
        results.cells.filter { $0.method == method }
          .map { .init((1 - $0.keepRatio) * 100, $0.accuracy.mean, interval: $0.accuracy.interval) })
    }
    let reference = results.dense.values.isEmpty ? [] : [LineChart.Reference(results.dense.mean, "dense")]
    return Report.Section(
      "Accuracy against sparsity",
      [
        .figure(
          LineChart(
            "Test accuracy of what is left", x: Axis("Sparsity", unit: "%"),
            y: Axis("Accuracy", unit: nil, style: .percent), series: series, references: reference,
            caption: study.seeds.count > 1
              ? "Means over seeds; bars: 95 % intervals of the mean (Student's t)." : "One seed.")),
        .callout(.note, PruneReport.speedStatement)
      ])
  }

  private static func time(_ study: PruningStudy, _ results: PruningStudy.Results) -> Report.Section {
    Report.Section(
      "Time against sparsity",
      [
        .figure(
          LineChart(
            "Time to the pruned network", x: Axis("Sparsity", unit: "%"), y: Axis("Time", unit: "min"),
            series: study.methods.map { method in
              .init(
                method.title,
                results.cells.filter { $0.method == method }
                  .map { .init((1 - $0.keepRatio) * 100, $0.seconds.mean / 60) })
            },
            caption: "Without the dense network's training, which all methods on it share."))
      ])
  }

  private static func tickets(_ study: PruningStudy, _ results: PruningStudy.Results) -> Report.Section {
    Report.Section(
      "Winning tickets",
      [
        .table(
          Table(
            "The sparsest network no worse than the dense one",
            columns: [.text("Method"), .number("Sparsity"), .number("Test accuracy"), .number("Dense")],
            rows: study.methods.map { method in
              guard let ticket = results.winningTicket(of: method) else {
                return ["\(method.title)", "none", "–", "\(NumberText.percent(results.dense.mean))"]
              }
              return [
                "\(method.title)", "\(NumberText.percent(1 - ticket.keepRatio, decimals: 1))",
                "\(NumberText.percent(ticket.accuracy.mean))", "\(NumberText.percent(results.dense.mean))"
              ]
            }))
      ])
  }

  private static func everything(_ study: PruningStudy, _ results: PruningStudy.Results) -> Report.Section {
    Report.Section("All results", [.table(table(study, results))])
  }
}
