import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport
import TestSupport
import Testing

@testable import quench

@Suite("quench cryo with files") struct CryoFilesTests {
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
