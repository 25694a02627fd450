import Foundation
import QuenchReporting
import QuenchSupport
import TestSupport
import Testing

/// Gives `body` a folder that is gone afterwards.
func withTemporaryFolder(_ body: (URL) throws -> Void) throws {
  let folder = try TemporaryFolder()
  try body(folder.url)
}

@Suite("A run folder") struct RunFolderTests {
  let record = RunRecord(
    command: ["quench", "train", "--seed", "7"], settings: ["seed": 7, "optimiser": ["rate": 0.1, "momentum": 0.9]],
    versions: ["quench": "0.1.0"], inputs: ["train-images": "ab12"])

  @Test func holdsItsConfigurationAndShowsAsUnfinishedUntilItIsFinished() throws {
    try withTemporaryFolder { base in
      let url = base.appending(path: "deep/run")
      _ = try RunFolder(at: url, for: record)
      let folder = try RunFolder(existing: url)
      #expect(try folder.record() == record)
      #expect(try folder.record().outcome == nil)
      let first = try Data(contentsOf: folder.config)
      for outcome in RunRecord.Outcome.allCases {
        try folder.finish(outcome)
        #expect(try folder.record().outcome == outcome)
      }
      _ = try RunFolder(at: url, for: record, resume: true)
      #expect(try Data(contentsOf: folder.config) == first, "the same configuration gives the same bytes")
      #expect(FileManager.default.fileExists(atPath: folder.checkpoints.path))
    }
  }

  @Test("is numbered after the highest number there is, or is the latest")
  func location() throws {
    try withTemporaryFolder { base in
      func name(latest: Bool = false) -> String {
        RunFolder.location(named: "train", latest: latest, in: base).lastPathComponent
      }
      #expect(name() == "train" && name(latest: true) == "train")
      for (folder, next) in [("train", "train-2"), ("train-2", "train-3"), ("train-7", "train-8")] {
        _ = try RunFolder(at: base.appending(path: folder), for: record)
        #expect(name() == next && name(latest: true) == folder)
      }
      for other in ["train-x", "train-08b", "trained-9", "prune-20"] {
        _ = try RunFolder(at: base.appending(path: other), for: record)
      }
      #expect(name() == "train-8")
    }
  }

  @Test("of an earlier version, which took the first images, says so and goes on with them")
  func earlierLimits() throws {
    try withTemporaryFolder { base in
      var earlier = record
      earlier.settings["limit"] = 100
      _ = try RunFolder(at: base.appending(path: "run"), for: earlier)
      let folder = try RunFolder(existing: base.appending(path: "run"))
      #expect(try folder.record().settings["limit-order"] == "first")
      earlier.settings["limit-order"] = "balanced"
      let error = #expect(throws: InputError.self) { try RunFolder(at: folder.url, for: earlier, resume: true) }
      #expect(error?.problem.contains("limit-order") == true)
      earlier.settings["limit-order"] = "first"
      _ = try RunFolder(at: folder.url, for: earlier, resume: true)
    }
  }

  @Test func refusesAFolderThatIsNotEmptyAndSaysWhatToDo() throws {
    try withTemporaryFolder { base in
      try Data().write(to: base.appending(path: "notes.txt"))
      let stray = #expect(throws: InputError.self) { try RunFolder(at: base, for: record) }
      #expect(stray?.remedy == "choose another folder with `out`")
      let run = base.appending(path: "run")
      _ = try RunFolder(at: run, for: record)
      let taken = #expect(throws: InputError.self) { try RunFolder(at: run, for: record) }
      #expect(taken?.remedy?.contains("`resume`") == true)
    }
  }

  @Test func refusesAPlaceThatCannotHoldAFolder() throws {
    try withTemporaryFolder { base in
      let file = base.appending(path: "file")
      try Data("x".utf8).write(to: file)
      #expect(throws: InputError.self) { try RunFolder(at: file, for: record) }
      let below = #expect(throws: InputError.self) { try RunFolder(at: file.appending(path: "run"), for: record) }
      #expect(below?.description.contains("`out`") == true)
    }
  }

