import CryoEM
import Foundation
import Reporting
import Vision

/// What is told about `quench cryo predictor train`: on the terminal and as a page.
enum PredictorReport {
  static func text(_ summary: Record, _ url: URL) -> String {
    """
    \(table(summary).text)

    \(summary["synthetic"]?.bool == true ? SyntheticGrid.notice + "\n" : "")\
    training     \(Wording.duration(summary["seconds"]?.number)), \
    \(Wording.count(summary["images_per_second"]?.number)) pictures a second
    weights      \(url.appending(path: ClassifierWork.modelFileName).relativePath)
    predictions  \(url.appending(path: summary["predictions"]?.string ?? PredictorRun.predictionsFileName).relativePath)
    report       \(url.appending(path: "report.html").relativePath)
    """
  }

  static func make(_ run: RunFiles) -> Report {
    let summary = run.summary
    var sections: [Report.Section] = []
    if summary["synthetic"]?.bool == true {
      sections.append(Report.Section("About the pictures", [.callout(.caution, SyntheticGrid.notice + ".")]))
    }
    if !summary.isEmpty { sections.append(Report.Section("Predictions", [.table(table(summary))])) }
    sections.append(Report.Section("Training", [.figure(losses(run))]))
    let judged = summary["judged_on"]?.string ?? "survey"
    return Report(
      title: "A CTF predictor: \(run.setting("model"))",
      summary: "A network learned to predict a hole's resolution from its picture; judged on the \(judged).",
      keyFigures: summary.isEmpty
        ? []
        : [
          .init(
            "Good or bad, right", Wording.accuracy(summary["accuracy"]?.number),
            detail: "95 %: \(Wording.interval(summary["accuracy_low"]?.number, summary["accuracy_high"]?.number))"),
          .init(
            "Area under the ROC", fixed(summary["auc"]?.number),
            detail: "\(Wording.count(summary["n"]?.number)) holes"),
          .init("Mean error", summary["mae"]?.number.map { "\(fixed($0)) Å" } ?? "–", detail: "clipped at 20 Å")
        ], sections: sections, record: run.record)
  }

  private static func losses(_ run: RunFiles) -> LineChart {
    func series(_ name: String, _ key: String) -> LineChart.Series {
      .init(
        name,
        run.metrics.compactMap { row in
          guard let x = row["epoch"]?.number, let y = row[key]?.number else { return nil }
          return .init(x, y)
        })
    }
    let all = [series("training", "loss"), series("validation", "validation_loss")].filter { !$0.points.isEmpty }
    return LineChart(
      "Loss", x: Axis("Epoch", unit: nil), y: Axis("Loss", unit: nil), series: all,
      caption: "The training loss is that of augmented pictures.")
  }

  private static func table(_ summary: Record) -> Table {
    let threshold = NumberText.plain(summary["threshold"]?.number ?? 0)
    let rows: [[Table.Cell]] = [
      ["holes", Table.Cell(Wording.count(summary["n"]?.number))],
      ["good or bad at \(threshold) Å, right", Table.Cell(Wording.accuracy(summary["accuracy"]?.number))],
      ["area under the ROC curve", Table.Cell(fixed(summary["auc"]?.number))],
      ["mean absolute error in Å, clipped at 20", Table.Cell(fixed(summary["mae"]?.number))],
      ["root mean square error in Å, clipped at 20", Table.Cell(fixed(summary["rmse"]?.number))],
      ["rank correlation (Spearman)", Table.Cell(fixed(summary["spearman"]?.number))]
    ]
    return Table(
      "Predictions for the \(summary["judged_on"]?.string ?? "survey")",
      columns: [.text("measure"), .number("value")],
      rows: rows.filter { $0[1].text != "–" })
  }

  private static func fixed(_ value: Double?) -> String { value.map { NumberText.fixed($0, decimals: 3) } ?? "–" }
}
