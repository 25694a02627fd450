import Foundation
import QuenchReporting
import QuenchSupport

/// The making of a synthetic survey with predictions and time stamps, as files.
public struct SimulateSurvey: Experiment {
  public static let kind = "cryo-simulate"

  public var method = SyntheticSurvey()
  public var seed = 1

  public static let surveyFileName = "survey.csv"
  public static let predictionsFileName = "predictions.txt"
  public static let timestampsFileName = "timestamps.csv"
  public static let noticeFileName = "README.txt"
  /// All files that it makes; whoever finds the last finds the others too.
  public static let fileNames = [surveyFileName, predictionsFileName, timestampsFileName, noticeFileName]

  public init() {}

  public struct Outcome: Codable, Sendable {
    public var synthetic: Bool
    public var holes: Int
    public var patches: Int
    public var squares: Int
    public var tiles: Int
    /// Holes of 6 Å or better.
    public var good: Int
    public var seed: Int
  }

  public func checked() throws(InputError) -> SimulateSurvey {
    try method.validate()
    return self
  }

  public func run(in context: RunContext) throws -> Outcome {
    let seed = UInt64(bitPattern: Int64(self.seed))
    let survey = try method.make(seed: seed)
    let folder = try context.open(inputs: [:])
    let texts = [
      SurveyFile.text(of: survey), PredictionFile.text(of: survey),
      TimestampFile.text(of: SyntheticSurvey.timestamps(of: survey, seed: seed)), notice
    ]
    for (name, text) in zip(Self.fileNames, texts) {
      try AtomicFile.write(Data(text.utf8), to: folder.artefact(name))
    }
    return Outcome(
      synthetic: true, holes: survey.count, patches: survey.patches.count, squares: survey.squares.count,
      tiles: survey.tiles.count, good: survey.goodCount(threshold: 6), seed: self.seed)
  }

  private var notice: String {
    """
    SYNTHETIC cryo-EM survey, made by 'quench cryo simulate' with seed \(seed).
    No microscope took these exposures and no network made these predictions.

    survey.csv       name, x, y (pixels in the parent image), CTFMaxRes (Å, 100000 = failed fit), confidence
    predictions.txt  name, predicted CTFMaxRes
    timestamps.csv   name, time of the image

    """
  }

  public static func text(of run: PerformedRun<SimulateSurvey>) -> String {
    guard let outcome = run.outcome else { return "" }
    return "synthetic  \(outcome.summary); \(outcome.good) good at 6 Å"
  }

  public static func report(of run: PerformedRun<SimulateSurvey>) -> Report {
    Report(
      title: "A synthetic survey",
      summary: "\(run.outcome?.summary ?? "Holes"), drawn at random with seed \(run.experiment.seed).",
      keyFigures: run.outcome.map { [.init("Good holes", "\($0.good)", detail: "of \($0.holes), at 6 Å")] } ?? [],
      sections: [.syntheticCaution], record: run.record)
  }
}

extension SimulateSurvey.Outcome {
  fileprivate var summary: String {
    "\(NumberText.count(holes, "hole")) in \(NumberText.count(patches, "patch")), "
      + "\(NumberText.count(squares, "square")), \(NumberText.count(tiles, "tile"))"
  }
}
