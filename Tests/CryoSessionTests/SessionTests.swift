import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport
import TestSupport
import Testing

@testable import QuenchCryoSession

/// Two tiles of two squares of three patches of six holes, with predictions that tell something.
enum Toy {
  static let survey: Survey = {
    var entries: [Survey.Entry] = []
    var state: UInt64 = 7
    func random() -> Double {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Double(state >> 11) / Double(1 << 53)
    }
    for tile in 0..<2 {
      for square in 0..<2 {
        for patch in 0..<3 {
          let level = 3 + 6 * random()
          for hole in 0..<6 {
            let truth = level + 2 * random()
            let name = "s_\(tile)gr_\(square)sq_\(patch)hl_\(hole)en-a"
            entries.append(
              Survey.Entry(
                name: name, patch: "\(tile)\(square)\(patch)", square: "\(tile)\(square)", tile: "\(tile)",
                offset: SIMD2(Double(hole), Double(hole * hole)), fit: .resolution(truth),
                prediction: .resolution(truth + 2 * random() - 1)))
          }
        }
      }
    }
    return (try? Survey(entries, from: "toy")) ?? { preconditionFailure("the toy survey is valid") }()
  }()

  static let rules = AcquisitionRules(budget: 60)

  static func settings(isReplay: Bool = false, start: Int = 0) -> SessionSettings {
    SessionSettings(
      rules: rules, start: start, hypotheses: ClosedLoopPlanner(assumingThreshold: 6).hypotheses,
      began: Date(timeIntervalSince1970: 0), isReplay: isReplay)
  }

  static func log(_ folder: TemporaryFolder, _ name: String = "s.sqlite", isReplay: Bool = false) throws
    -> AcquisitionLog
  {
    try AcquisitionLog(
      creating: folder / name, survey: survey, settings: settings(isReplay: isReplay),
      curves: SessionCurve.references(
        survey, rules: rules, start: 0, calibration: LogisticCalibration(assumingThreshold: 6)))
  }
}

func problem<Result>(_ body: () throws -> Result) -> String {
  do {
    _ = try body()
    return "nothing was thrown"
  } catch { return "\(error)" }
}

@Suite("An acquisition log") struct AcquisitionLogTests {
  @Test("gives back survey and settings as they went in") func roundTrip() throws {
    let folder = try TemporaryFolder()
    _ = try Toy.log(folder)
    let log = try AcquisitionLog(existing: folder / "s.sqlite")
    #expect(try log.survey() == Toy.survey)
    #expect(try log.settings() == Toy.settings())
    #expect(try log.settings().planner().hypotheses == ClosedLoopPlanner(assumingThreshold: 6).hypotheses)
    #expect(try log.curves().map(\.name) == ["oracle", "greedy"])
    try log.check(isOf: Toy.survey)
  }

  @Test("notes an exposure once, and a measurement again only where it differs") func notes() throws {
    let folder = try TemporaryFolder()
    let log = try Toy.log(folder)
    #expect(try log.expose(3, at: 1, source: "a"))
    #expect(try !log.expose(3, at: 2, source: "a"))
    #expect(try log.record(.resolution(4), of: 3, at: 2, source: "a"))
    #expect(try !log.record(.resolution(4), of: 3, at: 3, source: "b"))
    #expect(try log.record(.failed, of: 3, at: 4, source: "b"))
    #expect(try log.record(.resolution(5), of: 4, at: 5, source: "b"))
    let events = try log.events()
    #expect(events.map(\.kind) == [.exposure, .outcome, .outcome, .exposure, .outcome])
    #expect(events.map(\.fit) == [.unmeasured, .resolution(4), .failed, .unmeasured, .resolution(5)])
    #expect(try log.events(after: 3).map(\.id) == [4, 5])
    #expect(try log.count(from: "b") == 3)
  }

  @Test("says what it is not") func errors() throws {
    let folder = try TemporaryFolder()
    #expect(problem { try AcquisitionLog(existing: folder / "none") }.contains("there is no acquisition log"))
    try Data("hello, this is no database, and long enough to be read as one".utf8).write(to: folder / "text")
    #expect(problem { try AcquisitionLog(existing: folder / "text") }.contains("this is no acquisition log"))
    let log = try Toy.log(folder)
    #expect(problem { try Toy.log(folder) }.contains("is there already"))
    let fewer = try Toy.survey.subset(0..<10, from: "test")
    #expect(problem { try log.check(isOf: fewer) }.contains("of another survey (expected 10 holes, found 72)"))
    let other = Toy.survey.predicting(Toy.survey.holes.map { _ in .resolution(4) })
    #expect(problem { try log.check(isOf: other) }.contains("of another survey (expected the prediction of"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).allSatisfy { !$0.hasPrefix(".") })
  }
}

@Suite("A live session") struct LiveSessionTests {
  /// Outcomes as the plan asks for them, recorded one after the other; the session is opened anew at each of `breaks`.
  private func collect(_ count: Int, breaks: Set<Int> = []) throws -> (
    plan: SessionPlan, events: [AcquisitionLog.Event]
  ) {
    let folder = try TemporaryFolder()
    var session = try LiveSession(Toy.log(folder))
    for step in 0..<count {
      if breaks.contains(step) { session = try LiveSession(AcquisitionLog(existing: folder / "s.sqlite")) }
      guard let next = session.plan().holes.first else { break }
      try session.log.record(
        Toy.survey.holes[next].fit, of: next, at: session.plan().minutes[0], source: "test")
      #expect(try session.catchUp() == 2)
    }
    return (session.plan(), try session.log.events())
  }

