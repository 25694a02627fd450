import CryoFixtures
import Foundation
import QuenchReporting
import QuenchSupport
import TestSupport
import Testing

@testable import QuenchCryoEM

@Suite("Calibration as an experiment") struct CalibrationExperimentTests {
  /// Surveys whose predictions tell something.
  private func informed(_ level: Int) throws -> Survey {
    let entries = try (0..<120).map { index in
      let name = String(format: "s_%05dgr_%05dsq_%05dhl_%05den-a", level, index / 60, index / 20, index % 20)
      let truth = 3 + Double(index * 37 % 100) / 12
      var entry = Survey.Entry(
        try #require(HoleName(name)), offset: .zero, fit: .resolution(truth), confidence: 0.9)
      entry.prediction = .resolution(truth + Double(index * 53 % 40) / 10 - 0.5)
      return entry
    }
    return try Survey(entries, from: "informed")
  }

  private func write(_ survey: Survey, _ name: String, in folder: TemporaryFolder) throws -> SurveySelection {
    try Data(SurveyFile.text(of: survey).utf8).write(to: folder / "\(name).csv")
    try Data(PredictionFile.text(of: survey).utf8).write(to: folder / "\(name).txt")
    return SurveySelection((folder / "\(name).csv").path, predictions: (folder / "\(name).txt").path)
  }

  @Test("a calibration is judged on other holes, with a reliability plot") func calibrates() throws {
    let folder = try TemporaryFolder()
    var calibration = CalibratePredictions()
    calibration.source = try write(informed(1), "train", in: folder)
    let test = try write(informed(2), "test", in: folder)
    (calibration.testSurvey, calibration.testPredictions) = (test.survey, test.predictions)
    let run = try Lab().perform(calibration, in: folder / "run")
    let outcome = try #require(run.outcome)
    let judged = try #require(outcome.test)
    #expect(outcome.logisticSlope < 0 && outcome.warning == nil && outcome.predictor == "regressor")
    #expect(judged.logistic.logLoss < judged.uncalibrated.logLoss)
    #expect(judged.isotonic.logLoss < judged.uncalibrated.logLoss && judged.n == 120)
    let summary = try run.folder.readSummary()
    #expect(summary["test_logistic_log_loss"]?.number == judged.logistic.logLoss)
    #expect(summary["train_base_rate_brier"]?.number == outcome.train.baseRateBrier)
    #expect(summary["test_isotonic_reliability"]?.array?.count == judged.isotonic.reliability.count)
    #expect(run.report.html.contains("Share of good holes") && run.report.html.contains("120"))
    #expect(run.text.contains("base rate") && run.text.contains("test calibration error"))

    calibration.testSurvey = nil
    #expect(throws: InputError.self) { try calibration.checked() }
    calibration.testPredictions = nil
    #expect(try Lab().perform(calibration, in: folder / "alone").outcome?.test == nil)
  }

  @Test("a calibration on few holes has the right sign, and says where there is none") func fewHoles() throws {
    let folder = try TemporaryFolder()
    func calibrate(_ name: String, _ isGood: (Double) -> Bool) throws -> CalibratePredictions.Outcome {
      let values = [3.8, 4.01, 3.73, 9.28, 6.59, 8.1, 7.7, 4.4, 5.1, 3.2, 11.4, 12.9, 6.4, 5.6, 4.9, 9.9, 14.0, 4.2]
      let entries = values.enumerated().map { index, value in
        Survey.Entry(
          name: "h\(index)", patch: "P", square: "S", tile: "T", fit: .resolution(isGood(value) ? 4 : 9),
          prediction: .resolution(value))
      }
      let survey = try Survey(entries, from: name)
      var calibration = CalibratePredictions()
      calibration.source = try write(survey, name, in: folder)
      try Data(SurveyFile.table(of: survey).utf8).write(to: folder / "\(name).csv")
      return try #require(try Lab().perform(calibration, in: folder / name).outcome)
    }
    let right = try calibrate("right") { $0 < 6 }
    #expect(right.logisticSlope < 0 && right.warning == nil)
    #expect(right.train.logistic.logLoss < right.train.baseRateLogLoss)
    let wrong = try calibrate("wrong") { $0 > 6 }
    #expect(wrong.warning?.contains("holes with worse predictions were good more often") == true)
    #expect(wrong.logisticSlope == 0)
  }

  @Test("a run of version 0.1 has its page") func earlier() throws {
    let files = try SurveyFiles()
    var scores: Record = ["threshold": 6.0, "predictor": "regressor", "logistic_intercept": 10.0]
    (scores["logistic_slope"], scores["isotonic_steps"]) = (-6.0, [[4.0, 0.9], [8.0, 0.1]])
    let bin: Value = [
      "from": 0.0, "to": 0.1, "predicted": 0.05, "observed": 0.1, "low": 0.0, "high": 0.4, "n": 10
    ]
    (scores["train_n"], scores["train_good"]) = (10, 4)
    for key in ["base_rate", "logistic", "isotonic", "uncalibrated"] {
      (scores["train_\(key)_log_loss"], scores["train_\(key)_brier"]) = (0.5, 0.2)
      guard key != "base_rate" else { continue }
      (scores["train_\(key)_calibration_error"], scores["train_\(key)_reliability"]) = (0.1, [bin])
    }
    let calibration = try files.earlierRun(
      "calibration", "calibrate", settings: ["survey": "s.csv", "predictions": "p.txt"], summary: scores)
    let judged = try PerformedRun<CalibratePredictions>(calibration)
    #expect(judged.outcome?.train.isotonic.reliability.count == 1 && judged.outcome?.test == nil)
    #expect(judged.report.html.contains("on the holes that they were fitted to"))
  }
}
