import Foundation
import QuenchReporting

/// What is said about a calibration: on the terminal and as a page.
extension CalibratePredictions {
  public static func text(of run: PerformedRun<CalibratePredictions>) -> String {
    guard let outcome = run.outcome else { return "" }
    let slope = outcome.logisticSlope
    let feature = outcome.predictor == "classifier" ? "log-odds of the score" : "ln(predicted Å)"
    return """
      P(good) = 1 / (1 + exp(-(\(fixed(outcome.logisticIntercept)) \
      \(slope < 0 ? "-" : "+") \(fixed(slope.magnitude)) x))), x = \(feature)

      \(table(outcome).text)

      report  \(run.folder.report.relativePath)
      """
  }

  public static func report(of run: PerformedRun<CalibratePredictions>) -> Report {
    let outcome = run.outcome
    let name = outcome?.test == nil ? "train" : "test"
    let judged = outcome?.test ?? outcome?.train
    var sections: [Report.Section] = .caution(of: run)
    if let outcome, let judged {
      let reading =
        "Each point is the holes whose probability lies in one span: how often they were good, with Wilson's 95 % "
        + "interval, over the mean probability that they were given. On the diagonal a probability means what it says."
      sections += outcome.warning.map { [.init("What to heed", [.callout(.caution, $0)])] } ?? []
      sections += [
        .init("Reliability", [.prose(reading)] + judged.ways.map { .figure(plot($0.name, $0.score)) }),
        .init("Scores", [.table(table(outcome))])
      ]
    }
    return Report(
      title: "How far predicted probabilities can be trusted",
      summary: "Predictions were turned into the probability that a hole is fitted to "
        + "\(NumberText.plain(run.experiment.threshold)) Å or better, and compared with what was measured"
        + (name == "test" ? " on holes that nothing was fitted to." : " on the holes that they were fitted to."),
      keyFigures: judged.map {
        [
          .init("Log loss, logistic", fixed($0.logistic.logLoss), detail: "\(name) survey"),
          .init("Log loss, isotonic", fixed($0.isotonic.logLoss), detail: "\(name) survey"),
          .init("Holes", Wording.count(Double($0.n)), detail: "\(Wording.count(Double($0.good))) of them good")
        ]
      } ?? [], sections: sections, record: run.record)
  }

  private static func plot(_ name: String, _ score: Score) -> LineChart {
    LineChart(
      name.capitalized, x: Axis("Probability given", unit: nil, range: 0...1),
      y: Axis("Share of good holes", unit: nil, range: 0...1),
      series: [
        .init(
          name,
          score.reliability.map {
            .init($0.predicted, $0.observed, interval: min($0.low, $0.high)...max($0.low, $0.high))
          }),
        .init("as it should be", [.init(0, 0), .init(1, 1)])
      ],
      caption: "Mean distance from the diagonal \(fixed(score.calibrationError)), weighted by holes.")
  }

  private static func table(_ outcome: Outcome) -> Table {
    let splits = [("train", outcome.train)] + (outcome.test.map { [("test", $0)] } ?? [])
    let names = outcome.train.ways.map(\.name) + ["base rate"]
    return Table(
      "Lower is better",
      columns: [.text("method")]
        + splits.flatMap { split in
          ["log loss", "Brier", "calibration error"].map { .number("\(split.0) \($0)") }
        },
      rows: names.enumerated().map { index, name -> [Table.Cell] in
        ["\(name)"]
          + splits.flatMap { _, split -> [Table.Cell] in
            guard index < split.ways.count else {
              return ["\(fixed(split.baseRateLogLoss))", "\(fixed(split.baseRateBrier))", "–"]
            }
            let score = split.ways[index].score
            return [score.logLoss, score.brier, score.calibrationError].map { "\(fixed($0))" }
          }
      })
  }

  private static func fixed(_ value: Double) -> String { NumberText.fixed(value, decimals: 4) }
}

extension CalibratePredictions.Split {
  /// The ways, in the order in which they are told of.
  public var ways: [(name: String, score: CalibratePredictions.Score)] {
    [("logistic", logistic), ("isotonic", isotonic), ("uncalibrated", uncalibrated)]
  }
}
