import Foundation
import QuenchCryoEM
import QuenchCryoSession
import QuenchReporting
import QuenchSupport
import TestSupport
import Testing

@testable import quench

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

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
      "--speed", "\(speed)", "--minutes", "100", "--port", "0", "--json"
    ]
  }

  @Test("killed three times, ends with the same log and plan as undisturbed") func kills() async throws {
    let folder = try TemporaryFolder()
    let files = try files(folder)
    let (whole, broken) = (folder / "whole.sqlite", folder / "broken.sqlite")
    #expect(try await Tool.run(replay(whole, files, speed: 100_000)).code == 0)
    // However long a plan takes, the replay is then not over before the kill.
    for events in [4, 10, 16] {
      let outcome = try await Tool.run(replay(broken, files, speed: 100), sending: SIGKILL) {
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
    let server = try await ServerProcess(["cryo", "dashboard", "--log", log.path], in: folder)
    let page = try server.get("/")
    #expect(page.contains("<title>Cryo-EM session</title>") && !page.contains("https://"))
    #expect(try server.get("/dashboard.js").contains("refresh"))
    let survey = try Value(json: Data(server.get("/survey.json").utf8), name: "survey").record
    #expect(survey?["holes"]?.array?.count == 60)
    let state = try Value(json: Data(server.get("/state.json?after=70").utf8), name: "state").record
    #expect(state?["events"]?.array?.count == 10 && state?["plan"]?.record?["after"]?.integer == 80)
    #expect(try await server.end().code == 0)
    let missing = try await Tool.run(
      ["cryo", "dashboard", "--log", (folder / "none").path, "--port", "0"])
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

  /// A session of holes without measurements but for the first five, and the arguments that go on with it without waiting.
  private func begun(_ folder: TemporaryFolder) throws -> (log: URL, names: [String], files: [String]) {
    let files = try files(folder)
    let survey = try SurveyFile(contentsOf: URL(filePath: files[0])).survey.withoutMeasurements
    try Data(SurveyFile.table(of: survey).utf8).write(to: folder / "survey.csv")
    return (folder / "s.sqlite", survey.holes.map(\.name), files)
  }

  private func live(_ session: (log: URL, names: [String], files: [String]), _ more: [String]) -> [String] {
    [
      "cryo", "live", "--log", session.log.path, "--survey", session.files[0], "--predictions", session.files[1],
      "--start", session.names[0], "--port", "0"
    ] + more
  }

  /// Lines of a log that another process writes.
  private static func events(_ log: URL) -> Int { (try? AcquisitionLog(existing: log).events().count) ?? -1 }

  @Test("tells a second process that somebody plans the session, while records are taken") func secondWriter()
    async throws
  {
    let folder = try TemporaryFolder()
    let session = try begun(folder)
    let first = try await Tool.run(live(session, ["--minutes", "60"])) { process in
      for _ in 0..<3000 where Self.events(session.log) < 0 { try await Task.sleep(for: .milliseconds(20)) }
      let second = try await Tool.run(live(session, []))
      #expect(second.code == 1 && second.errors.contains("another process is writing here"), "\(second.errors)")
      #expect(second.errors.contains("process \(process.processIdentifier)"), "\(second.errors)")
      let record = try await Tool.run(["cryo", "record", session.names[3], "4.5", "--log", session.log.path])
      #expect(record.code == 0, "\(record.errors)")
      try Data(contentsOf: session.log).write(to: folder / "copy.sqlite")
      kill(process.processIdentifier, SIGKILL)
    }
    #expect(first.wasKilled)
    #expect(try AcquisitionLog(existing: folder / "copy.sqlite").events().count == 2)
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.url.path)
    #expect(!names.contains("s.sqlite-wal"))
  }

  @Test("goes on under changed settings, which it notes, tells and can take back") func changes() async throws {
    let folder = try TemporaryFolder()
    let session = try begun(folder)
    _ = try await Tool.run(live(session, ["--minutes", "60"]), sending: SIGINT) { Self.events(session.log) >= 0 }
    func record(_ more: [String]) async throws -> Tool.Outcome {
      try await Tool.run(["cryo", "record", session.names[3]] + more + ["--log", session.log.path])
    }
    // The clock jumped by hours: the session is over.
    let late = try await record(["4.5", "--at", "600"])
    #expect(
      late.code == 0 && late.output.contains("the time is over: 600.0 of 60 min"), "\(late.errors) \(late.output)")
    let over = try await Tool.run(live(session, []))
    #expect(over.code == 0 && over.errors.contains("--minutes gives more"), "\(over.errors)")
    let more = try await Tool.run(live(session, ["--minutes", "700", "--threshold", "5"]), sending: SIGINT) {
      (try? AcquisitionLog(existing: session.log).settings().budget) == 700
    }
    #expect(more.code == 130 && !more.errors.contains("--resume"), "\(more.errors)")
    #expect(more.errors.contains("budget 60 → 700 min, threshold 6 → 5 Å"), "\(more.errors)")
    let note = try #require(try AcquisitionLog(existing: session.log).notes().last)
    let list = try await Tool.run(["cryo", "undo", "--log", session.log.path])
    #expect(list.output.contains("settings changed") && list.output.contains("\(session.names[3]) 4.5 Å"))
    #expect(try await Tool.run(["cryo", "undo", "\(note.id)", "--log", session.log.path]).code == 0)
    #expect(try AcquisitionLog(existing: session.log).settings().budget == 60)
    // What was recorded at the wrong time is taken back, and recorded at the right one.
    #expect(try await record(["--withdraw"]).errors.contains("taken back: 2 notes"))
    #expect(try await record(["--withdraw"]).code == 1)
    let right = try await record(["4.5", "--at", "2"])
    #expect(right.code == 0 && right.output.contains("1 good so far; next:"), "\(right.output)")
    #expect(try await record([]).code == 64)
    #expect(try await record(["4", "--withdraw"]).code == 64)
  }

  @Test("outlives files that it cannot read, and says what it waits for") func badFiles() async throws {
    let folder = try TemporaryFolder()
    let session = try begun(folder)
    let watched = folder / "ctf"
    try FileManager.default.createDirectory(at: watched, withIntermediateDirectories: true)
    try Data("Please read me.\n".utf8).write(to: watched.appending(path: "README.txt"))
    try Data(
      "data_m\nloop_\n_rlnMicrographName\n_rlnCtfMaxResolution\nx/\(session.names[4])_fractions.mrc 4.4\nother.mrc 3\n"
        .utf8
    ).write(to: watched.appending(path: "m.star"))
    let outcome = try await Tool.run(
      live(session, ["--watch", watched.path, "--watch", (folder / "none").path]), sending: SIGINT
    ) { Self.events(session.log) == 2 }
    #expect(outcome.code == 130, "\(outcome.errors)")
    for text in ["README.txt, line 1: not a row of CTFFIND's output", "none: there is nothing of this name yet"] {
      #expect(outcome.errors.contains(text), "\(outcome.errors)")
    }
    #expect(outcome.errors.contains("'other' in"), "\(outcome.errors)")
  }

  @Test("answers no page that was made to point at this machine") func otherHosts() async throws {
    let folder = try TemporaryFolder()
    let log = folder / "s.sqlite"
    #expect(try await Tool.run(replay(log, files(folder), speed: 100_000)).code == 0)
    let server = try await ServerProcess(["cryo", "dashboard", "--log", log.path], in: folder)
    func status(_ host: String) async throws -> Int? {
      var request = URLRequest(url: try #require(URL(string: server.url)))
      request.setValue(host, forHTTPHeaderField: "Host")
      return (try await URLSession.shared.data(for: request).1 as? HTTPURLResponse)?.statusCode
    }
    #expect(try await status("127.0.0.1") == 200)
    #expect(try await status("localhost:1234") == 200)
    #expect(try await status("evil.example") == 421)
    #expect(try await server.end().code == 0)
  }
}
