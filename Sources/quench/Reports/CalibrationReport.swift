import CryoEM
import Foundation
import Reporting

/// What is told about `quench cryo calibrate`: on the terminal and as a page.
enum CalibrationReport {
  static func text(_ summary: Record, _ url: URL) -> String {
    """
    P(good) = 1 / (1 + exp(-(\(fixed(summary["logistic_intercept"]?.number)) \
    \(signed(summary["logistic_slope"]?.number)) x))), x = \(feature(summary))

    \(table(summary).text)

    report  \(url.appending(path: "report.html").relativePath)
    """
  }

  static func make(_ run: RunFiles) -> Report {
    let summary = run.summary
    let threshold = NumberText.plain(summary["threshold"]?.number ?? 0)
    let split = judged(summary)
    let plots = CalibrationRun.methods.map { method in plot(summary, split, method) }
    var sections: [Report.Section] = []
    if !summary.isEmpty {
      let reading =
        "Each point is the holes whose probability lies in one span: how often they were good, with Wilson's 95 % "
        + "interval, over the mean probability that they were given. On the diagonal a probability means what it says."
      sections = summary["warning"]?.string.map { [Report.Section("What to heed", [.callout(.caution, $0)])] } ?? []
      sections += [
        Report.Section("Reliability", [.prose(reading)] + plots.map { .figure($0) }),
        Report.Section("Scores", [.table(table(summary))])
      ]
    }
    return Report(
      title: "How far predicted probabilities can be trusted",
      summary: "Predictions were turned into the probability that a hole is fitted to \(threshold) Å or better, "
        + "and compared with what was measured"
        + (split == "test" ? " on holes that nothing was fitted to." : " on the holes that they were fitted to."),
      keyFigures: summary.isEmpty
        ? []
        : [
          .init(
            "Log loss, logistic", fixed(summary["\(split)_logistic_log_loss"]?.number), detail: "\(split) survey"),
          .init(
            "Log loss, isotonic", fixed(summary["\(split)_isotonic_log_loss"]?.number), detail: "\(split) survey"),
          .init(
            "Holes", Wording.count(summary["\(split)_n"]?.number),
            detail: "\(Wording.count(summary["\(split)_good"]?.number)) of them good")
        ], sections: sections, record: run.record)
  }

  /// The survey to judge by: the one that nothing was fitted to, where there is one.
  private static func judged(_ summary: Record) -> String { summary["test_n"] == nil ? "train" : "test" }

  private static func plot(_ summary: Record, _ split: String, _ method: String) -> LineChart {
    let bins = summary["\(split)_\(method)_reliability"]?.array?.compactMap(\.record) ?? []
    let points = bins.compactMap { bin -> LineChart.Point? in
      guard let x = bin["predicted"]?.number, let y = bin["observed"]?.number, let low = bin["low"]?.number,
        let high = bin["high"]?.number
      else { return nil }
      return LineChart.Point(x, y, interval: low...high)
    }
    let error = summary["\(split)_\(method)_calibration_error"]?.number
    return LineChart(
      method.capitalized, x: Axis("Probability given", unit: nil, range: 0...1),
      y: Axis("Share of good holes", unit: nil, range: 0...1),
      series: [.init(method, points), .init("as it should be", [.init(0, 0), .init(1, 1)])],
      caption: "Mean distance from the diagonal \(fixed(error)), weighted by holes.")
  }

  private static func table(_ summary: Record) -> Table {
    let splits = ["train", "test"].filter { summary["\($0)_n"] != nil }
    let rows = (CalibrationRun.methods + ["base_rate"]).map { method in
      [Table.Cell(method.replacing("_", with: " "))]
        + splits.flatMap { split in
          ["log_loss", "brier", "calibration_error"].map { score in
            Table.Cell(fixed(summary["\(split)_\(method)_\(score)"]?.number))
          }
        }
    }
    let columns = splits.flatMap { split in
      ["log loss", "Brier", "calibration error"].map { Table.Column.number("\(split) \($0)") }
    }
    return Table("Lower is better", columns: [.text("method")] + columns, rows: rows)
  }

  private static func feature(_ summary: Record) -> String {
    summary["predictor"]?.string == "classifier" ? "log-odds of the score" : "ln(predicted Å)"
  }

  private static func fixed(_ value: Double?) -> String { value.map { NumberText.fixed($0, decimals: 4) } ?? "–" }

  private static func signed(_ value: Double?) -> String {
    guard let value else { return "–" }
    return "\(value < 0 ? "-" : "+") \(fixed(value.magnitude))"
  }
}
