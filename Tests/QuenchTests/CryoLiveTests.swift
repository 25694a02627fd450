import CryoEM
import CryoSession
import Foundation
import Reporting
import Support
import TestSupport
import Testing

@testable import quench

@Suite("quench cryo live") struct CryoLiveTests {
  /// A small survey, its predictions and the time stamps of a session that exposed two thirds of it in
  /// order, a minute each.
  private func files(_ folder: TemporaryFolder) throws -> [String] {
    var (survey, predictions, stamps) = ("", "", "")
    for index in 0..<60 {
      let raw = String(format: "s_%05dgr_%05dsq_%05dhl_%05den", 1, index / 30, index / 10, index % 10)
      let truth = 3 + Double(index * 37 % 100) / 12
      survey += "\(raw)-a,0,0,\(truth),0.9\n"
      predictions += "\(raw)-a \(String(format: "%.2f", truth + 0.3))\n"
      let clock = { (seconds: Int) in
        String(format: "%02d:%02d:%02d", seconds / 3600, seconds / 60 % 60, seconds % 60)
      }
      guard index < 40 else { continue }
      stamps += "\(raw),2021-03-02 \(clock(60 * index))\n\(raw)-a,2021-03-02 \(clock(60 * index + 45))\n"
    }
    return try [("survey.csv", survey), ("predictions.txt", predictions), ("stamps.csv", stamps)].map {
      name, text in
      try Data(text.utf8).write(to: folder / name)
      return (folder / name).path
    }
  }

  private func replay(_ log: URL, _ files: [String], speed: Int) -> [String] {
    [
      "cryo", "live", "--log", log.path, "--survey", files[0], "--predictions", files[1], "--replay", files[2],
      "--speed", "\(speed)", "--budget", "100", "--port", "0", "--json"
    ]
  }

  @Test("killed three times, ends with the same log and plan as undisturbed") func kills() async throws {
    let folder = try TemporaryFolder()
    let files = try files(folder)
    let (whole, broken) = (folder / "whole.sqlite", folder / "broken.sqlite")
    #expect(try await Tool.run(replay(whole, files, speed: 100_000)).code == 0)
    for events in [10, 35, 60] {
      let outcome = try await Tool.run(replay(broken, files, speed: 1000), sending: SIGKILL) {
        (try? AcquisitionLog(existing: broken).events().count) ?? 0 >= events
      }
      #expect(outcome.wasKilled)
    }
    let last = try await Tool.run(replay(broken, files, speed: 100_000))
    #expect(last.code == 0, "\(last.errors)")
    #expect(try last.json()["events"]?.integer == 80)
    let (a, b) = (try AcquisitionLog(existing: whole), try AcquisitionLog(existing: broken))
    #expect(try a.events() == b.events())
    let plan = try #require(try a.plan())
    #expect(try plan == b.plan() && plan.after == 80 && !plan.holes.isEmpty)
  }

  @Test("shows itself as a page that needs nothing from elsewhere") func dashboard() async throws {
    let folder = try TemporaryFolder()
    let log = folder / "s.sqlite"
    #expect(try await Tool.run(replay(log, files(folder), speed: 100_000)).code == 0)
    let server = try await ServerProcess(["cryo", "--log", log.path], program: "quench-server", in: folder)
    let page = try server.get("/")
    #expect(page.contains("<title>Cryo-EM session</title>") && !page.contains("https://"))
    #expect(try server.get("/dashboard.js").contains("refresh"))
    let survey = try Value(json: Data(server.get("/survey.json").utf8), name: "survey").record
    #expect(survey?["holes"]?.array?.count == 60)
    let state = try Value(json: Data(server.get("/state.json?after=70").utf8), name: "state").record
    #expect(state?["events"]?.array?.count == 10 && state?["plan"]?.record?["after"]?.integer == 80)
    #expect(try await server.end().code == 0)
    let missing = try await Tool.run(
      ["cryo", "--log", (folder / "none").path, "--port", "0"], program: "quench-server")
    #expect(missing.code == 1 && missing.errors.contains("there is no acquisition log"))
  }

  @Test("takes what is recorded by hand, corrects it, and says what comes next") func record() async throws {
    let folder = try TemporaryFolder()
    let files = try files(folder)
    let log = folder / "s.sqlite"
    let survey = try SurveyFile(contentsOf: URL(filePath: files[0])).survey
    _ = try AcquisitionLog(
      creating: log, survey: survey,
      settings: SessionSettings(
        rules: AcquisitionRules(budget: 60), start: 0,
        hypotheses: ClosedLoopPlanner(assumingThreshold: 6).hypotheses,
        began: Date()), curves: [])
    func record(_ hole: String, _ resolution: String) async throws -> Tool.Outcome {
      try await Tool.run(["cryo", "record", hole, resolution, "--log", log.path])
    }
    let name = survey.holes[3].name
    let first = try await record(name, "3.9")
    #expect(first.code == 0 && first.output.contains("1 good so far; next:"), "\(first.errors)")
    #expect(try await record(name, "failed").output.contains("0 good so far"))
    #expect(try await record(name, "failed").errors.contains("this was recorded before"))
    #expect(try await record("nowhere", "3").errors.contains("there is no hole of this name"))
    #expect(try await record(name, "-3").code == 64)
    #expect(try AcquisitionLog(existing: log).events().count == 3)
  }

  @Test("refuses a log of another survey, and a session without a start") func errors() async throws {
    let folder = try TemporaryFolder()
    let files = try files(folder)
    let log = folder / "s.sqlite"
    var arguments = replay(log, files, speed: 100_000)
    #expect(try await Tool.run(arguments).code == 0)
    let text = try String(contentsOf: URL(filePath: files[0]), encoding: .utf8)
    try Data(text.split(separator: "\n").dropLast().joined(separator: "\n").utf8).write(to: folder / "less.csv")
    try Data(
      String(contentsOf: URL(filePath: files[1]), encoding: .utf8).split(separator: "\n").dropLast()
        .joined(separator: "\n").utf8
    ).write(to: folder / "less.txt")
    arguments[5] = (folder / "less.csv").path
    arguments[7] = (folder / "less.txt").path
    let other = try await Tool.run(arguments)
    #expect(other.code == 1 && other.errors.contains("the acquisition log is of another survey"), "\(other.errors)")
    let none = try await Tool.run([
      "cryo", "live", "--log", (folder / "new.sqlite").path, "--survey", files[0], "--predictions", files[1],
      "--port",
      "0"
    ])
    #expect(none.code == 1 && none.errors.contains("where the microscope stands is not said"))
  }
}
