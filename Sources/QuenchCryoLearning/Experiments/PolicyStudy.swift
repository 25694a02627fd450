import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport
import QuenchVision

/// Every policy against each other: with the predictions that there are, with useless and with damaged ones, and tile by
/// tile. Planners learn from the training survey alone.
public struct PolicyStudy: Experiment {
  public static let kind = "cryo-study"

  public var trials = PolicyTrials()
  /// Networks of one setting, one a seed: `name=file,file`.
  public var dqn: [String] = []

  public init() {}

  public struct Outcome: Codable, Sendable {
    public var holes: Int
    /// Start holes.
    public var starts: Int
    public var synthetic: Bool
    /// In minutes.
    public var budgets: [Double]
    /// With the predictions that there are.
    public var main: ComparePolicies.Cells
    /// With useless predictions; nil where no resolutions are predicted.
    public var constant: ComparePolicies.Cells?
    /// With damaged predictions.
    public var damaged: ComparePolicies.Cells?
    /// By the tile's name, and `total`.
    public var tiles: ByName<CompareOnTiles.Row>
  }

  public func versions(on device: String) -> Record { tensorVersions(on: device, .float32) }

  public func checked() throws(InputError) -> PolicyStudy {
    try trials.requireTraining()
    _ = try comparison(.none).checked()
    return self
  }

  private static let (main, tiles) = ("main", "tiles")
  /// Comparisons under other predictions, by the names of their parts.
  private static let changes = [ComparePolicies.Change.constant, .damaged]

  private func comparison(_ change: ComparePolicies.Change) -> ComparePolicies {
    var comparison = ComparePolicies()
    (comparison.trials, comparison.change) = (trials, change)
    if change == .none { comparison.dqn = dqn } else { comparison.policies = [.snowball, .treeDP, .closedLoop] }
    return comparison
  }

  /// - Parameter isChanged: Whether predictions can be changed: they are resolutions of all holes.
  private func parts(isChanged: Bool) -> [StudyPart] {
    var onTiles = CompareOnTiles()
    onTiles.trials = trials
    return [StudyPart(Self.main, comparison(.none))]
      + (isChanged ? Self.changes.map { StudyPart($0.rawValue, comparison($0)) } : [])
      + [StudyPart(Self.tiles, onTiles)]
  }

  public func isWhole(in folder: URL) throws(InputError) -> Bool {
    let run = try PerformedRun<PolicyStudy>(RunFolder(existing: folder))
    for part in parts(isChanged: run.outcome?.constant != nil) where try !part.isDone(in: folder) { return false }
    return true
  }

  public func run(in context: RunContext) throws -> Outcome {
    let silent = RunConsole()
    let survey = try trials.survey(silent)
    let starts = try survey.starts(trials.starts, seed: trials.seedBits)
    let folder = try context.open(inputs: comparison(.none).inputs())
    let isChanged = survey.holes.allSatisfy { $0.prediction?.resolution != nil }
    try context.perform(parts(isChanged: isChanged))

    func outcome<Work: Experiment>(_ name: String, _ type: Work.Type) throws -> Work.Outcome {
      let part = try PerformedRun<Work>(RunFolder(existing: folder.artefact(name)))
      guard let outcome = part.outcome else {
        throw InputError("the part has no outcome", at: part.folder.url.path)
      }
      if name == Self.main {
        try CollectionFigures(of: part)?.write(to: folder.artefact(CollectionFigures.fileName))
      }
      return outcome
    }
    func changed(_ change: ComparePolicies.Change) throws -> ComparePolicies.Cells? {
      isChanged ? try outcome(change.rawValue, ComparePolicies.self).policies : nil
    }
    return Outcome(
      holes: survey.count, starts: starts.count, synthetic: survey.isSynthetic, budgets: trials.minutes,
      main: try outcome(Self.main, ComparePolicies.self).policies, constant: try changed(.constant),
      damaged: try changed(.damaged), tiles: try outcome(Self.tiles, CompareOnTiles.self).tiles)
  }

  public static func text(of run: PerformedRun<PolicyStudy>) -> String {
    guard let outcome = run.outcome else { return "" }
    return outcome.tables.map { "\($0.caption)\n\($0.text)" }.joined(separator: "\n\n")
      + "\n\nreport  \(run.folder.report.relativePath)"
  }

  public static func report(of run: PerformedRun<PolicyStudy>) -> Report {
    // Policies that tables compare and the chart leaves out.
    let simple: [PolicyName] = [.random, .serial, .predictRank, .greedyTile]
    var sections: [Report.Section] = .caution(of: run)
    sections.append(.init("Results", (run.outcome?.tables ?? []).map { .table($0) }))
    sections += CollectionFigures(of: run)?.sections(hiding: simple) ?? []
    return Report(
      title: "Policies compared on \(run.surveyName)", summary: run.experiment.trials.rules.protocolText,
      sections: sections, record: run.record)
  }
}

extension PolicyStudy.Outcome {
  /// The comparisons, one a table.
  var tables: [Table] {
    let comparisons: [(ComparePolicies.Change, ComparePolicies.Cells?)] = [
      (.none, main), (.constant, constant), (.damaged, damaged)
    ]
    return comparisons.compactMap { change, cells in
      cells.map { ComparePolicies.table($0, budgets, change.caption) }
    } + [CompareOnTiles.table(tiles)]
  }
}
