import Foundation
import QuenchReporting
import QuenchSupport

/// What the page about policies shows beside their figures: `figures.json` of the run's folder.
public struct CollectionFigures: Codable, Equatable, Sendable {
  public struct Curve: Codable, Equatable, Sendable {
    public var name: String
    /// Mean good micrographs after each of ``CollectionFigures/minutes``.
    public var good: [Double]
  }

  public var minutes: [Double] = []
  public var curves: [Curve] = []
  public var squares: [SurveyMap.Square] = []
  public var dots: [SurveyMap.Dot] = []
  /// What the map shows.
  public var mapCaption = ""
  public var isSynthetic = false

  package static let fileName = "figures.json"

  /// Without curves yet.
  /// - Parameters:
  ///   - survey: What is collected from.
  ///   - budget: Minutes that curves go up to.
  package init(_ survey: Survey, budget: Double) {
    minutes = (0...60).map { budget * Double($0) / 60 }
    isSynthetic = survey.isSynthetic
  }

  /// - Throws: `InputError` if the file cannot be read or holds something else.
  init(contentsOf url: URL) throws(InputError) {
    let data = try InputFile.read(url)
    guard let figures = try? JSONDecoder().decode(CollectionFigures.self, from: data),
      figures.dots.allSatisfy({ figures.squares.indices.contains($0.square) }),
      figures.curves.allSatisfy({ $0.good.count == figures.minutes.count })
    else { throw InputError("these are not the figures of a cryo-EM run", at: url.path) }
    self = figures
  }

  /// The figures among a run's files; nil where there are none that can be read.
  public init?<Work>(of run: PerformedRun<Work>) {
    guard let url = run.artefact(Self.fileName), let figures = try? CollectionFigures(contentsOf: url) else {
      return nil
    }
    self = figures
  }

  /// - Throws: `InputError` if the file cannot be written.
  package func write(to url: URL) throws(InputError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let data: Data
    do { data = try encoder.encode(self) } catch { throw InputError.writing(url, error) }
    try AtomicFile.write(data, to: url)
  }

  /// Adds the mean curve of evaluations.
  package mutating func add(_ name: String, _ evaluations: [PolicyEvaluation], rule: BudgetRule) {
    let curves = evaluations.map { $0.curve(at: minutes, rule: rule) }
    self.curves.append(
      Curve(
        name: name,
        good: minutes.indices.map { i in curves.reduce(0) { $0 + $1[i] } / Double(curves.count) }))
  }

  /// Draws an episode on the map, unless there are too many holes to draw.
  package mutating func show(_ trace: Trace, of policy: PolicyName, on survey: Survey) {
    guard survey.count <= 20_000 else { return }
    let map = SurveyMap(
      "", survey, resolutions: survey.holes.map(\.fit.clippedResolution),
      path: [trace.start] + trace.steps.map(\.hole))
    (squares, dots) = (map.squares, map.dots)
    mapCaption =
      "Measured resolution; the line is the episode of \(policy.rawValue) from the first start hole. Each box is a "
      + "square."
  }

  /// The sections of a page: curves but for those of `hidden`, and the map.
  package func sections(hiding hidden: [PolicyName] = []) -> [Report.Section] {
    let shown = Set(curves.map(\.name)).subtracting(hidden.map(\.rawValue))
    return [("Over time", blocks(of: shown)), ("Map", map)].filter { !$0.1.isEmpty }.map {
      Report.Section($0.0, $0.1)
    }
  }

  /// Good micrographs against time of the policies called `names`.
  public func blocks(of names: Set<String>) -> [Report.Block] {
    let curves = curves.filter { names.contains($0.name) }
    guard !curves.isEmpty else { return [] }
    return [
      .figure(
        LineChart(
          "Good micrographs against time", x: Axis("Time", unit: "min"), y: Axis("Good micrographs", unit: nil),
          series: curves.map { curve in .init(curve.name, zip(minutes, curve.good).map { .init($0, $1) }) },
          caption: "Means over all start holes, under the largest budget."))
    ]
  }

  /// The survey, coloured by resolution.
  public var map: [Report.Block] {
    guard !squares.isEmpty else { return [] }
    return [
      .figure(
        SurveyMap(
          "Squares, patches and holes by resolution", squares: squares, dots: dots, caption: mapCaption))
    ]
  }
}

extension Report.Section {
  static let syntheticCaution = Report.Section(
    "Synthetic data", [.callout(.caution, "The survey is synthetic: no microscope took these exposures.")])
}

extension [Report.Section] {
  /// What to say first of a run on a survey that is made up.
  package static func caution<Work>(of run: PerformedRun<Work>) -> [Report.Section] {
    let isSynthetic =
      CollectionFigures(of: run)?.isSynthetic ?? run.setting("survey").contains("synthetic")
    return isSynthetic ? [.syntheticCaution] : []
  }
}

extension PerformedRun {
  /// A setting as text; a dash where the run has none.
  package func setting(_ key: String) -> String { record.settings[key]?.description ?? "–" }

  /// The last part of the path of the survey.
  package var surveyName: String { URL(filePath: setting("survey")).lastPathComponent }
}
