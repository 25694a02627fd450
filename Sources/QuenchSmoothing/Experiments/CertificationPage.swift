import Foundation
import QuenchReporting
import QuenchVision

extension CertifyClassifier {
  public static func text(of run: PerformedRun<CertifyClassifier>) -> String {
    run.outcome.map { CertificationPage.text($0.figures, in: run.folder) } ?? ""
  }

  public static func report(of run: PerformedRun<CertifyClassifier>) -> Report {
    CertificationPage.make(
      run, model: run.outcome?.model, run.experiment.certification, on: run.experiment.selection,
      run.outcome?.figures)
  }
}

/// The page and the text about one certification.
enum CertificationPage {
  static func make<Work>(
    _ run: PerformedRun<Work>, model: String?, _ settings: CertificationSettings, on selection: DataSelection,
    _ figures: CertificationFigures?, _ more: [Report.KeyFigure] = []
  ) -> Report {
    let rows = run.artefact(CertifiedTable.fileName).flatMap { try? CertifiedTable.read($0) } ?? []
    let asked = rows.askedRadii
    let least = asked?.first ?? 0
    let accuracy = AccuracyFigure(rows.certifiedAccuracy(at: least))
    return Report(
      title: "Certified accuracy of \(model ?? "a network") on \(selection.data.rawValue)",
      summary: "Each image was classified under Gaussian noise of standard deviation `\(settings.sigma)`. "
        + "Within its radius no change of the image, measured in the L2 norm, changes the answer; a certificate is "
        + "wrong with probability at most `\(settings.failureProbability)`. Images without one count as wrong.",
      keyFigures: [
        accuracy.keyFigure(
          least == 0 ? "Accuracy under noise" : "Certified accuracy at \(Certify.name(of: least))", of: rows.count),
        .init(
          "Average certified radius", CertifiedCurves.averageRadius(rows),
          detail: asked == nil ? "" : "each radius is rounded down to those asked for"),
        .init("Noisy copies an image", Wording.count(figures?.samplesPerImage)),
        .init("Speed", Wording.count(figures?.samplesPerSecond), detail: "noisy copies a second")
      ] + more,
      sections: [CertifiedCurves.section([("certified", rows)])], record: run.record)
  }

  static func text(_ figures: CertificationFigures, in folder: RunFolder) -> String {
    let table = Table(
      "Certified accuracy",
      columns: [.number("L2 radius"), .number("certified accuracy"), .number("95 % interval")],
      rows: figures.certifiedAccuracies.entries.map { entry in
        [
          .init(Certify.name(of: entry.radius)), .init(Wording.accuracy(entry.accuracy.value)),
          .init(entry.accuracy.interval)
        ]
      })
    return """
      \(table.text)

      images         \(Wording.count(Double(figures.images))), of which \
      \(Wording.count(Double(figures.abstained))) abstained
      noisy copies   \(Wording.count(Double(figures.samples))), \(Wording.count(figures.samplesPerImage)) an image, \
      \(Wording.count(figures.samplesPerSecond)) a second
      rows           \(folder.artefact(CertifiedTable.fileName).relativePath)
      report         \(folder.report.relativePath)
      """
  }
}

/// Certified accuracy against radius, of one or several certifications.
public enum CertifiedCurves {
  public typealias Runs = [(name: String, rows: [CertifiedRow])]

  /// A page with the curves of several tables.
  public static func report(of runs: Runs) -> Report {
    Report(
      title: runs.count == 1 ? "Certified accuracy" : "Certified accuracy of \(runs.count) runs",
      summary: "The tables: \(runs.map { "`\($0.name)`" }.joined(separator: ", ")).", sections: [section(runs)])
  }

  static func section(_ runs: Runs) -> Report.Section {
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
  public static func table(_ runs: Runs) -> Table {
    let largest = runs.flatMap(\.rows).reduce(0) { max($0, $1.radius) }
    let step = 0.25 * max(1, (largest / 3).rounded(.up))
    let usual = (0...12).map { Double($0) * step }.filter { $0 <= max(0.75, largest) }
    let radii = Set(runs.flatMap { $0.rows.askedRadii ?? usual }).sorted()
    return Table(
      "Certified accuracy at radii",
      columns: [.text("Run"), .number("Images")] + radii.map { .number(Certify.name(of: $0)) }
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

  static func averageRadius(_ rows: [CertifiedRow]) -> String {
    (rows.askedRadii == nil ? "" : "≥ ") + NumberText.plain(rows.averageCertifiedRadius, digits: 3)
  }
}