  @Test("plans the same after breaks as without") func breaks() throws {
    let whole = try collect(20)
    let broken = try collect(20, breaks: [3, 4, 11, 19])
    #expect(whole.plan == broken.plan)
    #expect(whole.events == broken.events)
    #expect(whole.plan.after == 40 && !whole.plan.holes.isEmpty)
  }

  @Test("leaves out what was exposed, and keeps to the time") func plan() throws {
    let (plan, events) = try collect(10)
    #expect(Set(plan.holes).isDisjoint(with: events.map(\.hole)) && !plan.holes.contains(0))
    #expect(plan.minutes.allSatisfy { $0 <= 60 } && plan.minutes == plan.minutes.sorted())
    #expect(plan.probabilities.allSatisfy { (0...1).contains($0) })
  }

  @Test("learns from a correction as if it had been there from the first") func correction() throws {
    let folder = try TemporaryFolder()
    var right = try LiveSession(Toy.log(folder, "right"))
    var corrected = try LiveSession(Toy.log(folder, "corrected"))
    for hole in 1...5 {
      try right.log.record(hole == 2 ? .failed : .resolution(4), of: hole, at: Double(hole), source: "test")
      try corrected.log.record(.resolution(4), of: hole, at: Double(hole), source: "test")
    }
    try corrected.catchUp()
    try corrected.log.record(.failed, of: 2, at: 6, source: "test")
    try right.catchUp()
    try corrected.catchUp()
    #expect(corrected.plan().holes == right.plan().holes)
    #expect(corrected.good == 4 && corrected.measured == 5)
    var reopened = try LiveSession(corrected.log)
    #expect(reopened.plan() == corrected.plan())
  }

  @Test("takes measurements out of a file that grows, once each") func watching() throws {
    let folder = try TemporaryFolder()
    let file = folder / "fits.star"
    var watcher = OutcomeWatcher(file, survey: Toy.survey)
    #expect(watcher.poll().outcomes.isEmpty)
    let head = "data_micrographs\n\nloop_\n_rlnMicrographName\n_rlnCtfMaxResolution\n"
    let names = Toy.survey.holes.map(\.name)
    try Data((head + "job/\(names[3]).mrc 4.5\njob/\(names[4]).m").utf8).write(to: file)
    #expect(watcher.poll().outcomes == [.init(hole: 3, fit: .resolution(4.5))])
    #expect(watcher.poll().outcomes.isEmpty)
    try Data((head + "job/\(names[3]).mrc 4.5\njob/\(names[4]).mrc inf\njob/other.mrc 3\n").utf8).write(to: file)
    let findings = watcher.poll()
    #expect(findings.outcomes == [.init(hole: 3, fit: .resolution(4.5)), .init(hole: 4, fit: .failed)])
    #expect(findings.strangers == ["other"])
  }

  @Test("replays an earlier session at its own times") func replay() throws {
    let stamps = try TimestampFile(
      parsing: Data(
        """
        s_0gr_0sq_0hl_1en,2021-03-02 11:00:00
        s_0gr_0sq_0hl_2en,2021-03-02 11:01:30
        s_0gr_0sq_0hl_1en-a,2021-03-02 11:01:45
        s_0gr_0sq_0hl_2en-a,2021-03-02 13:01:30

        """.utf8), name: "stamps")
    let replay = try SessionReplay(Toy.survey, stamps: stamps, longestGap: 10)
    #expect(replay.items.map(\.hole) == [1, 2, 1, 2])
    #expect(replay.items.map(\.minutes) == [0, 1.5, 1.75, 11.75])
    #expect(replay.items.map { $0.fit == nil } == [true, true, false, false])
    #expect(replay.start == 1)
    let folder = try TemporaryFolder()
    var runner = LiveRunner(try LiveSession(Toy.log(folder, isReplay: true)))
    (runner.replay, runner.speed, runner.interval) = (replay, 1e6, 0.001)
    runner.planFile = folder / "plan.csv"
    let plan = try runner.run()
    #expect(try runner.session.log.events().map(\.minutes) == [0, 1.5, 1.75, 11.75])
    #expect(try runner.session.log.plan() == plan && plan.after == 4)
    let table = try PlanFile(contentsOf: folder / "plan.csv")
    #expect(table.entries.map(\.hole) == plan.holes.map { Toy.survey.holes[$0].name })
  }

  @Test("is told to a dashboard from its log alone") func state() throws {
    let folder = try TemporaryFolder()
    var session = try LiveSession(Toy.log(folder))
    try session.log.record(.resolution(4.126), of: 1, at: 1.5, source: "test")
    try session.log.record(.failed, of: 2, at: 2.5, source: "test")
    try session.catchUp()
    try session.log.keep(session.plan())
    let state = try SessionState(AcquisitionLog(existing: folder / "s.sqlite"))
    #expect(state.fixed["holes"]?.array?.count == 72 && state.fixed["threshold"]?.number == 6)
    #expect(state.fixed["curves"]?.array?.count == 2)
    let changes = try state.changes(after: 0)
    #expect(
      Value.object(["events": changes["events"] ?? .null]).json()
        == #"{"events":[[1,1,1.5,null],[2,1,1.5,4.13],[3,2,2.5,null],[4,2,2.5,-1]]}"#)
    #expect(changes["plan"]?.record?["after"]?.integer == 4)
    #expect(try state.changes(after: 4)["events"]?.array?.isEmpty == true)
  }
}
