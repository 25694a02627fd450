import Foundation
import Reporting

/// What is told about `quench slim`: on the terminal and as a page.
enum SlimReport {
  /// The result in words and a table.
  static func text(_ summary: Record, _ url: URL) -> String {
    """
    \(table(summary).text)

    \(statements(summary).joined(separator: "\n"))
    weights   \(url.appending(path: TrainRun.modelFileName).relativePath)
    report    \(url.appending(path: "report.html").relativePath)
    """
  }

  static func make(_ run: RunFiles) -> Report {
    let model = run.summary["model"]?.string ?? run.setting("weights")
    var sections: [Report.Section] = []
    if !run.summary.isEmpty {
      let statements = statements(run.summary).map { Report.Block.callout(.note, $0) }
      sections = [
        Report.Section("Masked and slimmed", [.table(table(run.summary))] + statements),
        Report.Section("Widths", [.table(widths(run.summary))])
      ]
    }
    return Report(
      title: "\(model) slimmed",
      summary: "The pruned channels of `\(model)` were cut out by the policy `\(run.setting("policy"))`.",
      keyFigures: run.summary.isEmpty ? [] : keyFigures(run),
      sections: sections + TestSections.make(run.evaluation, of: "the slimmed network"),
      record: run.record)
  }

  private static func keyFigures(_ run: RunFiles) -> [Report.KeyFigure] {
    let sizes: [Report.KeyFigure] = [
      .init(
        "Channels left", percent(run.summary, "achieved_channel_ratio"),
        detail: "\(percent(run.summary, "requested_channel_ratio")) asked for by the mask"),
      .init(
        "Parameters", Wording.count(run.number("parameters")),
        detail: "of \(Wording.count(run.number("parameters_before")))"),
      .init(
        "Multiply-adds", Wording.count(run.number("multiply_adds")),
        detail: "of \(Wording.count(run.number("multiply_adds_before")))")
    ]
    return sizes
      + SideBySide.batchSizes.map { batchSize in
        let slimmed = SideBySide.milliseconds(run.summary, batchSize, "slimmed")
        let masked = SideBySide.milliseconds(run.summary, batchSize, "masked")
        return Report.KeyFigure(
          "Speed, batch of \(batchSize)", SideBySide.times(run.summary, batchSize),
          detail: "\(slimmed) instead of \(masked)"
            + (SideBySide.spread(run.summary, batchSize).map { "; \($0) times in single rounds" } ?? ""))
      }
  }

  static func table(_ summary: Record) -> Table {
    let isTested = summary["n"] != nil
    func row(_ name: String, channels: Double, suffix: String, accuracy: String) -> [Table.Cell] {
      var texts = [
        name, Wording.count(channels), Wording.count(summary["parameters\(suffix)"]?.number),
        Wording.count(summary["multiply_adds\(suffix)"]?.number)
      ]
      texts += SideBySide.batchSizes.map { SideBySide.milliseconds(summary, $0, name) }
      if isTested { texts.append(Wording.accuracy(summary[accuracy]?.number)) }
      return texts.map { Table.Cell($0) }
    }
    var columns: [Table.Column] = [
      .text("network"), .number("channels"), .number("parameters"), .number("multiply-adds")
    ]
    for batchSize in SideBySide.batchSizes { columns.append(.number("batch of \(batchSize)")) }
    if isTested { columns.append(.number("test accuracy")) }
    let channels = summary["channels"]?.number ?? 0
    let left = channels - (summary["removed_channels"]?.number ?? 0)
    return Table(
      "Masked and slimmed", columns: columns,
      rows: [
        row("masked", channels: channels, suffix: "_before", accuracy: "masked_accuracy"),
        row("slimmed", channels: left, suffix: "", accuracy: "accuracy")
      ])
  }

  private static func widths(_ summary: Record) -> Table {
    let prefix = "widths."
    return Table(
      "Layers with another width",
      columns: [.text("Layer"), .number("Outputs before"), .number("Outputs after")],
      rows: summary.filter { $0.key.hasPrefix(prefix) }.map { key, value in
        [Table.Cell(String(key.dropFirst(prefix.count)))]
          + (value.array ?? []).map { Table.Cell(Wording.count($0.number)) }
      })
  }

  /// What the figures mean, a sentence or two each.
  static func statements(_ summary: Record) -> [String] {
    var lines = [
      "The mask asked for \(percent(summary, "requested_channel_ratio")) of the channels; "
        + "\(percent(summary, "achieved_channel_ratio")) are left.",
      "It kept \(percent(summary, "requested_weight_ratio")) of the weights and "
        + "\(percent(summary, "requested_multiply_add_ratio")) of the multiply-adds; "
        + "\(percent(summary, "achieved_weight_ratio")) and "
        + "\(percent(summary, "achieved_multiply_add_ratio")) are left.",
      "Slimmed and masked logits differ by at most \(number(summary, "max_difference"))."
    ]
    if let change = summary["relative_change"]?.number, change > 1e-4 {
      lines.append(
        "To make this possible the network was changed: its logits moved by up to "
          + "\(number(summary, "max_change")), \(NumberText.percent(change, decimals: 1)) of the largest. "
          + "Recalibrate or train on.")
    }
    if let left = summary["silenceable"]?.integer, left > 0 {
      lines.append(
        "\(NumberText.count(left, "more channel")) could be cut with --silence, which changes the logits.")
    }
    lines += SideBySide.statements(summary, than: "masked")
    if let before = summary["accuracy_before_recalibration"]?.number {
      lines.append(
        "Test accuracy \(Wording.accuracy(before)) before and \(percent(summary, "accuracy", decimals: 2)) after "
          + "recalibration (95 %: "
          + "\(Wording.interval(summary["interval_low"]?.number, summary["interval_high"]?.number))).")
    }
    return lines
  }

  private static func percent(_ summary: Record, _ key: String, decimals: Int = 1) -> String {
    NumberText.percent(summary[key]?.number ?? .nan, decimals: decimals)
  }

  private static func number(_ summary: Record, _ key: String) -> String {
    NumberText.plain(summary[key]?.number ?? .nan, digits: 2)
  }
}
