import Foundation
import Reporting
import Smoothing

extension [ReconstructionEvaluation.Row] {
  /// `rmse_2`, `ssim_2`, `defended_rmse_2`, `defended_ssim_2` for each radius.
  func summary(count: Int, seconds: Double) -> Record {
    var summary: Record = ["n": .int(count), "seconds": .double(seconds)]
    for row in self {
      let radius = NumberText.plain(row.epsilon)
      summary["rmse_\(radius)"] = .double(row.error)
      summary["ssim_\(radius)"] = .double(row.similarity)
      summary["defended_rmse_\(radius)"] = row.defendedError.map { .double($0) }
      summary["defended_ssim_\(radius)"] = row.defendedSimilarity.map { .double($0) }
    }
    return summary
  }

  /// As a table of tab-separated values.
  var text: String {
    let lines = map { row in
      [row.epsilon, row.error, row.similarity, row.defendedError, row.defendedSimilarity]
        .map { $0.map { "\($0)" } ?? "" }.joined(separator: "\t")
    }
    return (["epsilon\trmse\tssim\tdefended_rmse\tdefended_ssim"] + lines).joined(separator: "\n") + "\n"
  }
}

/// The outcome of `quench defend reconstruct` as text and as a page.
enum ReconstructionReport {
  private static let columns = ["rmse", "ssim", "defended_rmse", "defended_ssim"]

  static func text(_ summary: Record, _ setting: String) -> String {
    let rows = radii(setting).map { radius in
      ([radius] + cells(summary, radius)).map { $0.padding(toLength: 10, withPad: " ", startingAt: 0) }.joined()
    }
    return (["epsilon   RMSE      SSIM      defended: RMSE, SSIM"] + rows).joined(separator: "\n")
  }

  static func make(_ run: RunFiles) -> Report {
    let radii = radii(run.setting("epsilons"))
    let chart = LineChart(
      "Error over strength", x: Axis("L2 norm of the perturbation", unit: nil),
      y: Axis("Root mean squared error", unit: nil),
      series: [("alone", "rmse"), ("defended", "defended_rmse")].compactMap { name, key in
        let points = radii.compactMap { radius in
          run.number("\(key)_\(radius)").map { LineChart.Point(Double(radius) ?? 0, $0) }
        }
        return points.isEmpty ? nil : LineChart.Series(name, points)
      }, caption: "Mean over the test images.")
    let table = Table(
      "Errors and similarities",
      columns: [
        .number("Epsilon"), .number("RMSE"), .number("SSIM"), .number("RMSE defended"), .number("SSIM defended")
      ],
      rows: radii.map { radius in ([radius] + cells(run.summary, radius)).map { .init($0) } })
    return Report(
      title: "A reconstructor of \(run.setting("data")) under attack",
      summary:
        "Measurements of the images were perturbed to make the reconstruction worse; the attack looked at the "
        + "\(run.setting("attack")) reconstructor. A defended answer is the mean of `\(run.setting("copies"))` noise "
        + "draws. There is no certificate for images.",
      keyFigures: [.init("Images", Wording.count(run.number("n")))],
      sections: [Report.Section("What is left of the images", [.figure(chart), .table(table)])], record: run.record)
  }

  /// The strengths in a text such as `0,1,2`; nil where one is no number.
  static func epsilons(_ text: String) -> [Double]? {
    let parts = text.split(separator: ",").map { Double($0.trimmingCharacters(in: .whitespaces)) }
    return parts.contains(nil) ? nil : parts.compactMap(\.self)
  }

  private static func radii(_ setting: String) -> [String] {
    (epsilons(setting) ?? []).map { NumberText.plain($0) }
  }

  private static func cells(_ summary: Record, _ radius: String) -> [String] {
    columns.map { summary["\($0)_\(radius)"]?.number.map { NumberText.fixed($0, decimals: 4) } ?? "–" }
  }
}
