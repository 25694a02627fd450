import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// What is said about a pruning: on the terminal and as a page.
extension Prune {
  /// What a reader of a sparsity must know.
  public static var speedStatement: String {
    "A masked model has the same layers as the dense one: it computes no faster, and takes less room only when packed."
  }

  /// The method's name as its paper writes it.
  public static var title: String { PruningTitle.of(Method.name) }

  public static func text(of run: PerformedRun<Prune>) -> String {
    guard let outcome = run.outcome else { return "" }
    let files = Wording.lines([
      "weights": run.folder.artefact(ClassifierWork.modelFileName).relativePath,
      "packed": run.folder.artefact(PrunedWorth.packedFileName).relativePath,
      "mask": run.folder.artefact(Mask.fileName).relativePath, "report": run.folder.report.relativePath
    ])
    return """
      \(outcome.table.text)

      Tested on \(NumberText.count(outcome.n, "image")).
      \(outcome.statements.joined(separator: "\n"))
      \(files)
      """
  }

  public static func report(of run: PerformedRun<Prune>) -> Report {
    let experiment = run.experiment
    let ratio = experiment.method.target.keepRatio.value
    let kept = NumberText.percent(ratio, decimals: ratio < 0.01 ? 3 : 1)
    let model = run.outcome?.model ?? experiment.start.model?.rawValue ?? "a network"
    var lead =
      "\(title) keeps \(kept) of the weights of `\(model)` on `\(experiment.learning.selection.data.rawValue)`"
    if let outcome = run.outcome, let dense = outcome.denseAccuracy {
      lead +=
        ": test accuracy goes from \(Wording.accuracy(dense.value)) to \(Wording.accuracy(outcome.accuracy.value))"
    }
    var sections: [Report.Section] = []
    if let outcome = run.outcome { sections.append(comparison(outcome)) }
    if let counts = LayerCount.read(run) {
      sections.append(
        layers(
          counts,
          isGlobal: experiment.method.target.scope == .global
            && experiment.method.target.granularity == .weight))
    }
    sections.append(
      LearningSection.make(
        run.metrics, run.record.settings, leftOut: run.outcome?.leftOutPerEpoch, of: run.outcome?.trainingImages))
    return Report(
      title: "\(model) pruned by \(title)", summary: lead + ".",
      keyFigures: run.outcome.map { keyFigures($0, kept) } ?? [],
      sections: sections + TestSections.make(Evaluation(of: run), of: "the pruned network"), record: run.record)
  }

  private static func keyFigures(_ outcome: PruneOutcome, _ kept: String) -> [Report.KeyFigure] {
    [outcome.accuracy.keyFigure("Pruned accuracy", of: outcome.n)]
      + (outcome.denseAccuracy.map { [$0.keyFigure("Dense accuracy", of: outcome.n)] } ?? [])
      + [
        .init(
          "Weights kept", Wording.count(Double(outcome.kept)),
          detail: "\(kept) of \(Wording.count(Double(outcome.prunable)))"),
        .init(
          "Mask like magnitude's", NumberText.percent(outcome.maskIouWithMagnitude, decimals: 1),
          detail: "kept by both over kept by either"),
        .init(
          "Time", Wording.duration(outcome.seconds),
          detail: "\(Wording.count(outcome.imagesPerSecond)) images a second")
      ]
  }

  private static func comparison(_ outcome: PruneOutcome) -> Report.Section {
    let dense = outcome.denseAccuracy?.bar
    return Report.Section(
      dense == nil ? "Accuracy" : "Dense and pruned",
      [
        .figure(
          BarChart(
            "Test accuracy", axis: Axis("Accuracy", unit: nil, style: .percent, range: 0...1),
            groups: (dense == nil ? [] : ["dense"]) + [title],
            series: [.init("test accuracy", (dense.map { [$0] } ?? []) + [outcome.accuracy.bar])],
            caption: "The lines across the ends are 95 % intervals (Wilson).")),
        .table(outcome.table)
      ] + outcome.statements.map { .callout(.note, $0) })
  }

