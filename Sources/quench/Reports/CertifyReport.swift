import Foundation
import Reporting
import Smoothing

/// The page about `quench certify`, and the chart that `quench certify plot` draws of several.
enum CertifyReport {
  static func make(_ run: RunFiles) -> Report {
    let accuracy = run.certified.certifiedAccuracy(at: 0)
    var figures: [Report.KeyFigure] = [
      .init(
        "Accuracy under noise", Wording.accuracy(accuracy.fraction),
        detail: "95 %: \(Wording.interval(accuracy.interval.lowerBound, accuracy.interval.upperBound)), "
          + "n\u{a0}=\u{a0}\(accuracy.count)"),
      .init("Average certified radius", NumberText.plain(run.certified.averageCertifiedRadius, digits: 3)),
      .init("Noisy copies an image", Wording.count(run.number("samples_per_image"))),
      .init("Speed", Wording.count(run.number("samples_per_second")), detail: "noisy copies a second")
    ]
    if run.number("ledger_queries") != nil { figures.append(DefendReport.ledger(run)) }
    return Report(
      title: "Certified accuracy of \(run.summary["model"]?.string ?? "a network") on \(run.setting("data"))",
      summary: "Each image was classified under Gaussian noise of standard deviation `\(run.setting("sigma"))`. "
        + "Within its radius no change of the image, measured in the L2 norm, changes the answer; a certificate is "
        + "wrong with probability at most `\(run.setting("alpha"))`. Images without one count as wrong.",
      keyFigures: figures, sections: [section([("certified", run.certified)])], record: run.record)
  }

  /// Chart and table of one or several certifications.
  static func section(_ runs: [(name: String, rows: [CertifiedRow])]) -> Report.Section {
    let largest = runs.flatMap(\.rows).reduce(0) { max($0, $1.radius) }
    let steps = max(2, Int((largest / 0.025).rounded(.up)) + 1)
    let series = runs.map { name, rows in
      LineChart.Series(
        name,
        (0...steps).map { step in
          let radius = Double(step) * 0.025
          let accuracy = rows.certifiedAccuracy(at: radius)
          return LineChart.Point(radius, accuracy.fraction, interval: accuracy.interval)
        })
    }
    let chart = LineChart(
      "Certified accuracy over radius", x: Axis("L2 radius", unit: nil),
      y: Axis("Certified accuracy", unit: nil, style: .percent, range: 0...1), series: series,
      caption: "Share of the images that are classified right with at least this radius; bands: 95 % (Wilson).")
    return Report.Section("Accuracy against radius", [.figure(chart), .table(table(runs))])
  }

  /// The certified accuracy at the usual radii.
  static func table(_ runs: [(name: String, rows: [CertifiedRow])]) -> Table {
    let largest = runs.flatMap(\.rows).reduce(0) { max($0, $1.radius) }
    let radii = stride(from: 0, through: max(0.75, largest), by: 0.25).map { $0 }
    return Table(
      "Certified accuracy at radii",
      columns: [.text("Run"), .number("Images")] + radii.map { .number(CertifyRun.name(of: $0)) }
        + [.number("Average radius")],
      rows: runs.map { name, rows in
        [.init(name), .init("\(rows.count)")]
          + radii.map { .init(NumberText.percent(rows.certifiedAccuracy(at: $0).fraction, decimals: 1)) }
          + [.init(NumberText.plain(rows.averageCertifiedRadius, digits: 3))]
      })
  }
}
