import Reporting

/// The page about `quench demo`: one dense network, what two ways of pruning make of it, and a smaller one.
enum DemoReport {
  static func make(_ run: RunFiles) -> Report {
    let dense = run.parts.first { $0.name == "dense" }?.run
    let pruned = run.parts.filter { !["dense", Demo.channels, Demo.slim].contains($0.name) }
    let figures = run.parts.filter { $0.name != Demo.channels }.map { entry in
      let (name, part) = (entry.name, entry.run)
      let prefix = name == "dense" ? "test_" : ""
      let ratio = part.number("keep_ratio").map { " at \(NumberText.percent($0, decimals: 0))" } ?? ""
      return Report.KeyFigure(
        name == "dense" ? "Dense" : name == Demo.slim ? "Half the channels cut" : Demo.method(name) + ratio,
        Wording.accuracy(part.number(prefix + "accuracy")),
        detail: "95 %: "
          + Wording.interval(part.number(prefix + "interval_low"), part.number(prefix + "interval_high")))
    }
    return Report(
      title: "One network, pruned and slimmed",
      summary:
        "ResNet-20 was trained on Fashion-MNIST, then pruned by magnitude (OMP) and by bi-level optimisation "
        + "(BiP), and made smaller by cutting half of its channels out. Test accuracy on \(Wording.count(dense?.number("n"))) images that nothing was learned from.",
      keyFigures: figures,
      sections: [comparison(dense, pruned), table(run.parts), layers(pruned)] + slimmed(run.parts)
        + TestSections.make(dense?.evaluation)
        + [method(run)],
      record: run.record)
  }

  private static func comparison(_ dense: RunFiles?, _ pruned: [RunFiles.Part]) -> Report.Section {
    func series(_ method: String) -> LineChart.Series {
      .init(
        method,
        pruned.filter { Demo.method($0.name) == method }
          .map(\.run).compactMap { run in
            guard let keep = run.number("keep_ratio"), let accuracy = run.number("accuracy") else { return nil }
            let (low, high) = (run.number("interval_low") ?? accuracy, run.number("interval_high") ?? accuracy)
            return LineChart.Point(keep * 100, accuracy, interval: min(low, high)...max(low, high))
          })
    }
    let reference = dense?.number("test_accuracy").map { [LineChart.Reference($0, "dense")] } ?? []
    return Report.Section(
      "Accuracy against size",
      [
        .figure(
          LineChart(
            "Test accuracy of what is left", x: Axis("Weights kept", unit: "%", scale: .logarithmic),
            y: Axis("Accuracy", unit: nil, style: .percent), series: [series("BiP"), series("OMP")],
            references: reference, caption: "Bars: 95 % intervals (Wilson) over the test images; one seed.")),
        .callout(.note, PruneReport.speedStatement)
      ])
  }

  private static func table(_ parts: [RunFiles.Part]) -> Report.Section {
    Report.Section("The networks", [.table(Demo.table(parts))])
  }

  private static func layers(_ pruned: [RunFiles.Part]) -> Report.Section {
    let smallest = pruned.compactMap { $0.run.number("keep_ratio") }.min()
    let shown = pruned.filter { $0.run.number("keep_ratio") == smallest && !$0.run.layers.isEmpty }
    guard let layers = shown.first?.run.layers, let smallest else { return Report.Section("", []) }
    return Report.Section(
      "Where the kept weights are",
      [
        .figure(
          BarChart(
            "Kept weights by layer, at \(NumberText.percent(smallest, decimals: 0)) in all",
            axis: Axis("Kept", unit: nil, style: .percent), groups: layers.map(\.name),
            series: shown.map { part in
              .init(
                Demo.method(part.name), part.run.layers.map { .init(Double($0.kept) / Double(max($0.total, 1))) })
            },
            caption: "All layers share one ranking, so each keeps what it needs."))
      ])
  }

  private static func slimmed(_ parts: [RunFiles.Part]) -> [Report.Section] {
    guard let summary = parts.first(where: { $0.name == Demo.slim })?.run.summary, !summary.isEmpty else {
      return []
    }
    return [
      Report.Section(
        "A smaller network",
        [
          .prose(
            "BiP chose half of the channels, whole groups that residual blocks add to at a time, and these were cut "
              + "out: a network of the same kind with half of the width."),
          .table(SlimReport.table(summary))
        ] + SlimReport.statements(summary).map { .callout(.note, $0) })
    ]
  }

  private static func method(_ run: RunFiles) -> Report.Section {
    Report.Section(
      "What was run",
      [
        .prose(
          "Short runs on purpose: one epoch of dense training, then pruning on the first 12,800 training images. "
            + "OMP drops the smallest weights at once and trains the others for two epochs; BiP learns mask and "
            + "weights together for one epoch, which passes every image twice. So both learn from as many images. "
            + "The commands, in order:")
      ] + run.parts.map { part in .prose("`\(part.run.record.command.joined(separator: " "))`") })
  }
}
