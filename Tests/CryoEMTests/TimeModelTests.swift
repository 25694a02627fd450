import Foundation
import QuenchSupport
import Testing

@testable import QuenchCryoEM

@Suite("The time model") struct TimeModelTests {
  func model(_ text: String) throws -> TimeModel {
    try TimeModel(TimestampFile(parsing: Data(text.utf8), name: "t.csv"), from: "t.csv")
  }

  @Test("tells moves apart and leaves breaks out") func moves() throws {
    let model = try model(
      """
      s_1gr_1sq_1hl_1en,2024-01-01 10:00:00
      s_1gr_1sq_1hl_1en-a,2024-01-01 10:00:40
      s_1gr_1sq_1hl_2en,2024-01-01 10:01:30
      s_1gr_1sq_2hl_1en,2024-01-01 10:04:30
      s_1gr_1sq_2hl,2024-01-01 10:04:40
      s_1gr_2sq_1hl_1en,2024-01-01 10:07:40
      s_2gr_1sq_1hl_1en,2024-01-01 10:11:00
      s_2gr_1sq_1hl_2en,2024-01-01 10:31:00
      t_2gr_1sq_1hl_2en,2024-01-01 10:50:59
      """)
    #expect(model.gaps.map(\.moves) == [[90], [180], [190], [200], [1199]])
    #expect(model.gaps[0].seconds == [90, 1200])
    #expect(model.breaks.count == 1 && model.breaks.seconds == 1200)
    #expect(model.feedbackDelay == 40)
    #expect(model.minutes() == .headMinutes, "one gap of a kind is too few to go by")
  }

  @Test("adds the mean share of long stops to patch changes") func stops() throws {
    var text = ""
    var seconds = 0
    for (index, gap) in ([0] + Array(repeating: 180, count: 9) + [720]).enumerated() {
      seconds += gap
      text +=
        "s_1gr_1sq_\(index)hl_1en,2024-01-01 \(String(format: "%02d:%02d:%02d", seconds / 3600, seconds / 60 % 60, seconds % 60))\n"
    }
    let model = try model(text)
    #expect(model.gaps[1].median == 180 && model.gaps[1].longStops == [720])
    #expect(model.minutes().patch == 3)
    #expect(abs(model.minutes(includesStops: true).patch - (3 + 0.9)) < 1e-12)
    #expect(model.minutes().square == 6, "never less than a smaller move")
  }

  @Test("needs two exposures in a row") func mistakes() {
    let error = inputError { try model("a_1gr,2024-01-01 10:00:00\nb,2024-01-01 10:00:00\n") }
    #expect(error?.description.hasPrefix("t.csv: the time stamps show no two exposures in a row") ?? false)
  }

  @Test(
    "of the real session is as an independent program found", .enabled(if: RealData.isPresent, RealData.absence))
  func realSession() throws {
    let url = RealData.folder.appending(path: "timestamps.csv")
    let model = try TimeModel(TimestampFile(contentsOf: url), from: url.path)
    #expect(model.gaps.map(\.count) == [3817, 168, 5, 18, 0])
    #expect(model.gaps.dropLast().map(\.median) == [91, 185, 185, 193])
    #expect(model.gaps.dropLast().map { $0.quantile(0.1) } == [74, 181, 169, 188])
    #expect(model.gaps.dropLast().map { $0.quantile(0.9) } == [92, 653, 260, 1265])
    #expect(model.gaps.dropLast().map { ($0.mean * 10).rounded() / 10 } == [87.5, 250.2, 197, 198.3])
    #expect(model.feedbackDelay == 45)
  }
}

@Suite("A synthetic survey") struct SyntheticSurveyTests {
  @Test("is the same for the same seed, and says what it is") func reproducible() throws {
    let survey = try SyntheticSurvey().make(seed: 3)
    #expect(try SyntheticSurvey().make(seed: 3) == survey)
    #expect(try SyntheticSurvey().make(seed: 4) != survey)
    #expect(survey.holes.allSatisfy { $0.name.hasPrefix("synthetic3_") })
  }

