import Foundation
import Reporting
import Smoothing

/// The page about `quench certify`, and the chart that `quench certify plot` draws of several.
enum CertifyReport {
  static func make(_ run: RunFiles) -> Report {
    let (rows, asked) = (run.certified, run.certified.askedRadii)
    let least = asked?.first ?? 0
    let accuracy = rows.certifiedAccuracy(at: least)
    var figures: [Report.KeyFigure] = [
      .init(
        least == 0 ? "Accuracy under noise" : "Certified accuracy at \(CertifyRun.name(of: least))",
        Wording.accuracy(accuracy.fraction),
        detail: "95 %: \(Wording.interval(accuracy.interval.lowerBound, accuracy.interval.upperBound)), "
          + "n\u{a0}=\u{a0}\(accuracy.count)"),
      .init(
        "Average certified radius", averageRadius(rows),
        detail: asked == nil ? "" : "each radius is rounded down to those asked for"),
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
    let series = runs.map { name, rows in
      LineChart.Series(
        name,
        radii(toDraw: rows).map { radius in
          let accuracy = rows.certifiedAccuracy(at: radius)
          return LineChart.Point(radius, accuracy.fraction, interval: accuracy.interval)
        })
    }
    let isAsked = runs.contains { $0.rows.askedRadii != nil }
    let chart = LineChart(
      "Certified accuracy over radius", x: Axis("L2 radius", unit: nil),
      y: Axis("Certified accuracy", unit: nil, style: .percent, range: 0...1), series: series,
      caption: "Share of the images that are classified right with at least this radius; bands: 95 % (Wilson)."
        + (isAsked
          ? " Where radii were asked for, the curve is a lower bound between them and ends with the last." : "")
    )
    return Report.Section("Accuracy against radius", [.figure(chart), .table(table(runs))])
  }

  /// Where a curve has its points: up to the last radius that was asked for, or beyond the largest that there is.
  private static func radii(toDraw rows: [CertifiedRow]) -> [Double] {
    let largest = rows.reduce(0) { max($0, $1.radius) }
    let asked = rows.askedRadii
    let end = asked?.last ?? max(0.05, (largest / 0.025).rounded(.up) * 0.025 + 0.025)
    let count = min(max(1, Int((min(end, 100) / 0.025).rounded(.up))), 400)
    let grid = (0...count).map { end * Double($0) / Double(count) }
    return Set(grid + (asked ?? [])).sorted()
  }

  /// The certified accuracy at the radii that were asked for, and for a run that asked for none at the usual ones.
  static func table(_ runs: [(name: String, rows: [CertifiedRow])]) -> Table {
    let largest = runs.flatMap(\.rows).reduce(0) { max($0, $1.radius) }
    let step = 0.25 * max(1, (largest / 3).rounded(.up))
    let usual = (0...12).map { Double($0) * step }.filter { $0 <= max(0.75, largest) }
    let radii = Set(runs.flatMap { $0.rows.askedRadii ?? usual }).sorted()
    return Table(
      "Certified accuracy at radii",
      columns: [.text("Run"), .number("Images")] + radii.map { .number(CertifyRun.name(of: $0)) }
        + [.number("Average radius")],
      rows: runs.map { name, rows in
        let asked = rows.askedRadii
        return [.init(name), .init("\(rows.count)")]
          + radii.map { radius in
            // What was not asked is not known: 0 would be an answer.
            asked?.contains(radius) == false
              ? "–" : .init(NumberText.percent(rows.certifiedAccuracy(at: radius).fraction, decimals: 1))
          } + [.init(averageRadius(rows))]
      })
  }

  private static func averageRadius(_ rows: [CertifiedRow]) -> String {
    (rows.askedRadii == nil ? "" : "≥ ") + NumberText.plain(rows.averageCertifiedRadius, digits: 3)
  }
}
