import Foundation
import QuenchCryoEM
import QuenchSupport
import TestSupport
import Testing

@testable import QuenchCryoSession

@Suite("A session's log") struct LogChangesTests {
  @Test("is whole in a copy of its one file, while it is open") func copy() throws {
    let folder = try TemporaryFolder()
    let log = try Toy.log(folder)
    for hole in 1...5 { try log.record(.resolution(4), of: hole, at: Double(hole), source: "test") }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["s.sqlite"])
    try FileManager.default.copyItem(at: folder / "s.sqlite", to: folder / "copy.sqlite")
    let copy = try AcquisitionLog(existing: folder / "copy.sqlite")
    #expect(try copy.events() == log.events() && copy.events().count == 10)
    try log.record(.resolution(5), of: 6, at: 6, source: "test")
    #expect(try copy.events().count == 10)
  }

  @Test("takes back what was noted of a hole, and the session goes on as if it had not been") func withdrawal()
    throws
  {
    let folder = try TemporaryFolder()
    var session = try LiveSession(Toy.log(folder))
    var other = try LiveSession(Toy.log(folder, "other.sqlite"))
    for hole in 1...4 {
      try session.log.record(.resolution(4), of: hole, at: Double(hole), source: "test")
      if hole != 3 { try other.log.record(.resolution(4), of: hole, at: Double(hole), source: "test") }
    }
    try session.catchUp()
    try other.catchUp()
    #expect(session.good == 4)
    #expect(try session.log.withdraw(hole: 3, at: 5, source: "test").count == 2)
    #expect(try session.log.withdraw(hole: 3, at: 5, source: "test").isEmpty)
    #expect(try session.catchUp() > 0)
    #expect(session.good == 3 && !session.acquisition.isVisited[3])
    #expect(
      session.plan().holes == other.plan().holes && session.plan().probabilities == other.plan().probabilities)
    var reopened = try LiveSession(session.log)
    #expect(reopened.plan() == session.plan())
    // It can be noted again.
    #expect(try session.log.record(.failed, of: 3, at: 6, source: "test"))
    #expect(try session.catchUp() == 2 && session.acquisition.outcomes[3] == .failed)
    #expect(try session.log.notes().filter(\.isWithdrawn).count == 2)
    #expect(
      problem { try session.log.withdraw(note: 99, at: 0, source: "test") }.contains("nothing of this number"))
  }

  @Test("keeps a change of settings as a note, which can be taken back") func settings() throws {
    let folder = try TemporaryFolder()
    var session = try LiveSession(Toy.log(folder))
    try session.log.record(.resolution(4), of: 1, at: 70, source: "test")
    try session.catchUp()
    #expect(session.acquisition.isDone && session.plan().holes.isEmpty)
    var rules = Toy.rules
    rules.budget = 100
    let changed = session.settings.with(rules: rules, start: 0, hypotheses: nil)
    #expect(changed.changes(since: session.settings, of: Toy.survey) == ["budget 60 → 100 min"])
    let note = try session.log.change(to: changed, at: 70, source: "test")
    #expect(try session.catchUp() == 1)
    #expect(session.settings.budget == 100 && !session.plan().holes.isEmpty)
    #expect(try LiveSession(session.log).settings.budget == 100)
    try session.log.withdraw(note: note, at: 70, source: "test")
    #expect(try session.catchUp() == 1 && session.settings == Toy.settings() && session.plan().holes.isEmpty)
  }

  @Test("counts what the survey has measured as exposed, and learns from it") func earlier() throws {
    let folder = try TemporaryFolder()
    let survey = Toy.survey.measuring(
      Toy.survey.holes.enumerated().map { (6..<24).contains($0) ? .failed : $0 == 30 ? $1.fit : .unmeasured })
    func session(_ name: String, knows: Bool) throws -> LiveSession {
      let settings = SessionSettings(
        rules: Toy.rules, start: 0, hypotheses: ClosedLoopPlanner(assumingThreshold: 6).hypotheses, began: Date(),
        knowsMeasurements: knows)
      return try LiveSession(
        AcquisitionLog(creating: folder / name, survey: survey, settings: settings, curves: []))
    }
    var (knowing, ignorant) = (try session("a", knows: true), try session("b", knows: false))
    #expect(Set(knowing.plan().holes).isDisjoint(with: Array(6..<24) + [30]))
    #expect(knowing.acquisition.visitCount == 0 && knowing.good == 0 && knowing.measured == 0)
    #expect(!Set(ignorant.plan().holes).isDisjoint(with: 6..<24))
    // Failures all round make the rest of the square less likely.
    let rest = try #require(knowing.plan().holes.first { $0 < 6 })
    let (mine, theirs) = (knowing.plan(), ignorant.plan())
    let p = try #require(mine.holes.firstIndex(of: rest).map { mine.probabilities[$0] })
    let q = try #require(theirs.holes.firstIndex(of: rest).map { theirs.probabilities[$0] })
    #expect(p < q)
  }

  @Test("goes on by a clock that cannot be set, and notes jumps of the computer's") func clock() throws {
    let folder = try TemporaryFolder()
    let log = try Toy.log(folder)
    var (wall, monotonic) = (600.0, 3.0)
    var clock = try SessionClock(
      log, wall: { Date(timeIntervalSince1970: wall) }, monotonic: { monotonic })
    #expect(clock.minutes == 10)
    (wall, monotonic) = (660, 4)
    #expect(try clock.noteJump() == nil && clock.minutes == 11)
    // Nine hours forward while one minute passes.
    (wall, monotonic) = (660 + 60 + 9 * 3600, 5)
    let jump = try #require(try clock.noteJump())
    #expect(abs(jump.minutes - 540) < 1e-9 && clock.minutes == 12)
    #expect(try clock.noteJump() == nil)
    // Other processes, which have that clock alone, know.
    #expect(try abs(log.minutes(at: Date(timeIntervalSince1970: wall)) - 12) < 1e-9)
    // And back again.
    (wall, monotonic) = (660 + 120, 6)
    #expect(abs(try #require(try clock.noteJump()).minutes + 540) < 1e-9 && clock.minutes == 13)
    // If the time did pass, the note is taken back.
    try log.withdraw(note: jump.note, at: 13, source: "test")
    try clock.reset()
    #expect(abs(clock.minutes - 553) < 1e-9)
  }
}

