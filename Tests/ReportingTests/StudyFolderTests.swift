import Foundation
import QuenchSupport
import Synchronization
import TestSupport
import Testing

@testable import QuenchReporting

/// An experiment that may read what another wrote, and fails at 13.
private struct Add: CompositeExperiment {
  struct Outcome: Codable, Sendable { var sum: Int }

  static let kind = "add"
  var number = 0
  var other: String?
  var parts: [Int] = []

  func parts(in folder: URL) throws(InputError) -> [StudyPart] {
    parts.map { number in
      var part = Add()
      part.number = number
      return StudyPart("part-\(number)", part)
    }
  }

  func run(in context: RunContext) throws -> Outcome {
    if number == 13 { throw InputError("no such number", at: "number") }
    var sum = number
    if let other { sum += try Self.sum(in: URL(filePath: other)) }
    let folder = try context.open(inputs: ["numbers": "1234"])
    for part in try parts(in: context.url) { sum += try Self.sum(in: folder.artefact("\(part.name)/summary.json")) }
    return Outcome(sum: sum)
  }

  private static func sum(in file: URL) throws -> Int {
    try #require(try Value(json: Data(contentsOf: file), name: file.path).record?["sum"]?.integer)
  }

  static func text(of run: PerformedRun<Add>) -> String { "" }
  static func report(of run: PerformedRun<Add>) -> Report {
    Report(title: "Added", summary: "", keyFigures: [], sections: [], record: run.record)
  }
}

@Suite("A study's folder") struct StudyFolderTests {
  private let temporary: TemporaryFolder
  private let study: StudyFolder

  init() throws {
    temporary = try TemporaryFolder()
    study = StudyFolder(temporary / "study")
  }

  private func plan(_ yaml: String) throws -> [StudyPart] {
    let plan = try StudyPlan(Value(yaml: Data(yaml.utf8), name: "plan"), for: study.url, name: "plan")
    return try plan.runs.map { StudyPart($0.name, try Add(settings: $0.settings, name: $0.name)) }
  }

  private func states() throws -> [String] { try study.entries().map { "\($0.name) \($0.state.name)" } }

  /// What one worker does: the name of its run, or nil where none is open.
  private func work() throws -> String? {
    guard let (entry, claim) = try study.claim() else { return nil }
    defer { claim.release() }
    do { try study.perform(entry, as: Add.self, by: Lab()) } catch is InputError {}
    return entry.name
  }

  @Test("is planned from a file: each entry over its sweep, and again without harm") func sweeps() throws {
    let parts = try plan(
      "{runs: {a: {kind: add, settings: {other: '{study}/b_number-2/summary.json'}, sweep: {number: [1, 10]}}, "
        + "b: {kind: add, sweep: {number: [2]}}}}")
    #expect(parts.map(\.name) == ["a_number-1", "a_number-10", "b_number-2"])
    #expect(try study.plan(parts) == 3)
    #expect(try study.plan(parts) == 0)
    #expect(try states() == ["a_number-1 waiting", "a_number-10 waiting", "b_number-2 open"])
    #expect(try plan("{kind: add, settings: {number: 4}}").map(\.name) == ["add"])
    for broken in [
      "{runs: {}}", "[1]", "{runs: {a: {settings: {}}}}", "{kind: add, sweep: {number: 3}}",
      "{kind: add, swep: {}}",
      "{kind: add, sweep: {number: [1, 1]}}"
    ] { #expect(throws: InputError.self, "\(broken)") { try plan(broken) } }
  }

  @Test("gives every run to one worker, what others need first") func order() throws {
    let parts = try plan(
      "{runs: {a: {kind: add, settings: {number: 1, other: '{study}/b/summary.json'}}, b: {kind: add, settings: {number: 2}}}}"
    )
    _ = try study.plan(parts)
    let first = try #require(try study.claim())
    #expect(first.entry.name == "b")
    #expect(try study.claim() == nil, "b is held, and a waits for it")
    #expect(try study.entries().last?.state.name == "held")
    first.claim.release()
    #expect(try [work(), work(), work()] == ["b", "a", nil])
    #expect(try RunFolder(existing: study.folder(of: "a")).readSummary()["sum"] == 3)
  }

  @Test("marks a run that failed, which nobody takes again before it is reopened") func failures() throws {
    _ = try study.plan(plan("{kind: add, sweep: {number: [13, 2]}}"))
    #expect(try [work(), work(), work()] == ["number-2", "number-13", nil])
    #expect(try states() == ["number-2 completed", "number-13 failed"])
    #expect(try study.reopenFailed() == ["number-13"])
    #expect(try work() == "number-13")
  }

  @Test("of an experiment with parts ends with that experiment") func composite() throws {
    var whole = Add()
    whole.parts = [1, 2]
    #expect(try study.plan(whole.parts(in: study.url), of: whole) == 2)
    #expect(try states() == ["part-1 open", "part-2 open", ". waiting"])
    #expect(try [work(), work(), work(), work()] == ["part-1", "part-2", ".", nil])
    #expect(try RunFolder(existing: study.url).readSummary()["sum"] == 3)
  }

  @Test("passes a run on whose worker gives no sign of life, and tells that worker") func takeover() async throws {
    _ = try study.plan(plan("{kind: add, settings: {number: 1}}"))
    let folder = study.folder(of: "add")
    let dead = folder.appending(path: ".claim-1")
    try Data("process 1 on elsewhere".utf8).write(to: dead)
    #expect(try StudyClaim(folder, lease: 100) == nil)
    var times = [timeval(tv_sec: 1_000_000, tv_usec: 0), timeval(tv_sec: 1_000_000, tv_usec: 0)]
    #expect(utimes(dead.path, &times) == 0)
    let (losses, lost) = AsyncStream<Void>.makeStream()
    let claim = try #require(try StudyClaim(folder, lease: 1) { lost.finish() })
    #expect(FileManager.default.fileExists(atPath: folder.appending(path: ".claim-2").path))
    #expect(!FileManager.default.fileExists(atPath: dead.path), "a holder that was asleep finds its file gone")
    #expect(try StudyClaim(folder, lease: 1) == nil, "a holder that lives keeps its run")
    try FileManager.default.removeItem(at: folder.appending(path: ".claim-2"))
    for await _ in losses {}
    let next = try #require(try StudyClaim(folder, lease: 1))
    claim.release()
    #expect(try StudyClaim(folder, lease: 1) == nil, "who lost a run does not give back what another holds")
    next.release()
  }

  @Test("is done once by many workers at a time") func race() throws {
    _ = try study.plan(plan("{kind: add, sweep: {number: [1, 2, 3, 4, 5, 6, 7, 8]}}"))
    let done = Mutex<[String]>([])
    DispatchQueue.concurrentPerform(iterations: 4) { _ in
      while let name = (try? work()) ?? nil { done.withLock { $0.append(name) } }
    }
    #expect(done.withLock { $0.sorted() } == (1...8).map { "number-\($0)" })
    #expect(try study.entries().allSatisfy { $0.state == .completed })
  }
}
