import CryoEM
import Foundation
import Reporting
import Support
import TestSupport
import Testing

@testable import quench

@Suite("quench cryo with files") struct CryoFilesTests {
  /// A made-up survey of Leginon names whose predictions tell something, written as survey and predictions.
  private func survey(_ folder: TemporaryFolder, _ name: String, level: Int) throws -> [String] {
    var (survey, predictions) = ("", "")
    for index in 0..<120 {
      let hole = String(
        format: "s_%05dgr_%05dsq_%05dhl_%05den-a", level, index / 60, index / 20, index % 20)
      let truth = 3 + Double(index * 37 % 100) / 12
      survey += "\(hole),\(index % 5),\(index % 4),\(truth),0.9\n"
      predictions += "\(hole) \(String(format: "%.2f", truth + Double(index * 53 % 40) / 10 - 2 + 1.5))\n"
    }
    let files = [folder / "\(name).csv", folder / "\(name).txt"]
    try Data(survey.utf8).write(to: files[0])
    try Data(predictions.utf8).write(to: files[1])
    return files.map(\.path)
  }

  @Test("calibrates, judges on other holes and shows a reliability plot") func calibrate() async throws {
    let folder = try TemporaryFolder()
    let (train, test) = (try survey(folder, "train", level: 1), try survey(folder, "test", level: 2))
    let out = folder / "run"
    let arguments = [
      "cryo", "calibrate", "--survey", train[0], "--predictions", train[1], "--test-survey", test[0],
      "--test-predictions", test[1], "--out", out.path, "--json"
    ]
    let outcome = try await Tool.run(arguments)
    let summary = try outcome.json()
    #expect(outcome.code == 0)
    #expect(try #require(summary["logistic_slope"]?.number) < 0)
    let scores = CalibrationRun.methods.compactMap { summary["test_\($0)_log_loss"]?.number }
    #expect(scores.count == 3 && scores[0] < scores[2] && scores[1] < scores[2])
    let report = try String(contentsOf: out.appending(path: "report.html"), encoding: .utf8)
    #expect(report.contains("Share of good holes") && report.contains("120"))
  }

  @Test("carries a navigator's points to a survey, and a plan back into the navigator") func export() async throws {
    let folder = try TemporaryFolder()
    let nav = folder / "grid.nav"
    let points = (1...3).map { Navigator.Point(label: "10\($0)", stage: .init(x: Double($0), y: 0), groupID: 5) }
    try Navigator(points: points, name: "grid.nav").data.write(to: nav)
    let survey = folder / "survey.csv"
    let first = try await Tool.run(["cryo", "export", "--navigator", nav.path, "--out", survey.path, "--json"])
    #expect(try first.json()["holes"]?.integer == 3)
    #expect(try SurveyFile(contentsOf: survey).survey.holes.map(\.name) == ["101", "102", "103"])

    let plan = folder / "plan.csv"
    try Data("order,name,p_good\n1,103,0.9\n2,101,0.5\n".utf8).write(to: plan)
    let planned = folder / "planned.nav"
    let second = try await Tool.run(
      ["cryo", "export", "--navigator", nav.path, "--plan", plan.path, "--out", planned.path])
    #expect(second.code == 0, "\(second.errors)")
    let items = try Navigator(contentsOf: planned).items
    #expect(items.map(\.label) == ["103", "101", "102"] && items.map(\.acquires) == [true, true, false])

    let again = try await Tool.run(
      ["cryo", "export", "--navigator", nav.path, "--plan", plan.path, "--out", planned.path])
    #expect(again.code == 1 && again.errors.contains("the file is there already"))
    #expect(try await Tool.run(["cryo", "export", "--out", "x"]).code == 64)
  }

  @Test("calibrates on few holes with the right sign, and says where there is none") func fewHoles() async throws {
    let folder = try TemporaryFolder()
    func calibrate(_ name: String, _ isGood: (Double) -> Bool) async throws -> Tool.Outcome {
      let values = [3.8, 4.01, 3.73, 9.28, 6.59, 8.1, 7.7, 4.4, 5.1, 3.2, 11.4, 12.9, 6.4, 5.6, 4.9, 9.9, 14.0, 4.2]
      var (survey, predictions) = ("name,tile,square,patch,ctf\n", "")
      for (index, value) in values.enumerated() {
        survey += "h\(index),T,S,P,\(isGood(value) ? 4 : 9)\n"
        predictions += "h\(index) \(value)\n"
      }
      try Data(survey.utf8).write(to: folder / "\(name).csv")
      try Data(predictions.utf8).write(to: folder / "\(name).txt")
      return try await Tool.run([
        "cryo", "calibrate", "--survey", (folder / "\(name).csv").path, "--predictions",
        (folder / "\(name).txt").path,
        "--out", (folder / name).path, "--json"
      ])
    }
    let right = try await calibrate("right") { $0 < 6 }
    let summary = try right.json()
    #expect(try #require(summary["logistic_slope"]?.number) < 0 && !right.errors.contains("warning"))
    #expect(
      try #require(summary["train_logistic_log_loss"]?.number) < #require(
        summary["train_base_rate_log_loss"]?.number))
    let wrong = try await calibrate("wrong") { $0 > 6 }
    #expect(wrong.errors.contains("holes with worse predictions were good more often"), "\(wrong.errors)")
    #expect(try wrong.json()["logistic_slope"]?.number == 0)
  }

  @Test("draws pictures, learns from them and predicts, all marked as synthetic") func predictor() async throws {
    let folder = try TemporaryFolder()
    let (data, run) = (folder / "data", folder / "run")
    let drawn = try await Tool.run([
      "cryo", "predictor", "synthesize", "--tiles", "1", "--squares", "1", "--patches", "2", "--holes", "12",
      "--side",
      "36", "--out", data.path, "--quiet"
    ])
    #expect(drawn.code == 0 && drawn.output.contains("SYNTHETIC"), "\(drawn.errors)")
    let images = data.appending(path: "images").path
    let trained = try await Tool.run([
      "cryo", "predictor", "train", "--images", images, "--survey", data.appending(path: "survey.csv").path,
      "--model",
      "small-cnn", "--side", "32", "--epochs", "2", "--batch-size", "8", "--threads", "1", "--out", run.path,
      "--json"
    ])
    #expect(trained.code == 0, "\(trained.errors)")
    let summary = try trained.json()
    #expect(summary["synthetic"]?.bool == true && summary["n"]?.integer == 24)
    #expect(try String(contentsOf: run.appending(path: "report.html"), encoding: .utf8).contains("SYNTHETIC"))
    #expect(
      summary["judged_on"]?.string?.contains("each of 2 parts predicted by a network trained on the others") == true
    )
    #expect(try PredictionFile(contentsOf: run.appending(path: "predictions.txt")).entries.count == 24)
    let text = folder / "predictions.txt"
    let predicted = try await Tool.run([
      "cryo", "predictor", "predict", "--weights", run.appending(path: "model.safetensors").path, "--images",
      images,
      "--out", text.path, "--quiet"
    ])
    #expect(predicted.code == 0, "\(predicted.errors)")
    #expect(try PredictionFile(contentsOf: text).entries.count == 24)
  }
}