@Suite("A micrograph") struct HoleFinderTests {
  static func survey(_ names: String...) throws -> Survey {
    try Survey(names.map { Survey.Entry(name: $0, patch: "P", square: "S", tile: "T") }, from: "test")
  }

  @Test(
    "finds its hole through what programs put round its name",
    arguments: [
      ("FoilHole_100_Data_1_7_20260101_101010_Fractions.mrc", "FoilHole_100_Data_1"),
      ("FoilHole_100_Data_2_7_20260101_101010_fractions.tiff", "FoilHole_100_Data_2"),
      ("FoilHole_101_Data_1_20260101_101010_EER.eer", "FoilHole_101_Data_1"),
      ("FoilHole_100_Data_1", "FoilHole_100_Data_1"), ("FoilHole_100_Data_11_7_20260101_101010", nil),
      ("FoilHole_102_Data_5_6_20260101_101010_fractions_patch_aligned_doseweighted.mrc", "FoilHole_102"),
      ("012345678901234567890_FoilHole_102_Data_5_6_20260101_101010_EER.mrc", "FoilHole_102"),
      ("job/hole7_DW.mrc", "hole7"), ("C:\\x\\hole7_frames_SumCorr.mrc", "hole7"), ("hole7_ctffind4.txt", "hole7"),
      ("hole7_0001.mrc", "hole7"), ("hole77.mrc", nil), ("s_1gr_1sq_1hl_1en.mrc", "s_1gr_1sq_1hl_1en-a")
    ])
  func names(_ micrograph: String, _ hole: String?) throws {
    let survey = try Self.survey(
      "FoilHole_100_Data_1", "FoilHole_100_Data_2", "FoilHole_101_Data_1", "FoilHole_102", "hole7",
      "s_1gr_1sq_1hl_1en-a")
    #expect(HoleFinder(survey).hole(micrograph).map { survey.holes[$0].name } == hole)
  }

