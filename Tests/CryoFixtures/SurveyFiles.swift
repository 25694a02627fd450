import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport
import TestSupport

/// Small synthetic surveys as files, made by the experiment itself.
public struct SurveyFiles {
  public let folder: TemporaryFolder

  public init(seeds: Int...) throws {
    folder = try TemporaryFolder()
    for seed in seeds {
      var simulation = SimulateSurvey()
      (simulation.method.tiles, simulation.method.patches, simulation.method.holes) = (2, 3, 6)
      simulation.seed = seed
      try Lab().perform(simulation, in: folder / "grid\(seed)")
    }
  }

  public func path(_ seed: Int, _ name: String) -> String { (folder / "grid\(seed)/\(name)").path }

  public func source(_ seed: Int) -> SurveySelection {
    SurveySelection(path(seed, "survey.csv"), predictions: path(seed, "predictions.txt"))
  }

  public func training(_ seed: Int) -> TrainingSurvey {
    TrainingSurvey(path(seed, "survey.csv"), predictions: path(seed, "predictions.txt"))
  }

  /// A run of version 0.1, which told its kind by the command line.
  public func earlierRun(_ name: String, _ command: String..., settings: Record, summary: Record) throws
    -> RunFolder
  {
    let record = RunRecord(command: ["quench", "cryo"] + command, settings: settings, outcome: .completed)
    let run = try RunFolder(at: folder / name, for: record)
    try run.writeSummary(summary)
    return run
  }
}
