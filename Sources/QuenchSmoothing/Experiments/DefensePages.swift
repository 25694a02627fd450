import Foundation
import QuenchReporting

extension PretrainDefense {
  public static func text(of run: PerformedRun<PretrainDefense>) -> String {
    guard let outcome = run.outcome else { return "" }
    let lines = Wording.lines([
      "mean squared error": "\(NumberText.plain(outcome.testMse)) on test images",
      "training": "\(Wording.duration(outcome.seconds)), \(Wording.count(outcome.imagesPerSecond)) images a second",
      "folder": run.folder.url.relativePath
    ])
    guard let accuracy = outcome.modelAccuracy else { return lines }
    return lines + "\nThe model is right about \(Wording.accuracy(accuracy.value)) of the "
      + "\(NumberText.count(outcome.n, "image")) that were given back (95 %: \(accuracy.interval))."
  }

  public static func report(of run: PerformedRun<PretrainDefense>) -> Report {
    let (part, data) = (run.experiment.part, run.experiment.learning.selection.data.rawValue)
    let reconstructs = part == .reconstructor
    return Report(
      title: reconstructs ? "A reconstructor of \(data)" : "A defense's \(part.rawValue) on \(data)",
      summary: "It was trained for \(run.experiment.recipe.epochs) epochs to give back images"
        + (reconstructs ? " from linear measurements of them." : ", without the model."),
      keyFigures: run.outcome.map { outcome in
        [
          .init("Mean squared error", NumberText.plain(outcome.testMse), detail: "on the test images"),
          .init("Training time", Wording.duration(outcome.seconds)),
          .init("Parameters", Wording.count(Double(outcome.parameters)))
        ] + (outcome.modelAccuracy.map { [$0.keyFigure("The model's accuracy on them", of: outcome.n)] } ?? [])
      } ?? [],
      sections: [DefenseLearningSection.make(run.metrics, loss: "Mean squared error")], record: run.record)
  }
}

extension TrainDefense {
  public static func text(of run: PerformedRun<TrainDefense>) -> String {
    guard let outcome = run.outcome else { return "" }
    return Wording.lines([
      "queries": "\(Wording.count(Double(outcome.queries))); \(outcome.costs.text)",
      "training": "\(Wording.duration(outcome.seconds)), \(Wording.count(outcome.imagesPerSecond)) images a second",
      "defense": run.folder.url.relativePath,
      "report": run.folder.report.relativePath
    ])
  }

  public static func report(of run: PerformedRun<TrainDefense>) -> Report {
    let experiment = run.experiment
    var figures: [Report.KeyFigure] = []
    if let outcome = run.outcome {
      figures = [
        .init("Queries", Wording.count(Double(outcome.queries)), detail: "images that the model was asked about"),
        outcome.costs.keyFigure,
        .init("Training time", Wording.duration(outcome.seconds)),
        .init("Time in queries", NumberText.percent(outcome.queryShareOfTime, decimals: 1))
      ]
      if let step = outcome.smoothingStep {
        let zeros = outcome.zeroDifferences.map { NumberText.percent($0, decimals: 1) } ?? "–"
        figures.append(
          .init(
            "Step of a difference", NumberText.plain(step), detail: "\(zeros) of the differences were exactly 0"))
      }
    }
    return Report(
      title: "A defense by \(experiment.method.rawValue) on \(experiment.learning.selection.data.rawValue)",
      summary: "A denoiser was trained to keep the model's answers under noise of standard deviation "
        + "`\(experiment.recipe.sigma)`; `quench defend evaluate` certifies the two together.",
      keyFigures: figures,
      sections: [DefenseLearningSection.make(run.metrics, loss: "Loss against the model's answer")],
      record: run.record)
  }
}

private enum DefenseLearningSection {
  static func make(_ metrics: [Record], loss: String) -> Report.Section {
    func points(_ key: String) -> [LineChart.Point] {
      metrics.compactMap { row in
        guard let epoch = row["epoch"]?.number, let value = row[key]?.number else { return nil }
        return LineChart.Point(epoch, value)
      }
    }
    let epoch = Axis("Epoch", unit: nil)
    var blocks: [Report.Block] = [
      .figure(
        LineChart(
          "Loss", x: epoch, y: Axis(loss, unit: nil), series: [.init("training batches", points("loss"))],
          caption: "Mean over the batches since the last point."))
    ]
    let kept = points("accuracy")
    if !kept.isEmpty {
      blocks.append(
        .figure(
          LineChart(
            "Answers kept", x: epoch, y: Axis("Answers kept", unit: nil, style: .percent),
            series: [.init("training batches", kept)],
            caption: "Noisy images that get, through the defense, the class that the model gives the clean image."))
      )
    }
    return Report.Section("Learning", blocks)
  }
}
