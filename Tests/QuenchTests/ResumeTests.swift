import Foundation
import QuenchReporting
import QuenchSupport
import TestSupport
import Testing

@testable import quench

@Suite("A run that is resumed") struct ResumeTests {
  private static let train = ["train", "--model", "small-cnn", "--epochs", "6", "--batch-size", "16"] + Tool.tiny

  @Test(
    "leaves a part alone whose configuration is missing or damaged, and says what to do", arguments: [true, false])
  func keepsWhatItDoesNotUnderstand(isMissing: Bool) async throws {
    let folder = try TemporaryFolder()
    let run = RunPlace(folder / "run")
    let arguments =
      ["prune", "omp", "--model", "small-cnn", "--dense-epochs", "1", "--keep", "0.5", "--epochs", "1"] + Tool.tiny
      + ["--out", run.path]
    #expect(try await Tool.run(arguments).code == 0)
    let (config, notes) = (run.file("dense/config.yaml"), run.file("dense/notes.txt"))
    let weights = try Data(contentsOf: run.file("dense/model.safetensors"))
    try Data("mine".utf8).write(to: notes)
    if isMissing {
      try FileManager.default.removeItem(at: config)
    } else {
      try Data("settings: [".utf8).write(to: config)
    }
    // As after a kill: the part is to be gone on with.
    var record = try run.folder.record()
    record.outcome = .failed
    let begun: Value = [
      "kind": "prune-omp", "settings": .object(record.settings), "inputs": .object(record.inputs)
    ]
    try Data(try begun.yaml().utf8).write(to: run.file("config.yaml"))
    let outcome = try await Tool.run(arguments + ["--resume"])
    #expect(outcome.code == 1)
    #expect(outcome.errors.contains("config.yaml") && outcome.errors.contains("move the folder elsewhere"))
    #expect(try Data(contentsOf: notes) == Data("mine".utf8))
    #expect(try Data(contentsOf: run.file("dense/model.safetensors")) == weights)
  }

  @Test("is not written by two processes, and the second is told who writes") func secondWriter() async throws {
    let folder = try TemporaryFolder()
    let run = RunPlace(folder / "run")
    #expect(try await Tool.run(Self.train + ["--out", run.path]).code == 0)
    try run.folder.finish(.interrupted)
    let before = try Data(contentsOf: run.file("config.yaml"))
    let lock = try FolderLock(folder: run.url)
    let second = try await Tool.run(Self.train + ["--out", run.path, "--resume"])
    #expect(second.code == 1)
    #expect(second.errors.contains("another process is writing here (found process \(getpid()) on "))
    #expect(try Data(contentsOf: run.file("config.yaml")) == before)
    withExtendedLifetime(lock) {}
  }

  @Test("a study's part ends with the study, even if that is killed") func orphan() async throws {
    let folder = try TemporaryFolder()
    let out = RunPlace(folder / "study")
    // A part that went on alone would work for an hour.
    let arguments =
      ["prune", "study", "--methods", "omp", "--keep", "0.5", "--model", "small-cnn", "--dense-epochs", "2000"]
      + Tool.tiny + ["--out", out.path]
    let killed = try await Tool.run(
      arguments, sending: SIGKILL, once: out.file("dense_1/metrics.jsonl"), hasLines: 1)
    #expect(killed.wasKilled)
    let deadline = Date(timeIntervalSinceNow: 60)
    var lock = try? FolderLock(folder: out.file("dense_1"))
    while lock == nil, Date() < deadline {
      try await Task.sleep(for: .milliseconds(20))
      lock = try? FolderLock(folder: out.file("dense_1"))
    }
    #expect(lock != nil, "the part went on without its study")
  }

  @Test("says so where it computes otherwise than it began, and records it") func otherThreads() async throws {
    let folder = try TemporaryFolder()
    let run = RunPlace(folder / "run")
    let arguments = Self.train.map { $0 == "float32" ? "auto" : $0 } + ["--out", run.path]
    let first = try await Tool.run(arguments, sending: SIGINT, once: run.file("metrics.jsonl"), hasLines: 1)
    #expect(first.code == 130)
    let versions = try run.folder.record().versions
    #expect(versions["threads"] == 1)
    #expect(["float32", "bfloat16"].contains(versions["precision"]?.string))

    let more = arguments.filter { $0 != "--threads" && $0 != "1" } + ["--threads", "2", "--resume"]
    let second = try await Tool.run(more)
    #expect(second.code == 0, "\(second.errors)")
    let note = "the run began with threads 1 and goes on with 2: it will not end in the same bytes"
    #expect(second.errors.contains("note: \(note)"))
    #expect(try run.folder.record().versions["changes"] == [.string(note)])
    #expect(try run.folder.record().versions["threads"] == 2)
  }

