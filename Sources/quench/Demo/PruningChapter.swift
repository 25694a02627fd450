import Foundation
import QuenchPruning
import QuenchReporting
import QuenchSupport
import QuenchVision

/// A dense network, what two ways of pruning make of it, and a smaller one.
enum PruningChapter: DemoChapter {
  static let keepRatios = [0.1, 0.02]
  static let dense = "dense"
  /// The parts that end in a smaller network: half of the channels pruned, and cut out.
  private static let (channels, slim) = ("bip-channels", "slim")

  /// Both methods learn from as many images: an epoch of BiP passes every image twice, once a level.
  static func parts(in folder: URL, precision: Precision) throws(InputError) -> [StudyPart] {
    func path(_ part: String, _ file: String) -> Value {
      .string(folder.appending(path: "\(part)/\(file)").relativePath)
    }
    func experiment<Work: Experiment>(_ settings: Record) throws(InputError) -> Work {
      let common: Record = [
        "data": "fashion-mnist", "augmentation": false, "precision": .string(precision.rawValue)
      ]
      return try Work(settings: common.merging(settings), name: "demo")
    }
    func pruning(_ keep: Double, epochs: Int) -> Record {
      [
        "weights": path(dense, ClassifierWork.modelFileName), "keep": .double(keep), "train-limit": 12800,
        "epochs": .int(epochs)
      ]
    }
    let training: Train = try experiment(["model": "resnet20", "epochs": 1, "batch-size": 64])
    var parts = [StudyPart(dense, training)]
    for keep in keepRatios {
      let (omp, bip): (Prune<OMP>, Prune<BiP>) = try (
        experiment(pruning(keep, epochs: 2)), experiment(pruning(keep, epochs: 1))
      )
      parts += [StudyPart("omp-\(keep)", omp), StudyPart("bip-\(keep)", bip)]
    }
    let groups: Prune<BiP> = try experiment(pruning(0.5, epochs: 1).merging(["granularity": "group"]))
    let cut: Slim = try experiment([
      "weights": path(channels, ClassifierWork.modelFileName), "mask": path(channels, Mask.fileName),
      "policy": "group-score", "recalibrate": 50
    ])
    return parts + [StudyPart(channels, groups), StudyPart(slim, cut)]
  }

  static func trained(_ runs: DemoRuns) -> TrainOutcome? { runs.done(dense, Train.self)?.outcome }
  private static func slimmed(_ runs: DemoRuns) -> SlimOutcome? { runs.done(slim, Slim.self)?.outcome }

  /// A pruned network, by the name of its part.
  private struct Pruned {
    let name: String
    let outcome: PruneOutcome
    let layers: [LayerCount]

    init?<Method: PruningMethod>(_ name: String, _ run: PerformedRun<Prune<Method>>?) {
      guard let run, let outcome = run.outcome else { return nil }
      (self.name, self.outcome, layers) = (name, outcome, LayerCount.read(run) ?? [])
    }

    /// As its paper writes it.
    var method: String { PruningChapter.method(name) }
  }

  private static func pruned(_ runs: DemoRuns) -> [Pruned] {
    keepRatios.flatMap { keep in
      [
        Pruned("omp-\(keep)", runs.done("omp-\(keep)", Prune<OMP>.self)),
        Pruned("bip-\(keep)", runs.done("bip-\(keep)", Prune<BiP>.self))
      ].compactMap { $0 }
    }
  }

  private static func withoutChannels(_ runs: DemoRuns) -> Pruned? {
    Pruned(channels, runs.done(channels, Prune<BiP>.self))
  }

  /// The method of the part called `name`, as its paper writes it.
  private static func method(_ name: String) -> String { name.hasPrefix("bip") ? "BiP" : "OMP" }

  static func summary(_ runs: DemoRuns) -> Record {
    var summary: Record = [:]
    func tell(_ name: String, _ accuracy: AccuracyFigure?) {
      summary["\(name.replacing("-", with: "_"))_accuracy"] = accuracy.map { .double($0.value) }
    }
    tell(dense, trained(runs)?.accuracy)
    for network in pruned(runs) { tell(network.name, network.outcome.accuracy) }
    tell(channels, withoutChannels(runs)?.outcome.accuracy)
    tell(slim, slimmed(runs)?.recalibration?.accuracy)
    summary["n"] = trained(runs).map { .int($0.n) }
    return summary
  }