  @Test func resumesOnlyTheSameConfigurationAndListsWhatDiffers() throws {
    try withTemporaryFolder { base in
      #expect(throws: InputError.self) { try RunFolder(at: base, for: record, resume: true) }
      _ = try RunFolder(at: base, for: record)
      var other = record
      other.command.append("--resume")
      other.versions["quench"] = "0.2.0"
      _ = try RunFolder(at: base, for: other, resume: true)
      other.settings["optimiser"] = ["rate": 0.2, "momentum": 0.9]
      other.inputs["train-images"] = "cd34"
      let error = #expect(throws: InputError.self) { try RunFolder(at: base, for: other, resume: true) }
      #expect(error?.problem.contains("optimiser.rate, input train-images differ") == true)
    }
  }

  @Test func hasOneWriterAndTheSecondIsToldWho() throws {
    try withTemporaryFolder { base in
      let folder = try RunFolder(at: base, for: record)
      let error = #expect(throws: InputError.self) { try RunFolder(at: base, for: record, resume: true) }
      #expect(error?.problem == "another process is writing here")
      #expect(error?.found?.contains("process \(getpid())") == true)
      #expect(try RunFolder(existing: base).record() == record, "reading needs no lock")
      withExtendedLifetime(folder) {}
    }
  }

  @Test func beginsWhereAKilledStartLeftOnlyItsLeftovers() throws {
    try withTemporaryFolder { base in
      let leftover = ".config.yaml.00000000-0000-4000-8000-0000000000AA.tmp"
      for name in [".lock", leftover] { try Data("x".utf8).write(to: base.appending(path: name)) }
      try FileManager.default.createDirectory(
        at: base.appending(path: "checkpoints"), withIntermediateDirectories: true)
      #expect(try RunFolder.record(at: base) == nil)
      _ = try RunFolder(at: base, for: record)
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: base.path).sorted() == ["checkpoints", "config.yaml"])
      #expect(try RunFolder.record(at: base) == record)
      #expect(try RunFolder.record(at: base.appending(path: "absent")) == nil)
    }
  }

  @Test func isNotTakenForUnbegunWhenItHoldsSomethingWithoutAConfiguration() throws {
    try withTemporaryFolder { base in
      _ = try RunFolder(at: base, for: record)
      try Data("mine".utf8).write(to: base.appending(path: "notes.txt"))
      try Data("settings: [".utf8).write(to: base.appending(path: "config.yaml"))
      let damaged = #expect(throws: InputError.self) { try RunFolder.record(at: base) }
      #expect(damaged?.problem.contains("cannot be read") == true)
      try FileManager.default.removeItem(at: base.appending(path: "config.yaml"))
      let missing = #expect(throws: InputError.self) { try RunFolder.record(at: base) }
      #expect(missing?.problem.contains("no config.yaml") == true)
      #expect(FileManager.default.fileExists(atPath: base.appending(path: "notes.txt").path))
    }
  }

  @Test func summaryIsFlatOrderedAndComesBack() throws {
    try withTemporaryFolder { base in
      let folder = try RunFolder(at: base, for: record)
      #expect(throws: InputError.self) { try folder.readSummary() }
      try folder.writeSummary(["test_accuracy": 0.91, "n": 10_000, "bip": ["kept": 5], "loss": .double(.nan)])
      let text = try String(contentsOf: folder.summary, encoding: .utf8)
      #expect(
        text == "{\n  \"test_accuracy\": 0.91,\n  \"n\": 10000,\n  \"bip.kept\": 5,\n  \"loss\": null\n}\n")
      #expect(try folder.readSummary()["n"] == 10_000)
    }
  }

  @Test func aFolderWithoutARunIsAnError() throws {
    try withTemporaryFolder { base in
      #expect(throws: InputError.self) { try RunFolder(existing: base) }
      try Data("just text".utf8).write(to: base.appending(path: "config.yaml"))
      #expect(throws: InputError.self) { try RunFolder(existing: base).record() }
    }
  }
}