  private static func layers(_ layers: [LayerCount], isGlobal: Bool) -> Report.Section {
    Report.Section(
      "Where the kept weights are",
      [
        .figure(
          BarChart(
            "Kept weights by layer", axis: Axis("Kept", unit: nil, style: .percent, range: 0...1),
            groups: layers.map(\.name), series: [.init("kept", layers.map { .init($0.fraction) })],
            caption: isGlobal
              ? "All layers share one ranking, so each keeps what it needs." : "Each layer has its own ranking.")),
        .table(
          Table(
            "Kept weights by layer",
            columns: [.text("Layer"), .number("Kept"), .number("Weights"), .number("Fraction")],
            rows: layers.map { layer in
              [
                "\(layer.name)", "\(Wording.count(Double(layer.kept)))", "\(Wording.count(Double(layer.total)))",
                "\(NumberText.percent(layer.fraction, decimals: 2))"
              ]
            }))
      ])
  }
}

/// How methods are called in reports.
public enum PruningTitle {
  private static let titles = [
    "bip": "BiP", "grasp": "GraSP", "synflow": "SynFlow", "prospr": "ProsPr", "random": "random choice",
    "early-bird": "Early-Bird"
  ]

  public static func of(_ method: String) -> String { titles[method] ?? method.uppercased() }
}

/// Kept and total weights of one layer of a pruned network.
public struct LayerCount: Hashable, Sendable {
  public var name: String
  public var kept: Int
  public var total: Int

  public init(name: String, kept: Int, total: Int) { (self.name, self.kept, self.total) = (name, kept, total) }

  public var fraction: Double { Double(kept) / Double(max(total, 1)) }

  /// Of the mask among a run's files, in the order of its layers; nil where there is none that can be read.
  public static func read<Work>(_ run: PerformedRun<Work>) -> [LayerCount]? {
    run.artefact(Mask.fileName).flatMap { try? read($0) }
  }

  /// - Throws: `InputError` if the file is damaged.
  public static func read(_ mask: URL) throws(InputError) -> [LayerCount] {
    try StateDictionary.load(mask).map { name, tensor in
      LayerCount(name: name, kept: tensor.nonzeroCount(), total: tensor.count)
    }
  }
}

extension PruneOutcome {
  /// Dense beside pruned, a quantity a row.
  public var table: Table {
    func count(_ value: Int) -> Table.Cell { "\(Wording.count(Double(value)))" }
    let ratio = Double(kept) / Double(prunable)
    return Table(
      "Dense and pruned", columns: [.text(""), .number("dense"), .number("pruned")],
      rows: [
        ["test accuracy", "\(Wording.accuracy(denseAccuracy?.value))", "\(Wording.accuracy(accuracy.value))"],
        ["95 % interval", "\(denseAccuracy?.interval ?? "–")", "\(accuracy.interval)"],
        ["weights kept", count(prunable), count(kept)],
        ["keep ratio", "1", "\(NumberText.plain(ratio))"], ["sparsity", "0", "\(NumberText.plain(1 - ratio))"],
        ["parameters", count(worth.parameters), count(worth.keptParameters)],
        ["multiply-adds an image", count(worth.multiplyAdds), count(worth.keptMultiplyAdds)],
        ["file, bytes", count(worth.bytes), count(worth.packedBytes)]
      ]
        + worth.latency.map { latency in
          [
            "batch of \(latency.batchSize)", "\(LatencyFigures.milliseconds(latency.before))",
            "\(LatencyFigures.milliseconds(latency.after))"
          ]
        })
  }

  /// What the figures mean, a sentence or two each.
  public var statements: [String] {
    var lines = [Prune<BiP>.speedStatement] + worth.latency.map { $0.statement(than: "dense") }
    if worth.deadUnits > 0 {
      lines.append(
        "\(Wording.count(Double(worth.deadUnits))) channels or features are dead: weights on no path from input to "
          + "output counted as pruned, the sparsity is \(NumberText.percent(worth.effectiveSparsity)).")
    }
    return lines
  }
}
