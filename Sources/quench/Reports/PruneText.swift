import Foundation
import Reporting

/// What `quench prune` prints at its end.
enum PruneText {
  static func make(_ summary: Record, _ url: URL) -> String {
    let kept = summary["kept"]?.number ?? 0
    let total = summary["prunable"]?.number ?? 1
    func row(_ name: String, _ kept: Double, _ ratio: Double, prefix: String = "") -> [Table.Cell] {
      [
        "\(name)", "\(Wording.count(kept))", "\(NumberText.plain(ratio))", "\(NumberText.plain(1 - ratio))",
        "\(Wording.accuracy(summary[prefix + "accuracy"]?.number))",
        "\(Wording.interval(summary[prefix + "interval_low"]?.number, summary[prefix + "interval_high"]?.number))"
      ]
    }
    let dense = summary["dense_accuracy"] == nil ? [] : [row("dense", total, 1, prefix: "dense_")]
    let pruned = row(
      summary["method"]?.string ?? "pruned", kept, summary["keep_ratio"]?.number ?? kept / total)
    let table = Table(
      "Dense and pruned",
      columns: [
        .text("network"), .number("weights kept"), .number("keep ratio"), .number("sparsity"),
        .number("test accuracy"), .number("95 % interval")
      ],
      rows: dense + [pruned])
    return """
      \(table.text)

      Tested on \(Wording.count(summary["n"]?.number)) images. \(PruneReport.speedStatement)
      weights   \(url.appending(path: TrainRun.modelFileName).relativePath)
      report    \(url.appending(path: "report.html").relativePath)
      """
  }
}
