import Foundation
import GRDB
import QuenchCryoEM
import QuenchSupport
import TestSupport
import Testing

@testable import QuenchCryoSession

@Suite("A session that much happens to") struct ResilienceTests {
  private struct Crash: Error {}

  private func noted(_ log: AcquisitionLog, _ holes: ClosedRange<Int> = 1...5) throws {
    for hole in holes { try log.record(Toy.survey.holes[hole].fit, of: hole, at: Double(hole), source: "test") }
  }

  @Test("is what it was before a note in whose middle the process died") func crash() throws {
    let folder = try TemporaryFolder()
    let log = try Toy.log(folder)
    try noted(log)
    var before = try LiveSession(log)
    let (file, journal) = (folder / "s.sqlite", folder / "s.sqlite-journal")
    let whole = try Data(contentsOf: file)
    #expect(throws: InputError.self) {
      try log.writing { db in
        // As a large note would: parts of it are in the file already, and what was there is in the journal.
        try db.execute(sql: "PRAGMA cache_spill = 1; PRAGMA cache_size = 1")
        for _ in 0..<2000 {
          try db.execute(
            sql: "INSERT INTO event (kind, hole, minutes, source) VALUES ('exposure', 7, 9, 'half')")
        }
        try FileManager.default.copyItem(at: file, to: folder / "crashed.sqlite")
        try FileManager.default.copyItem(at: journal, to: folder / "crashed.sqlite-journal")
        throw Crash()
      }
    }
    #expect(try Data(contentsOf: folder / "crashed.sqlite") != whole)
    var after = try LiveSession(AcquisitionLog(existing: folder / "crashed.sqlite"))
    #expect(try after.log.events() == before.log.events() && after.plan() == before.plan())
    #expect(try after.log.count(from: "half") == 0)
    try after.log.record(.failed, of: 9, at: 6, source: "test")
    #expect(try after.catchUp() == 2)
    #expect(!FileManager.default.fileExists(atPath: (folder / "crashed.sqlite-journal").path))
  }

  @Test("loses no note where several write at once, and all plan alike") func writers() async throws {
    let folder = try TemporaryFolder()
    _ = try Toy.log(folder)
    let file = folder / "s.sqlite"
    try await withThrowingTaskGroup(of: Void.self) { group in
      for writer in 0..<4 {
        group.addTask {
          let log = try AcquisitionLog(existing: file)
          for hole in stride(from: 1 + writer, to: 61, by: 4) {
            #expect(try log.record(Toy.survey.holes[hole].fit, of: hole, at: 1, source: "\(writer)"))
            // Everybody sees a correction of the same hole once.
            try log.record(.failed, of: 61, at: 1, source: "all")
          }
        }
      }
      try await group.waitForAll()
    }
    let log = try AcquisitionLog(existing: file)
    let events = try log.events()
    #expect(events.map(\.id) == Array(1...122))
    for writer in 0..<4 { #expect(try log.count(from: "\(writer)") == 30) }
    #expect(try log.count(from: "all") == 2)
    #expect(Set(events.map(\.hole)) == Set(1...61))
    var (first, second) = (try LiveSession(log), try LiveSession(AcquisitionLog(existing: file)))
    #expect(first.plan() == second.plan() && first.measured == 61)
  }

  @Test("a session follows what another process notes, in whatever steps it looks") func followers() throws {
    let folder = try TemporaryFolder()
    let log = try Toy.log(folder)
    var (often, seldom) = (try LiveSession(log), try LiveSession(AcquisitionLog(existing: log.url)))
    for hole in 1...12 {
      try noted(log, hole...hole)
      if hole == 6 { try log.withdraw(hole: 2, at: 6.5, source: "test") }
      try often.catchUp()
      #expect(try often.catchUp() == 0)
    }
    #expect(try seldom.catchUp() > 0)
    #expect(often.plan() == seldom.plan() && often.good == seldom.good && often.measured == 11)
  }

  @Test("a hole that the operator skipped stays in reach, and the time that passed is gone") func skipped() throws {
    let folder = try TemporaryFolder()
    var session = try LiveSession(Toy.log(folder))
    let first = session.plan()
    let (skipped, taken) = (first.holes[0], first.holes[1])
    // It cost more than planned, too.
    try session.log.record(Toy.survey.holes[taken].fit, of: taken, at: first.minutes[1] + 10, source: "test")
    try session.catchUp()
    let plan = session.plan()
    #expect(!plan.holes.contains(taken) && !session.acquisition.isVisited[skipped])
    #expect(plan.minutes.allSatisfy { $0 > first.minutes[1] + 10 && $0 <= 60 })
    #expect(plan.holes.count < first.holes.count)
    // Nothing says that the hole is bad: it may be planned again, and can be exposed later.
    try session.log.record(.resolution(3), of: skipped, at: 30, source: "test")
    #expect(try session.catchUp() == 2 && session.acquisition.isGood(skipped) == true)
    var reopened = try LiveSession(AcquisitionLog(existing: session.log.url))
    #expect(reopened.plan() == session.plan())
  }

  @Test("notes that come late or out of order end in the same session, live and opened anew") func order() throws {
    let folder = try TemporaryFolder()
    var session = try LiveSession(Toy.log(folder))
    for hole in [4, 9, 2] { try session.log.expose(hole, at: Double(10 - hole), source: "test") }
    try session.catchUp()
    #expect(session.acquisition.elapsed == 8 && session.measured == 0)
    // Measurements arrive in another order, one of them twice with another value.
    for (hole, fit) in [(2, CTFFit.resolution(4)), (4, .failed), (9, .resolution(5)), (4, .resolution(3.5))] {
      try session.log.record(fit, of: hole, at: 9, source: "test")
      try session.catchUp()
    }
    #expect(session.measured == 3 && session.acquisition.outcomes[4] == .resolution(3.5))
    var reopened = try LiveSession(session.log)
    #expect(reopened.plan() == session.plan() && reopened.good == session.good)
  }

  @Test("a damaged log is an error or what it was, and never the process's end") func damage() throws {
    let folder = try TemporaryFolder()
    let log = try Toy.log(folder)
    try noted(log)
    let whole = try Data(contentsOf: log.url)
    let file = folder / "damaged.sqlite"
    func read(_ data: Data) throws -> Bool {
      try data.write(to: file)
      do {
        var session = try LiveSession(AcquisitionLog(existing: file))
        let plan = session.plan()
        _ = try (session.log.plan(), session.log.notes(), session.log.curves(), session.summary(plan).isEmpty)
        return true
      } catch { return false }
    }
    for length in stride(from: 0, to: whole.count, by: 997) {
      #expect(try !read(whole.prefix(length)), "cut to \(length) bytes")
    }
    var generator = Toy.Random(state: 3)
    var refused = 0
    for _ in 0..<60 {
      var data = whole
      for _ in 0..<40 {
        data[Int.random(in: 0..<data.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
      }
      if try !read(data) { refused += 1 }
    }
    #expect(refused > 10)
    #expect(try read(whole))
  }

  @Test(
    "a row that makes no sense is said to be damage",
    arguments: [
      "UPDATE event SET hole = NULL WHERE id = 3", "UPDATE event SET hole = 4711 WHERE id = 3",
      "UPDATE event SET hole = 'x' WHERE id = 3", "UPDATE event SET minutes = 'noon' WHERE id = 3",
      "UPDATE hole SET name = x'00ff' WHERE id = 3", "UPDATE hole SET id = 999 WHERE id = 3",
      "DELETE FROM hole WHERE id > 0", "DELETE FROM session",
      "UPDATE session SET value = '{}' WHERE key = 'settings'"
    ])
  func rows(sql: String) throws {
    let folder = try TemporaryFolder()
    let log = try Toy.log(folder)
    try noted(log)
    let queue = try DatabaseQueue(path: log.url.path, configuration: Self.unchecked)
    try queue.write { try $0.execute(sql: sql) }
    let text = problem { try LiveSession(AcquisitionLog(existing: log.url)) }
    #expect(text.contains("damaged"), "\(text)")
  }

  private static var unchecked: Configuration {
    var configuration = Configuration()
    configuration.foreignKeysEnabled = false
    return configuration
  }
}

extension Toy {
  struct Random: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state ^ (state >> 29)
    }
  }
}
