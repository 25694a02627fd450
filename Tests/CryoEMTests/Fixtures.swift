import Foundation
import Support
import Testing

@testable import CryoEM

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

/// The hand-made grid: twelve holes, three a patch, two patches a square, one tile.
enum HandGrid {
  static func survey() throws -> Survey {
    let truth = [5.0, 7.0, 3.5, 4.0, 6.0, 6.1, 3.0, 9.0, 5.5, 20.0, 100_000, 2.5]
    let predicted = [5.2, 5.8, 4.1, 6.4, 5.0, 7.3, 3.2, 8.0, 5.9, 12.0, 11.0, 6.2]
    var entries: [Survey.Entry] = []
    for index in 0..<12 {
      let (square, patch, hole) = (index / 6 + 1, index / 3 % 2 + 2, index % 3 + 2)
      let name = "99jan01a_toy_00001gr_0000\(square)sq_v01_0000\(patch)hl_v01_0000\(hole)en-a"
      var entry = Survey.Entry(try #require(HoleName(name)), fit: try #require(CTFFit(fileValue: truth[index])))
      entry.prediction = .resolution(predicted[index])
      entries.append(entry)
    }
    return try Survey(entries, from: "hand grid")
  }

  static func environment(
    _ minutes: MoveTable = .headMinutes, _ rewards: RewardRule = RewardRule(), budget: Double = 1e6,
    rule: BudgetRule = .reference
  ) throws -> Environment {
    try Environment(
      survey(), rules: AcquisitionRules(minutes: minutes, budget: budget, rule: rule), rewards: rewards)
  }

  static let old = RewardRule(.oldToolRewards)
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
