import Foundation
import QuenchReporting
import QuenchSupport
import QuenchVision

/// What is said about a slimming: on the terminal and as a page.
extension Slim {
  public static func text(of run: PerformedRun<Slim>) -> String {
    guard let outcome = run.outcome else { return "" }
    let files = Wording.lines([
      "weights": run.folder.artefact(ClassifierWork.modelFileName).relativePath,
      "report": run.folder.report.relativePath
    ])
    return "\(outcome.table.text)\n\n\(outcome.statements.joined(separator: "\n"))\n\(files)"
  }

  public static func report(of run: PerformedRun<Slim>) -> Report {
    let model = run.outcome?.model ?? run.experiment.weights
    let policy = run.experiment.slimming.policy.rawValue
    var sections: [Report.Section] = []
    if let outcome = run.outcome {
      sections = [
        Report.Section(
          "Masked and slimmed",
          [.table(outcome.table)] + outcome.statements.map { .callout(.note, $0) }),
        Report.Section("Widths", [.table(outcome.widthTable)])
      ]
    }
    return Report(
      title: "\(model) slimmed",
      summary: "The pruned channels of `\(model)` were cut out by the policy `\(policy)`.",
      keyFigures: run.outcome?.keyFigures ?? [],
      sections: sections + TestSections.make(Evaluation(of: run), of: "the slimmed network"), record: run.record)
  }
}

extension SlimOutcome {
  fileprivate var keyFigures: [Report.KeyFigure] {
    func count(_ value: Int) -> String { Wording.count(Double(value)) }
    return [
      .init(
        "Channels left", percent(achievedChannelRatio),
        detail: "\(percent(requestedChannelRatio)) asked for by the mask"),
      .init("Parameters", count(parameters), detail: "of \(count(parametersBefore))"),
      .init("Multiply-adds", count(multiplyAdds), detail: "of \(count(multiplyAddsBefore))")
    ]
      + latency.map { latency in
        .init(
          "Speed, batch of \(latency.batchSize)", latency.times,
          detail: "\(LatencyFigures.milliseconds(latency.after)) instead of "
            + "\(LatencyFigures.milliseconds(latency.before)); \(latency.spread) times in single rounds")
      }
  }

  /// The masked network beside the slimmed one.
  public var table: Table {
    func row(
      _ name: String, _ channels: Int, _ parameters: Int, _ multiplyAdds: Int, _ milliseconds: [Double],
      _ accuracy: AccuracyFigure?
    ) -> [Table.Cell] {
      let texts =
        [name] + [channels, parameters, multiplyAdds].map { Wording.count(Double($0)) }
        + milliseconds.map(LatencyFigures.milliseconds) + (accuracy.map { [Wording.accuracy($0.value)] } ?? [])
      return texts.map { Table.Cell($0) }
    }
    return Table(
      "Masked and slimmed",
      columns: [.text("network"), .number("channels"), .number("parameters"), .number("multiply-adds")]
        + latency.map { .number("batch of \($0.batchSize)") }
        + (recalibration == nil ? [] : [.number("test accuracy")]),
      rows: [
        row(
          "masked", channels, parametersBefore, multiplyAddsBefore, latency.map(\.before),
          recalibration?.maskedAccuracy),
        row(
          "slimmed", channels - removedChannels, parameters, multiplyAdds, latency.map(\.after),
          recalibration?.accuracy)
      ])
  }

  fileprivate var widthTable: Table {
    Table(
      "Layers with another width",
      columns: [.text("Layer"), .number("Outputs before"), .number("Outputs after")],
      rows: widths.map { width in
        ["\(width.layer)", "\(Wording.count(Double(width.before)))", "\(Wording.count(Double(width.after)))"]
      })
  }

  /// What the figures mean, a sentence or two each.
  public var statements: [String] {
    var lines = [
      "The mask asked for \(percent(requestedChannelRatio)) of the channels; \(percent(achievedChannelRatio)) are left.",
      "It kept \(percent(requestedWeightRatio)) of the weights and \(percent(requestedMultiplyAddRatio)) of the "
        + "multiply-adds; \(percent(achievedWeightRatio)) and \(percent(achievedMultiplyAddRatio)) are left.",
      "Slimmed and masked logits differ by at most \(NumberText.plain(maxDifference, digits: 2))."
    ]
    if relativeChange > 1e-4 {
      lines.append(
        "To make this possible the network was changed: its logits moved by up to "
          + "\(NumberText.plain(maxChange, digits: 2)), \(percent(relativeChange)) of the largest. "
          + "Recalibrate or train on.")
    }
    if silenceable > 0 {
      lines.append(
        "\(NumberText.count(silenceable, "more channel")) could be cut by the setting silence, which changes "
          + "the logits.")
    }
    for (name, held) in Dictionary(grouping: frozen, by: \.operatorName).sorted(by: { $0.key < $1.key }) {
      let count = held.reduce(0) { $0 + $1.channels }
      lines.append("\(NumberText.count(count, "filter")) cannot be cut because of \(name).")
    }
    lines += latency.map { $0.statement(than: "masked") }
    if let recalibration {
      lines.append(
        "Test accuracy \(Wording.accuracy(recalibration.accuracyBeforeRecalibration.value)) before and "
          + "\(Wording.accuracy(recalibration.accuracy.value)) after recalibration "
          + "(95 %: \(recalibration.accuracy.interval)).")
    }
    return lines
  }

  private func percent(_ value: Double) -> String { NumberText.percent(value, decimals: 1) }
}
