import Reporting

/// The page about `quench prune`.
enum PruneReport {
  /// What a reader of a sparsity must know.
  static let speedStatement =
    "A masked model has the same layers as the dense one: it computes no faster, and takes less room only when packed."

  /// A method's name as its paper writes it.
  static func title(of method: String) -> String {
    let titles = [
      "bip": "BiP", "grasp": "GraSP", "synflow": "SynFlow", "prospr": "ProsPr", "random": "random choice",
      "early-bird": "Early-Bird"
    ]
    return titles[method] ?? method.uppercased()
  }

  static func make(_ run: RunFiles) -> Report {
    let method = title(of: run.record.command.dropFirst(2).first ?? "pruning")
    let ratio = run.record.settings["keep"]?.number ?? 1
    let kept = NumberText.percent(ratio, decimals: ratio < 0.01 ? 3 : 1)
    let model = run.summary["model"]?.string ?? run.setting("model")
    var lead = "\(method) keeps \(kept) of the weights of `\(model)` on `\(run.setting("data"))`"
    if let dense = run.number("dense_accuracy"), let pruned = run.number("accuracy") {
      lead += ": test accuracy goes from \(Wording.accuracy(dense)) to \(Wording.accuracy(pruned))"
    }
    var sections: [Report.Section] = []
    if !run.summary.isEmpty { sections.append(comparison(run, method)) }
    if !run.layers.isEmpty { sections.append(layers(run)) }
    sections.append(LearningSection.make(run))
    return Report(
      title: "\(model) pruned by \(method)", summary: lead + ".",
      keyFigures: run.summary.isEmpty ? [] : keyFigures(run, method, kept),
      sections: sections + TestSections.make(run.evaluation, of: "the pruned network"), record: run.record)
  }

  private static func keyFigures(_ run: RunFiles, _ method: String, _ kept: String) -> [Report.KeyFigure] {
    let n = "n\u{a0}=\u{a0}\(Wording.count(run.number("n")))"
    let dense = Report.KeyFigure(
      "Dense accuracy", Wording.accuracy(run.number("dense_accuracy")),
      detail: "95 %: \(Wording.interval(run.number("dense_interval_low"), run.number("dense_interval_high"))), \(n)"
    )
    return [
      .init(
        "Pruned accuracy", Wording.accuracy(run.number("accuracy")),
        detail: "95 %: \(Wording.interval(run.number("interval_low"), run.number("interval_high"))), \(n)")
    ] + (run.number("dense_accuracy") == nil ? [] : [dense]) + [
      .init(
        "Weights kept", Wording.count(run.number("kept")),
        detail: "\(kept) of \(Wording.count(run.number("prunable")))"),
      .init(
        "Mask like magnitude's", NumberText.percent(run.number("mask_iou_with_magnitude") ?? .nan, decimals: 1),
        detail: "kept by both over kept by either"),
      .init(
        "Time", Wording.duration(run.number("seconds")),
        detail: "\(Wording.count(run.number("images_per_second"))) images a second")
    ]
  }

  private static func comparison(_ run: RunFiles, _ method: String) -> Report.Section {
    func bar(_ key: String, _ low: String, _ high: String) -> BarChart.Bar? {
      guard let value = run.number(key), let low = run.number(low), let high = run.number(high), low <= high else {
        return nil
      }
      return .init(value, interval: low...high)
    }
    let dense = bar("dense_accuracy", "dense_interval_low", "dense_interval_high")
    return Report.Section(
      dense == nil ? "Accuracy" : "Dense and pruned",
      [
        .figure(
          BarChart(
            "Test accuracy", axis: Axis("Accuracy", unit: nil, style: .percent, range: 0...1),
            groups: (dense == nil ? [] : ["dense"]) + [method],
            series: [
              .init(
                "test accuracy", (dense == nil ? [] : [dense]) + [bar("accuracy", "interval_low", "interval_high")])
            ],
            caption: "The lines across the ends are 95 % intervals (Wilson).")),
        .table(PrunedWorth.table(run.summary))
      ] + PrunedWorth.statements(run.summary).map { .callout(.note, $0) })
  }

  private static func layers(_ run: RunFiles) -> Report.Section {
    let layers = run.layers
    let isGlobal = run.setting("scope") == "global" && run.setting("granularity") == "weight"
    func fraction(_ layer: RunFiles.LayerCount) -> Double { Double(layer.kept) / Double(max(layer.total, 1)) }
    return Report.Section(
      "Where the kept weights are",
      [
        .figure(
          BarChart(
            "Kept weights by layer", axis: Axis("Kept", unit: nil, style: .percent, range: 0...1),
            groups: layers.map(\.name), series: [.init("kept", layers.map { .init(fraction($0)) })],
            caption: isGlobal
              ? "All layers share one ranking, so each keeps what it needs." : "Each layer has its own ranking.")),
        .table(
          Table(
            "Kept weights by layer",
            columns: [.text("Layer"), .number("Kept"), .number("Weights"), .number("Fraction")],
            rows: layers.map { layer in
              [
                "\(layer.name)", "\(Wording.count(Double(layer.kept)))", "\(Wording.count(Double(layer.total)))",
                "\(NumberText.percent(fraction(layer), decimals: 2))"
              ]
            }))
      ])
  }
}
