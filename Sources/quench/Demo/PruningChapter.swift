import Pruning
import Reporting
import Vision

/// A dense network, what two ways of pruning make of it, and a smaller one.
enum PruningChapter: DemoChapter {
  static let keepRatios = [0.1, 0.02]
  static let dense = "dense"
  /// The parts that end in a smaller network: half of the channels pruned, and cut out.
  static let (channels, slim) = ("bip-channels", "slim")

  /// Both methods learn from as many images: an epoch of BiP passes every image twice, once a level.
  static let parts: [RunPart] =
    [
      RunPart(
        name: dense,
        arguments: ["train", "--model", "resnet20"] + data
          + ["--epochs", "1", "--batch-size", "64", "--no-augmentation"])
    ]
    + keepRatios.flatMap { keep in
      [
        RunPart(name: "omp-\(keep)", arguments: ["prune", "omp"] + pruning(keep) + ["--epochs", "2"]),
        RunPart(name: "bip-\(keep)", arguments: ["prune", "bip"] + pruning(keep) + ["--epochs", "1"])
      ]
    }
    + [
      RunPart(
        name: channels, arguments: ["prune", "bip"] + pruning(0.5) + ["--granularity", "group", "--epochs", "1"]),
      RunPart(
        name: slim,
        arguments: [
          "slim", "--weights", "{run}/\(channels)/model.safetensors", "--mask",
          "{run}/\(channels)/mask.safetensors",
          "--policy", "group-score", "--recalibrate", "50", "--no-augmentation"
        ] + data)
    ]

  private static func pruning(_ keep: Double) -> [String] {
    ["--weights", "{run}/\(dense)/model.safetensors", "--keep", "\(keep)"] + data
      + ["--train-limit", "12800", "--no-augmentation"]
  }

  static let data = ["--data", "fashion-mnist"]

  private static func own(_ all: [RunFiles.Part]) -> [RunFiles.Part] {
    all.filter { part in parts.contains { $0.name == part.name } }
  }

  private static func pruned(_ all: [RunFiles.Part]) -> [RunFiles.Part] {
    own(all).filter { ![dense, channels, slim].contains($0.name) }
  }

  static func summary(_ all: [RunFiles.Part]) -> Record {
    var summary: Record = [:]
    for part in own(all) {
      let key = part.name.replacing("-", with: "_")
      summary["\(key)_accuracy"] = part.run.summary["accuracy"]
    }
    summary["n"] = all[dense]?.summary["n"]
    return summary
  }

  static func tables(_ all: [RunFiles.Part]) -> [Table] {
    [networks(all)] + (slimOutcome(all).map { [$0.table] } ?? [])
  }

  /// One row a network.
  static func networks(_ all: [RunFiles.Part]) -> Table {
    Table(
      "The dense network and the pruned ones",
      columns: [
        .text("Network"), .number("Weights kept"), .number("Keep ratio"), .number("Test accuracy"),
        .text("95 % interval"), .number("Training time")
      ],
      rows: own(all).filter { $0.name != slim }.map { part in
        let (name, run) = (part.name, part.run)
        let isDense = name == dense
        let prunable = pruned(all).first?.run.number("prunable")
        return [
          "\(isDense ? "dense" : method(name) + (name == channels ? ", channels" : ""))",
          "\(Wording.count(isDense ? prunable : run.number("kept")))",
          "\(NumberText.plain(isDense ? 1 : run.number("keep_ratio") ?? .nan))",
          "\(Wording.accuracy(run.number("accuracy")))",
          "\(Wording.interval(run.number("accuracy_low"), run.number("accuracy_high")))",
          "\(Wording.duration(run.number("seconds")))"
        ]
      })
  }

  /// The method of the part called `name`, as its paper writes it.
  static func method(_ name: String) -> String { name.hasPrefix("bip") ? "BiP" : "OMP" }

  static func keyFigures(_ all: [RunFiles.Part]) -> [Report.KeyFigure] {
    own(all).filter { $0.name != channels }.map { entry in
      let (name, part) = (entry.name, entry.run)
      let ratio = part.number("keep_ratio").map { " at \(NumberText.percent($0, decimals: 0))" } ?? ""
      return Report.KeyFigure(
        name == dense ? "Dense" : name == slim ? "Half the channels cut" : method(name) + ratio,
        Wording.accuracy(part.number("accuracy")),
        detail: "95 %: "
          + Wording.interval(part.number("accuracy_low"), part.number("accuracy_high")))
    }
  }

  static func sections(_ all: [RunFiles.Part]) -> [Report.Section] {
    [comparison(all[dense], pruned(all)), Report.Section("The networks", [.table(networks(all))])]
      + layers(pruned(all)) + slimmed(slimOutcome(all))
      + TestSections.make(all[dense]?.evaluation, of: "the dense network")
  }

  private static func comparison(_ dense: RunFiles?, _ pruned: [RunFiles.Part]) -> Report.Section {
    func series(_ method: String) -> LineChart.Series {
      .init(
        method,
        pruned.filter { Self.method($0.name) == method }
          .map(\.run).compactMap { run in
            guard let keep = run.number("keep_ratio"), let accuracy = run.number("accuracy") else { return nil }
            let (low, high) = (run.number("accuracy_low") ?? accuracy, run.number("accuracy_high") ?? accuracy)
            return LineChart.Point(keep * 100, accuracy, interval: min(low, high)...max(low, high))
          })
    }
    let reference = dense?.number("accuracy").map { [LineChart.Reference($0, "dense")] } ?? []
    return Report.Section(
      "Accuracy against size",
      [
        .figure(
          LineChart(
            "Test accuracy of what is left", x: Axis("Weights kept", unit: "%", scale: .logarithmic),
            y: Axis("Accuracy", unit: nil, style: .percent), series: [series("BiP"), series("OMP")],
            references: reference, caption: "Bars: 95 % intervals (Wilson) over the test images; one seed.")),
        .callout(.note, Prune<BiP>.speedStatement)
      ])
  }

  private static func layers(_ pruned: [RunFiles.Part]) -> [Report.Section] {
    let smallest = pruned.compactMap { $0.run.number("keep_ratio") }.min()
    let shown = pruned.filter { $0.run.number("keep_ratio") == smallest && !$0.run.layers.isEmpty }
    guard let layers = shown.first?.run.layers, let smallest else { return [] }
    return [
      Report.Section(
        "Where the kept weights are",
        [
          .figure(
            BarChart(
              "Kept weights by layer, at \(NumberText.percent(smallest, decimals: 0)) in all",
              axis: Axis("Kept", unit: nil, style: .percent), groups: layers.map(\.name),
              series: shown.map { part in
                .init(
                  method(part.name), part.run.layers.map { .init(Double($0.kept) / Double(max($0.total, 1))) })
              },
              caption: "All layers share one ranking, so each keeps what it needs."))
        ])
    ]
  }

  private static func slimOutcome(_ all: [RunFiles.Part]) -> SlimOutcome? {
    all[slim].flatMap { try? Value.object($0.summary).decode(style: .figures, name: slim) }
  }

  private static func slimmed(_ outcome: SlimOutcome?) -> [Report.Section] {
    guard let outcome else { return [] }
    return [
      Report.Section(
        "A smaller network",
        [
          .prose(
            "BiP chose half of the channels, whole groups that residual blocks add to at a time, and these were cut "
              + "out: a network of the same kind with half of the width."),
          .table(outcome.table)
        ] + outcome.statements.map { .callout(.note, $0) })
    ]
  }
}