@Suite("A metric stream") struct MetricStreamTests {
  @Test func isReadableAfterEveryRow() throws {
    try withTemporaryFolder { base in
      let url = base.appending(path: "metrics.jsonl")
      let stream = try MetricStream(at: url)
      for step in 1...3 {
        try stream.append(["step": .int(step), "loss": .double(1 / Double(step))])
        #expect(try MetricStream.read(url).count == step)
      }
      #expect(try MetricStream.read(url)[1] == ["step": 2, "loss": 0.5])
    }
  }

  @Test func aResumedRunLeavesTheSameBytesAsAnUninterruptedOne() throws {
    try withTemporaryFolder { base in
      func row(_ step: Int) -> Record { ["step": .int(step), "loss": .double(1 / Double(step))] }
      let (whole, resumed) = (base.appending(path: "whole"), base.appending(path: "resumed"))
      let stream = try MetricStream(at: whole)
      for step in 1...9 { try stream.append(row(step)) }
      let killed = try MetricStream(at: resumed)
      for step in 1...6 { try killed.append(row(step)) }
      let handle = try FileHandle(forWritingTo: resumed)
      try handle.seekToEnd()
      try handle.write(contentsOf: Data("{\"step\":7,\"lo".utf8))
      try handle.close()
      #expect(try MetricStream.read(resumed).count == 6, "a torn line is no row")
      let next = try MetricStream(at: resumed, after: 4)
      for step in 5...9 { try next.append(row(step)) }
      #expect(try Data(contentsOf: resumed) == Data(contentsOf: whole))
    }
  }

  @Test func startsAnewWithoutAStep() throws {
    try withTemporaryFolder { base in
      let url = base.appending(path: "metrics.jsonl")
      try MetricStream(at: url).append(["step": 1])
      _ = try MetricStream(at: url)
      #expect(try MetricStream.read(url).isEmpty)
      _ = try MetricStream(at: base.appending(path: "new.jsonl"), after: 5)
    }
  }

  @Test func passesOverADamagedLineAndNamesIt() throws {
    try withTemporaryFolder { base in
      let url = base.appending(path: "metrics.jsonl")
      let zeros = String(repeating: "\0", count: 370)
      let lines = ["{\"step\":1}\n", "\(zeros){\"step\":2}\n", "{\"step\":3}\n", "[]\n", "{\"st", "{\"step\":5}\n"]
      try Data(lines.joined().utf8).write(to: url)
      var warnings: [String] = []
      #expect(try MetricStream.read(url) { warnings.append($0) } == [["step": 1], ["step": 3]])
      #expect(warnings == ["\(url.path): 3 lines are damaged and passed over, the first of them line 2"])

      warnings = []
      try MetricStream(at: url, after: 3) { warnings.append($0) }.append(["step": 4])
      #expect(warnings == ["\(url.path): line 2 is damaged and passed over"])
      #expect(try Data(contentsOf: url) == Data((lines[..<3].joined() + "{\"step\":4}\n").utf8))
      #expect(throws: InputError.self) { try MetricStream(at: url.appending(path: "below")) }
    }
  }

  @Test func aSecondWriterAppendsAndNeverLeavesZeros() throws {
    try withTemporaryFolder { base in
      let url = base.appending(path: "metrics.jsonl")
      let first = try MetricStream(at: url)
      for step in 1...3 { try first.append(["step": .int(step)]) }
      let second = try MetricStream(at: url, after: 1)
      try first.append(["step": 4])
      try second.append(["step": 2])
      #expect(try MetricStream.read(url).map { $0["step"] } == [1, 4, 2])
    }
  }
}
