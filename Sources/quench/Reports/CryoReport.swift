import CryoEM
import Foundation
import Reporting
import Support

/// What the page about a cryo-EM run shows beside its summary: `figures.json` of the run's folder.
struct CryoFigures: Codable, Equatable {
  struct Curve: Codable, Equatable {
    var name: String
    /// Mean good micrographs after each of ``CryoFigures/minutes``.
    var good: [Double]
  }

  var minutes: [Double] = []
  var curves: [Curve] = []
  var squares: [SurveyMap.Square] = []
  var dots: [SurveyMap.Dot] = []
  /// What the map shows.
  var mapCaption = ""
  var isSynthetic = false

  static let fileName = "figures.json"

  /// - Throws: `InputError` if the file cannot be written.
  func write(to url: URL) throws(InputError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let data: Data
    do { data = try encoder.encode(self) } catch { throw InputError.writing(url, error) }
    try AtomicFile.write(data, to: url)
  }

  init() {}

  /// Draws an episode on the map, unless there are too many holes to draw.
  mutating func show(_ trace: Trace, of policy: PolicyName, on survey: Survey) {
    guard survey.count <= 20_000 else { return }
    let map = SurveyMap(
      "", survey, resolutions: survey.holes.map(\.fit.clippedResolution),
      path: [trace.start] + trace.steps.map(\.hole))
    (squares, dots) = (map.squares, map.dots)
    mapCaption =
      "Measured resolution; the line is the episode of \(policy.rawValue) from the first start hole. Each box is a "
      + "square."
  }

  /// - Throws: `InputError` if the file cannot be read or holds something else.
  init(contentsOf url: URL) throws(InputError) {
    let data = try InputFile.read(url)
    guard let figures = try? JSONDecoder().decode(CryoFigures.self, from: data),
      figures.dots.allSatisfy({ figures.squares.indices.contains($0.square) }),
      figures.curves.allSatisfy({ $0.good.count == figures.minutes.count })
    else { throw InputError("these are not the figures of a cryo-EM run", at: url.path) }
    self = figures
  }
}

/// The page about `quench cryo train`, `evaluate`, `study`, `calibrate` and `predictor train`.
enum CryoReport {
  static func make(_ run: RunFiles) -> Report {
    var report =
      switch run.record.command.dropFirst(2).first {
      case "train": training(run)
      case "study": study(run)
      case "calibrate": CalibrationReport.make(run)
      case "predictor": PredictorReport.make(run)
      default: evaluation(run)
      }
    if run.cryo?.isSynthetic ?? run.setting("survey").contains("synthetic") {
      report.sections.insert(
        .init(
          "Synthetic data", [.callout(.caution, "The survey is synthetic: no microscope took these exposures.")]),
        at: 0)
    }
    return report
  }

  private static func training(_ run: RunFiles) -> Report {
    func points(_ key: String) -> [LineChart.Point] {
      run.metrics.compactMap { row in
        guard let epoch = row["epoch"]?.number, let value = row[key]?.number else { return nil }
        return LineChart.Point(epoch, value)
      }
    }
    let epoch = Axis("Epoch", unit: nil)
    return Report(
      title: "cryoRL, preset \(run.setting("preset"))",
      summary:
        "A deep Q network was trained on `\(run.setting("survey"))`; the network of the epoch whose episodes on "
        + "the training survey earned most was kept.",
      keyFigures: [
        .init("Best epoch", run.summary["best_epoch"]?.description ?? "–", detail: "of \(run.setting("epochs"))"),
        .init("Best mean reward", run.number("best_reward").map { NumberText.plain($0) } ?? "–"),
        .init("Time an epoch", Wording.duration(run.number("seconds_per_epoch"))),
        .init("Peak memory", "\(Wording.count(run.number("peak_memory_mb"))) MB")
      ],
      sections: [
        .init(
          "Learning",
          [
            .figure(
              LineChart(
                "Good micrographs of test episodes", x: epoch, y: Axis("Good micrographs", unit: nil),
                series: [.init("training survey", points("validation_good"))],
                caption: "Mean over ten episodes of 480 minutes on the training survey, acting greedily.")),
            .figure(
              LineChart(
                "Loss", x: epoch, y: Axis("Mean squared error", unit: nil),
                series: [.init("updates", points("loss"))]))
          ])
      ], record: run.record)
  }