  static func tables(_ runs: DemoRuns) -> [Table] { [networks(runs)] + (slimmed(runs).map { [$0.table] } ?? []) }

  /// One row a network.
  private static func networks(_ runs: DemoRuns) -> Table {
    func row(
      _ name: String, kept: Int?, _ ratio: Double, _ accuracy: AccuracyFigure, _ seconds: Double
    ) -> [Table.Cell] {
      [
        "\(name)", "\(Wording.count(kept.map(Double.init)))", "\(NumberText.plain(ratio))",
        "\(Wording.accuracy(accuracy.value))", "\(accuracy.interval)", "\(Wording.duration(seconds))"
      ]
    }
    let pruned = pruned(runs)
    let all = pruned + (withoutChannels(runs).map { [$0] } ?? [])
    return Table(
      "The dense network and the pruned ones",
      columns: [
        .text("Network"), .number("Weights kept"), .number("Keep ratio"), .number("Test accuracy"),
        .text("95 % interval"), .number("Training time")
      ],
      rows: (trained(runs).map { outcome in
        [row("dense", kept: pruned.first?.outcome.prunable, 1, outcome.accuracy, outcome.seconds)]
      } ?? [])
        + all.map { network in
          let outcome = network.outcome
          return row(
            network.method + (network.name == channels ? ", channels" : ""), kept: outcome.kept, outcome.keepRatio,
            outcome.accuracy, outcome.seconds)
        })
  }

  static func keyFigures(_ runs: DemoRuns) -> [Report.KeyFigure] {
    func figure(_ title: String, _ accuracy: AccuracyFigure?) -> [Report.KeyFigure] {
      accuracy.map { [.init(title, Wording.accuracy($0.value), detail: "95 %: \($0.interval)")] } ?? []
    }
    return figure("Dense", trained(runs)?.accuracy)
      + pruned(runs).flatMap { network in
        figure(
          "\(network.method) at \(NumberText.percent(network.outcome.keepRatio, decimals: 0))",
          network.outcome.accuracy)
      } + figure("Half the channels cut", slimmed(runs)?.recalibration?.accuracy)
  }

  static func sections(_ runs: DemoRuns) -> [Report.Section] {
    let pruned = pruned(runs)
    let evaluation = runs.done(dense, Train.self).flatMap { Evaluation(of: $0) }
    return [comparison(trained(runs), pruned), Report.Section("The networks", [.table(networks(runs))])]
      + layers(pruned) + cut(slimmed(runs)) + TestSections.make(evaluation, of: "the dense network")
  }

  private static func comparison(_ dense: TrainOutcome?, _ pruned: [Pruned]) -> Report.Section {
    func series(_ method: String) -> LineChart.Series {
      .init(
        method,
        pruned.filter { $0.method == method }.map { network in
          let accuracy = network.outcome.accuracy
          return LineChart.Point(
            network.outcome.keepRatio * 100, accuracy.value,
            interval: accuracy.low...max(accuracy.low, accuracy.high))
        })
    }
    return Report.Section(
      "Accuracy against size",
      [
        .figure(
          LineChart(
            "Test accuracy of what is left", x: Axis("Weights kept", unit: "%", scale: .logarithmic),
            y: Axis("Accuracy", unit: nil, style: .percent), series: [series("BiP"), series("OMP")],
            references: dense.map { [LineChart.Reference($0.accuracy.value, "dense")] } ?? [],
            caption: "Bars: 95 % intervals (Wilson) over the test images; one seed.")),
        .callout(.note, Prune<BiP>.speedStatement)
      ])
  }

  private static func layers(_ pruned: [Pruned]) -> [Report.Section] {
    let smallest = pruned.map(\.outcome.keepRatio).min()
    let shown = pruned.filter { $0.outcome.keepRatio == smallest && !$0.layers.isEmpty }
    guard let layers = shown.first?.layers, let smallest else { return [] }
    return [
      Report.Section(
        "Where the kept weights are",
        [
          .figure(
            BarChart(
              "Kept weights by layer, at \(NumberText.percent(smallest, decimals: 0)) in all",
              axis: Axis("Kept", unit: nil, style: .percent), groups: layers.map(\.name),
              series: shown.map { network in
                .init(network.method, network.layers.map { .init(Double($0.kept) / Double(max($0.total, 1))) })
              },
              caption: "All layers share one ranking, so each keeps what it needs."))
        ])
    ]
  }

  private static func cut(_ outcome: SlimOutcome?) -> [Report.Section] {
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