  @Test("comes back from its files") func files() throws {
    let survey = try SyntheticSurvey().make(seed: 1)
    let file = try SurveyFile(parsing: Data(SurveyFile.text(of: survey).utf8), name: "survey.csv")
    let predictions = try PredictionFile(
      parsing: Data(PredictionFile.text(of: survey).utf8), name: "predictions.txt")
    let loaded = try file.survey.predicting(predictions)
    #expect(loaded.holes.map(\.fit) == survey.holes.map(\.fit))
    #expect(loaded.holes.map(\.prediction) == survey.holes.map(\.prediction))
    let stamps = SyntheticSurvey.timestamps(of: survey, seed: 1)
    let model = try TimeModel(
      TimestampFile(parsing: Data(TimestampFile.text(of: stamps).utf8), name: "t"), from: "t")
    #expect((75...93).contains(model.gaps[0].median) && (180...196).contains(model.gaps[1].median))
  }

  @Test("has quality that clusters, and predictions that help") func clusters() throws {
    var method = SyntheticSurvey()
    method.tiles = 10
    let survey = try method.make(seed: 2)
    let good = survey.holes.map { $0.fit.isGood(threshold: 6) ? 1.0 : 0 }
    let mean = good.reduce(0, +) / Double(good.count)
    #expect((0.2...0.7).contains(mean))
    func variance(_ values: [Double], _ centre: Double) -> Double {
      values.reduce(0) { $0 + ($1 - centre) * ($1 - centre) } / Double(values.count)
    }
    let patches = survey.patches.map { patch in
      patch.holes.reduce(0) { $0 + good[$1] } / Double(patch.holes.count)
    }
    #expect(variance(patches, mean) > 3 * mean * (1 - mean) / 20, "much more than chance")
    let right = survey.holes.count { $0.prediction?.isGood(threshold: 6) == $0.fit.isGood(threshold: 6) }
    #expect(Double(right) / Double(survey.count) > 0.75)
  }
}

@Suite("Local search") struct LocalSearchTests {
  @Test("comes near the exact plan where costs go by level", arguments: 0..<4) func nearOptimum(_ seed: Int) throws
  {
    var method = SyntheticSurvey()
    method.tiles = 2
    method.patches = 4
    let survey = try method.make(seed: UInt64(seed))
    let values = Calibration.logistic(LogisticCalibration(assumingThreshold: 6)).probabilities(
      of: survey, threshold: 6)
    var visited = [Bool](repeating: false, count: survey.count)
    visited[0] = true
    for budget in [20.0, 60] {
      let exact = TreePlanner(survey, minutes: .headMinutes).plan(
        values: values, from: 0, isVisited: visited, budget: budget)
      let found = LocalSearch(survey, minutes: .headMinutes).plan(
        values: values, from: 0, isVisited: visited, budget: budget, evaluations: 4000)
      #expect(found.value <= exact.value + 1e-9 && found.value >= 0.97 * exact.value)
      #expect(found.minutes <= budget + 1e-9 && Set(found.holes).count == found.holes.count)
    }
  }

  @Test("keeps to the budget by stage travel, below the bound of the smallest charges") func travel() throws {
    let survey = try SyntheticSurvey().make(seed: 6)
    let values = survey.holes.map { $0.fit.isGood(threshold: 6) ? 1.0 : 0 }
    var visited = [Bool](repeating: false, count: survey.count)
    visited[5] = true
    let search = try LocalSearch(survey, minutes: MoveTable(1, 1.5, 1.5, 1.5), speed: 50)
    let plan = search.plan(values: values, from: 5, isVisited: visited, budget: 90, evaluations: 5000)
    let bound = TreePlanner(survey, minutes: search.boundMinutes).plan(
      values: values, from: 5, isVisited: visited, budget: 90)
    #expect(plan.minutes <= 90 + 1e-9 && plan.value <= bound.value && plan.value > 0.6 * bound.value)
  }
}