  private static func evaluation(_ run: RunFiles) -> Report {
    let settings = run.record.settings
    // Runs of earlier versions call it a budget.
    let budgets = (settings["minutes"] ?? settings["budget"])?.array?.compactMap(\.number) ?? []
    let rows = budgets.map { budget -> [Table.Cell] in
      let key = NumberText.plain(budget, digits: 12)
      func number(_ name: String) -> Double? { run.number("budgets.\(key).\(name)") }
      return [
        "\(key)", .init(text(number("good_mean")), isStrong: true), "\(text(number("good_sd")))",
        "\(text(number("good_low"))) to \(text(number("good_high")))", "\(text(number("visits_mean")))",
        "\(text(number("oracle_mean")))",
        "\(number("of_oracle").map { NumberText.percent($0, decimals: 1) } ?? "–")"
      ]
    }
    let policy = run.setting("policy")
    return Report(
      title: "\(policy) on \(URL(filePath: run.setting("survey")).lastPathComponent)",
      summary:
        "The policy `\(policy)` collected from \(text(run.number("starts"), decimals: 0)) start holes, by rule "
        + "\(run.setting("rule")) with \(run.setting("threshold")) Å as the threshold.",
      keyFigures: budgets.map { budget in
        let key = NumberText.plain(budget, digits: 12)
        return .init(
          "Good in \(key) min", text(run.number("budgets.\(key).good_mean")),
          detail: run.number("budgets.\(key).of_oracle").map {
            "\(NumberText.percent($0, decimals: 1)) of the oracle"
          }
            ?? "")
      },
      sections: [
        .init(
          "Results",
          [
            .table(
              Table(
                "Good micrographs by budget",
                columns: [
                  .number("Budget", unit: "min"), .number("Good, mean"), .number("± sd"),
                  .number("95 % of the mean"),
                  .number("Exposures"), .number("Oracle"), .number("Of the oracle")
                ], rows: rows))
          ])
      ] + figures(run), record: run.record)
  }

  private static func study(_ run: RunFiles) -> Report {
    Report(
      title: "Policies compared on \(URL(filePath: run.setting("survey")).lastPathComponent)",
      summary: "Every policy from the same start holes; rule \(run.setting("rule")), threshold "
        + "\(run.setting("threshold")) Å.",
      sections: [.init("Results", CryoStudy.tables(run.summary).map { .table($0) })]
        + figures(run, hiding: CryoStudy.simple),
      record: run.record)
  }

  private static func figures(_ run: RunFiles, hiding hidden: [PolicyName] = []) -> [Report.Section] {
    let shown = Set(run.cryo?.curves.map(\.name) ?? []).subtracting(hidden.map(\.rawValue))
    return [("Over time", curves(run, shown)), ("Map", map(run))].filter { !$0.1.isEmpty }.map {
      Report.Section($0.0, $0.1)
    }
  }

  /// Good micrographs against time of the policies called `names`.
  static func curves(_ run: RunFiles, _ names: Set<String>) -> [Report.Block] {
    guard let figures = run.cryo else { return [] }
    let curves = figures.curves.filter { names.contains($0.name) }
    guard !curves.isEmpty else { return [] }
    return [
      .figure(
        LineChart(
          "Good micrographs against time", x: Axis("Time", unit: "min"), y: Axis("Good micrographs", unit: nil),
          series: curves.map { curve in
            .init(curve.name, zip(figures.minutes, curve.good).map { .init($0, $1) })
          }, caption: "Means over all start holes, under the largest budget."))
    ]
  }

  static func map(_ run: RunFiles) -> [Report.Block] {
    guard let figures = run.cryo, !figures.squares.isEmpty else { return [] }
    return [
      .figure(
        SurveyMap(
          "Squares, patches and holes by resolution", squares: figures.squares, dots: figures.dots,
          caption: figures.mapCaption))
    ]
  }

  static func text(_ value: Double?, decimals: Int = 1) -> String {
    value.map { NumberText.fixed($0, decimals: decimals) } ?? "–"
  }
}
