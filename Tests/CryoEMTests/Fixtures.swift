import Foundation
import QuenchSupport
import Testing

@testable import QuenchCryoEM

extension Survey {
  /// A survey of Leginon names, with nothing known of the holes.
  init(leginon names: String...) throws {
    try self.init(
      names.map { name in Survey.Entry(try #require(HoleName(name), "\(name) is no hole's name")) }, from: "test")
  }
}

/// What `body` throws, which must be an `InputError`.
func inputError<Result>(_ body: () throws -> Result) -> InputError? {
  do {
    _ = try body()
    Issue.record("nothing was thrown")
    return nil
  } catch {
    return error as? InputError
  }
}

/// The public survey data that lie beside the development checkout; tests of them are skipped where they are absent.
enum RealData {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(
    path: "../../../shared/data/cryo"
  )
  .standardizedFileURL
  static let isPresent = FileManager.default.fileExists(atPath: folder.appending(path: "timestamps.csv").path)
  static let absence: Comment = "needs the cryo-EM survey data in ../shared/data/cryo"

  /// Measured holes with a regressor's predictions; `split` is `train` or `val`.
  static func survey(_ split: String) throws -> Survey {
    let file = try SurveyFile(contentsOf: folder.appending(path: "target_CTF_Y1_\(split).csv"))
    return try file.survey.predicting(
      PredictionFile(contentsOf: folder.appending(path: "Y1_2_regress_8bit_res50_\(split)_by_hl.txt")))
  }

  /// The split by patch, with a classifier's predictions.
  static func patchSplit(_ split: String) throws -> (survey: Survey, file: PredictionFile) {
    let predictions = try PredictionFile(
      contentsOf: folder.appending(path: "arxiv_by_hl/2_cat_8bit_res50_\(split)_by_hl.txt"))
    let file = try SurveyFile(contentsOf: folder.appending(path: "arxiv_by_hl/CTF_\(split)_by_hl.csv"))
    return (try file.survey.predicting(predictions), predictions)
  }
}

extension Environment {
  /// What comes of visiting `holes` until the episode is done.
  func walk(from start: Int, _ holes: [Int]) -> (episode: Episode, result: EpisodeResult) {
    var episode = self.start(at: start)
    for hole in holes where !episode.isDone { episode.visit(hole) }
    return (
      episode,
      EpisodeResult(
        good: episode.good, visits: episode.visits, minutes: episode.acquisition.elapsed, reward: episode.reward)
    )
  }
}