  @Test("finds it by a pattern, a table or the microscope's own metadata") func others() throws {
    let folder = try TemporaryFolder()
    let survey = try Self.survey("101", "102", "Sq 12 (good)")
    func name(_ finder: HoleFinder, _ micrograph: String) -> String? {
      finder.hole(micrograph).map { survey.holes[$0].name }
    }
    let byPattern = try HoleFinder(survey, pattern: "grid1_([0-9]+)_shot")
    #expect(name(byPattern, "a/grid1_102_shot3_DW.mrc") == "102" && name(byPattern, "other_102.mrc") == nil)
    #expect(problem { try HoleFinder(survey, pattern: "(") }.contains("match: this is no regular expression"))

    var byTable = HoleFinder(survey)
    try Data("micrograph;hole\nx_001.mrc;Sq 12 (good)\nx_002;101\n".utf8).write(to: folder / "names.csv")
    try byTable.read(table: folder / "names.csv")
    #expect(name(byTable, "job/x_001_fractions.mrc") == "Sq 12 (good)" && name(byTable, "x_002") == "101")
    try Data("x_001,101\nx_003,nowhere\n".utf8).write(to: folder / "bad.csv")
    #expect(
      problem { try byTable.read(table: folder / "bad.csv") }.contains(
        "bad.csv, line 2: there is no hole of this name"))

    var watcher = OutcomeWatcher(folder.url, survey: survey)
    try Data("data_m\nloop_\n_rlnMicrographName\n_rlnCtfMaxResolution\nMotion/frame_7.mrc 3.5\n".utf8)
      .write(to: folder / "fits.star")
    #expect(watcher.poll().strangers == ["frame_7"])
    try Data("[ZValue = 0]\nNavigatorLabel = 102\nSubFramePath = D:\\\\movies\\\\frame_7.tif\n".utf8)
      .write(to: folder / "frame_7.tif.mdoc")
    #expect(watcher.poll().outcomes == [.init(hole: 1, fit: .resolution(3.5))])
  }

  @Test("is found though other files lie in the folder, and a missing folder is waited for and said") func folder()
    throws
  {
    let folder = try TemporaryFolder()
    let survey = try Self.survey("mic_1", "mic_2", "mic_3")
    let watched = folder / "ctf"
    var watcher = OutcomeWatcher(watched, survey: survey)
    #expect(watcher.poll().warnings == ["\(watched.path): there is nothing of this name yet; it is waited for"])
    #expect(watcher.poll() == .init())
    try FileManager.default.createDirectory(at: watched, withIntermediateDirectories: true)
    for (name, text) in [
      ("mic_1.txt", "# Input file: a/mic_1.mrc ; Number of micrographs: 1\n1 10000 9900 45 0 0.12 4.25\n"),
      ("mic_1_avrot.txt", "# Input file: a/mic_1.mrc ; Number of micrographs: 1\n0.000 0.002 0.004\n"),
      ("README.txt", "Please read me.\n"), ("job.star", "data_job\n\n_rlnJobTypeLabel relion.ctffind\n"),
      ("rows.star", "data_m\nloop_\n_rlnMicrographName\n_rlnCtfMaxResolution\nmic_2.mrc 4 x\nmic_3.mrc 5.5\n")
    ] { try Data(text.utf8).write(to: watched.appending(path: name)) }
    let findings = watcher.poll()
    #expect(findings.outcomes == [.init(hole: 0, fit: .resolution(4.25)), .init(hole: 2, fit: .resolution(5.5))])
    #expect(findings.strangers.isEmpty)
    #expect(findings.warnings.count == 4, "\(findings.warnings)")
    #expect(!findings.warnings.contains { $0.contains("avrot") })
    #expect(watcher.poll() == .init())
  }
}
