import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchVision

/// What is said about the training of a predictor: on the terminal and as a page.
extension TrainPredictor {
  public static func text(of run: PerformedRun<TrainPredictor>) -> String {
    guard let outcome = run.outcome else { return "" }
    return """
      \(table(outcome).text)

      \(outcome.synthetic ? SyntheticGrid.notice + "\n" : "")\
      training     \(Wording.duration(outcome.seconds)), \(Wording.count(outcome.imagesPerSecond)) pictures a second
      weights      \(run.folder.artefact(ClassifierWork.modelFileName).relativePath)
      predictions  \(run.folder.artefact(outcome.predictions).relativePath)
      report       \(run.folder.report.relativePath)
      """
  }

  public static func report(of run: PerformedRun<TrainPredictor>) -> Report {
    var sections: [Report.Section] = .caution(of: run)
    if let outcome = run.outcome {
      if outcome.synthetic {
        sections.append(.init("About the pictures", [.callout(.caution, SyntheticGrid.notice + ".")]))
      }
      sections.append(.init("Predictions", [.table(table(outcome))]))
    }
    sections.append(.init("Training", [.figure(losses(run.metrics))]))
    return Report(
      title: "A CTF predictor: \(run.experiment.model.rawValue)",
      summary: "A network learned to predict a hole's resolution from its picture; judged on the "
        + "\(run.outcome?.judgedOn ?? "survey").",
      keyFigures: run.outcome.map { outcome in
        [
          .init(
            "Good or bad, right", Wording.accuracy(outcome.accuracy.value),
            detail: "95 %: \(outcome.accuracy.interval)"),
          .init("Area under the ROC", fixed(outcome.auc), detail: "\(Wording.count(Double(outcome.n))) holes"),
          .init("Mean error", outcome.mae.map { "\(fixed($0)) Å" } ?? "–", detail: "clipped at 20 Å")
        ]
      } ?? [], sections: sections, record: run.record)
  }

  private static func losses(_ metrics: [Record]) -> LineChart {
    func series(_ name: String, _ key: String) -> LineChart.Series {
      .init(
        name,
        metrics.compactMap { row in
          guard let x = row["epoch"]?.number, let y = row[key]?.number else { return nil }
          return .init(x, y)
        })
    }
    let all = [series("training", "loss"), series("validation", "validation_loss")].filter { !$0.points.isEmpty }
    return LineChart(
      "Loss", x: Axis("Epoch", unit: nil), y: Axis("Loss", unit: nil), series: all,
      caption: "The training loss is that of augmented pictures.")
  }

  private static func table(_ outcome: Outcome) -> Table {
    let rows: [(String, String)] = [
      ("holes", Wording.count(Double(outcome.n))),
      (
        "good or bad at \(NumberText.plain(outcome.threshold)) Å, right", Wording.accuracy(outcome.accuracy.value)
      ),
      ("area under the ROC curve", fixed(outcome.auc)),
      ("mean absolute error in Å, clipped at 20", fixed(outcome.mae)),
      ("root mean square error in Å, clipped at 20", fixed(outcome.rmse)),
      ("rank correlation (Spearman)", fixed(outcome.spearman))
    ]
    return Table(
      "Predictions for the \(outcome.judgedOn)", columns: [.text("measure"), .number("value")],
      rows: rows.filter { $0.1 != "–" }.map { ["\($0.0)", "\($0.1)"] })
  }

  private static func fixed(_ value: Double?) -> String { NumberText.figure(value, decimals: 3) }
}