  @Test("goes on in what auto became when it began, whatever is faster now", arguments: ["float32", "bfloat16"])
  func settledPrecision(_ type: String) async throws {
    let folder = try TemporaryFolder()
    let run = RunPlace(folder / "run")
    let arguments = Self.train.map { $0 == "float32" ? "auto" : $0 } + ["--out", run.path]
    let first = try await Tool.run(arguments, sending: SIGINT, once: run.file("metrics.jsonl"), hasLines: 1)
    #expect(first.code == 130)
    let file = run.file("config.yaml")
    let now = try #require(try run.folder.record().versions["precision"]?.string)
    let edited = try String(contentsOf: file, encoding: .utf8)
      .replacing(try Regex("(?m)^( *)precision: \(now)$")) { "\($0.output[1].substring ?? "")precision: \(type)" }
    try Data(edited.utf8).write(to: file)
    #expect(try run.folder.record().versions["precision"] == .string(type))

    let second = try await Tool.run(arguments + ["--resume"])
    #expect(second.code == 0 && !second.errors.contains("precision"), "\(second.errors)")
    #expect(try run.folder.record().versions["precision"] == .string(type))
    #expect(try run.folder.record().versions["changes"] == nil)
  }

  @Test("goes on past damaged lines of its metrics, and report reads the rest; both say so")
  func damagedMetrics() async throws {
    let folder = try TemporaryFolder()
    let run = RunPlace(folder / "run")
    let arguments = Self.train + ["--out", run.path, "--checkpoint-interval", "0"]
    let first = try await Tool.run(arguments, sending: SIGINT, once: run.file("metrics.jsonl"), hasLines: 2)
    #expect(first.code == 130)
    var lines = try String(contentsOf: run.file("metrics.jsonl"), encoding: .utf8)
    lines = String(repeating: "\0", count: 370) + lines
    try Data(lines.utf8).write(to: run.file("metrics.jsonl"))

    let report = try await Tool.run(["report", run.path])
    #expect(report.code == 0 && report.errors.contains("line 1 is damaged and passed over"), "\(report.errors)")
    let resumed = try await Tool.run(arguments + ["--resume"])
    #expect(resumed.code == 0 && resumed.errors.contains("line 1 is damaged and passed over"), "\(resumed.errors)")
    #expect(try MetricStream.read(run.file("metrics.jsonl")).last?["step"] == 24)
  }
}

@Suite("A file that is none") struct FileKindTests {
  @Test("is called what it is, for every file that a flag names") func words() async throws {
    let folder = try TemporaryFolder()
    let loop = folder / "loop"
    try FileManager.default.createSymbolicLink(atPath: loop.path, withDestinationPath: loop.path)
    for (path, words) in [(folder.url.path, "this is a folder"), (loop.path, "Too many levels of symbolic links")] {
      for command in [
        ["evaluate", "--weights", path] + Tool.tiny, ["models", "describe", "--weights", path],
        ["train", "--config", path], ["cryo", "inspect", "--survey", path],
        ["mask", "show", "mask.safetensors", "--weights", path]
      ] {
        let outcome = try await Tool.run(command)
        #expect(outcome.code != 0 && outcome.errors.contains(words), "\(command) \(outcome.errors)")
        #expect(!outcome.errors.contains("NSCocoaErrorDomain"))
      }
    }
  }

  @Test("a pipe is read where reading once does") func pipes() async throws {
    let folder = try TemporaryFolder()
    let outcome = try await Tool.run(
      ["train", "--config", "/dev/stdin", "--out", (folder / "run").path, "--quiet"] + Tool.tiny,
      input: "model: small-cnn\nepochs: 1\n")
    #expect(outcome.code == 0, "\(outcome.errors)")
  }
}
