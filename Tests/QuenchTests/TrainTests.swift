import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import quench

@Suite("quench train") struct TrainTests {
  private static let arguments =
    ["train", "--model", "small-cnn", "--epochs", "4", "--batch-size", "16", "--seed", "7"] + Tool.tiny

  @Test("writes every promised file and key") func files() async throws {
    let folder = try TemporaryFolder()
    let run = RunPlace(folder / "run")
    let outcome = try await Tool.run(
      Self.arguments + ["--out", run.path, "--hold-out", "16", "--tensorboard", "--json", "--quiet"])
    #expect(outcome.code == 0)
    #expect(outcome.errors == "")

    let summary = try run.folder.readSummary()
    #expect(try outcome.json() == summary)
    for key in [
      "accuracy", "n", "accuracy_low", "accuracy_high", "seconds", "images_per_second",
      "peak_memory_mb", "seed", "model", "data", "epochs", "parameters"
    ] {
      #expect(summary[key] != nil, "\(key)")
    }
    #expect(summary["n"]?.integer == 40)
    #expect(summary["seed"]?.integer == 7)
    #expect(summary["model"]?.string == "small-cnn")
    #expect(summary["training_images"]?.integer == 48)
    let accuracy = try #require(summary["accuracy"]?.number)
    #expect(try #require(summary["accuracy_low"]?.number) <= accuracy)
    #expect(try #require(summary["peak_memory_mb"]?.number) > 20)

    let record = try run.folder.record()
    #expect(record.outcome == .completed)
    #expect(record.settings["batch-size"]?.integer == 16)
    #expect(record.inputs["training images"]?.string?.count == 64)
    #expect(try MetricStream.read(run.file("metrics.jsonl")).last?["validation_accuracy"]?.number != nil)
    #expect(try !FileManager.default.contentsOfDirectory(atPath: run.file("tensorboard").path).isEmpty)
    let report = try String(contentsOf: run.file("report.html"), encoding: .utf8)
    #expect(report.contains("small-cnn on synthetic"))
    #expect(report.contains("grating 3"))
    #expect(!report.contains("has not finished"))
  }

  @Test("without --out a run takes the next number, and --resume goes on with the latest") func numbers()
    async throws
  {
    let folder = try TemporaryFolder()
    let arguments = Self.arguments.map { $0 == "4" ? "1" : $0 }
    for name in ["train", "train-2"] {
      let outcome = try await Tool.run(arguments, in: folder.url)
      #expect(outcome.code == 0, "\(outcome.errors)")
      #expect(outcome.output.contains("runs/\(name)/report.html"))
    }
    try FileManager.default.removeItem(at: folder / "runs/train-2/report.html")
    let resumed = try await Tool.run(arguments + ["--resume"], in: folder.url)
    #expect(resumed.errors.contains("nothing is left to do in runs/train-2"), "\(resumed.errors)")
    #expect(FileManager.default.fileExists(atPath: (folder / "runs/train-2/report.html").path))
  }

  @Test("killed in the middle and resumed, ends with the same bytes") func kill() async throws {
    let folder = try TemporaryFolder()
    let whole = RunPlace(folder / "whole")
    #expect(try await Tool.run(Self.arguments + ["--out", whole.path]).code == 0)

    let broken = RunPlace(folder / "broken")
    let arguments = Self.arguments + ["--out", broken.path, "--checkpoint-interval", "0"]
    let killed = try await Tool.run(arguments, sending: SIGKILL, once: broken.file("metrics.jsonl"), hasLines: 3)
    #expect(killed.wasKilled)
    #expect(!FileManager.default.fileExists(atPath: broken.file("summary.json").path))
    #expect(try broken.folder.record().outcome == nil)

    #expect(try await Tool.run(arguments + ["--resume"]).code == 0)
    #expect(try sameBytes(whole.file("model.safetensors"), broken.file("model.safetensors")))
    let rows = try MetricStream.read(broken.file("metrics.jsonl"))
    #expect(rows.map { $0["step"] } == (1...16).map { .int($0) })
    #expect(try rows.map { $0["loss"] } == MetricStream.read(whole.file("metrics.jsonl")).map { $0["loss"] })
  }

  @Test("goes on from another network's weights, a slimmed one's too") func initial() async throws {
    let folder = try TemporaryFolder()
    let (first, slim, second) = (folder / "first", folder / "slim", folder / "second")
    #expect(try await Tool.run(Self.arguments + ["--out", first.path]).code == 0)
    let weights = first.appending(path: "model.safetensors")
    let pruned = folder / "pruned"
    let pruning =
      ["prune", "omp", "--weights", weights.path, "--granularity", "group", "--keep", "0.5", "--epochs", "1"]
      + Tool.tiny
    #expect(try await Tool.run(pruning + ["--out", pruned.path]).code == 0)
    let cut = try await Tool.run(
      ["slim", "--weights", pruned.appending(path: "model.safetensors").path, "--policy", "intersection"]
        + ["--mask", pruned.appending(path: "mask.safetensors").path, "--out", slim.path])
    #expect(cut.code == 0, "\(cut.errors)")
    let slimmed = slim.appending(path: "model.safetensors")

    let arguments =
      ["train", "--initial", slimmed.path, "--epochs", "1", "--learning-rate", "1e-9", "--seed", "3"] + Tool.tiny
    let outcome = try await Tool.run(arguments + ["--out", second.path, "--json"])
    #expect(outcome.code == 0, "\(outcome.errors)")
    let before = try ModelFile(contentsOf: slimmed).network
    let after = try ModelFile(contentsOf: second.appending(path: "model.safetensors")).network
    #expect(after.architecture == before.architecture)
    for (a, b) in zip(before.parameters, after.parameters) {
      #expect(a.tensor.isClose(to: b.tensor, relative: 1e-5, absolute: 1e-6), "\(a.name)")
    }
    let trained = try ModelFile(contentsOf: weights).network.architecture.parameterCount
    #expect(try #require(outcome.json()["parameters"]?.integer) < trained)

    let page = try String(contentsOf: second.appending(path: "report.html"), encoding: .utf8)
    #expect(page.contains("starting from the weights in") && page.contains(slimmed.path))

    let missing = try await Tool.run(
      ["train", "--initial", (folder / "none").path, "--out", (folder / "third").path] + Tool.tiny)
    #expect(missing.code == 1 && missing.errors.contains("none"))
    #expect(!FileManager.default.fileExists(atPath: (folder / "third").path))
  }

  @Test("on Ctrl-C saves, says how to go on and exits with 130") func interrupt() async throws {
    let folder = try TemporaryFolder()
    let whole = RunPlace(folder / "whole")
    #expect(try await Tool.run(Self.arguments + ["--out", whole.path]).code == 0)

    let broken = RunPlace(folder / "broken")
    let arguments = Self.arguments + ["--out", broken.path]
    let outcome = try await Tool.run(arguments, sending: SIGINT, once: broken.file("metrics.jsonl"), hasLines: 2)
    #expect(outcome.code == 130)
    #expect(outcome.errors.hasSuffix("interrupted; go on with the same command and --resume\n"))
    #expect(try broken.folder.record().outcome == .interrupted)

    #expect(try await Tool.run(["report", broken.path]).code == 0)
    #expect(try String(contentsOf: broken.file("report.html"), encoding: .utf8).contains("interrupted"))
    #expect(try await Tool.run(arguments + ["--resume"]).code == 0)
    #expect(try sameBytes(whole.file("model.safetensors"), broken.file("model.safetensors")))
  }

  @Test("does nothing to a completed run but say so") func completed() async throws {
    let folder = try TemporaryFolder()
    let run = RunPlace(folder / "run")
    let arguments = Self.arguments + ["--out", run.path, "--json"]
    let first = try await Tool.run(arguments)
    let again = try await Tool.run(arguments + ["--resume"])
    #expect(again.code == 0)
    #expect(again.output == first.output)
    #expect(again.errors.contains("is complete"))
    #expect(try run.folder.record().outcome == .completed)
  }

  @Test("does not resume a run with other settings") func otherSettings() async throws {
    let folder = try TemporaryFolder()
    let path = (folder / "run").path
    #expect(try await Tool.run(Self.arguments + ["--out", path]).code == 0)
    let outcome = try await Tool.run(Self.arguments + ["--out", path, "--resume", "--learning-rate", "0.2"])
    #expect(outcome.code == 1)
    #expect(outcome.errors.contains("learning-rate"))
  }

  @Test("takes a run's settings as a configuration file and gives the same model") func configuration() async throws
  {
    let folder = try TemporaryFolder()
    let run = RunPlace(folder / "run")
    #expect(try await Tool.run(Self.arguments + ["--out", run.path, "--no-augmentation"]).code == 0)
    let file = folder / "again.yaml"
    try Data(Value.object(try run.folder.record().settings).yaml().utf8).write(to: file)
    let again = RunPlace(folder / "again")
    let outcome = try await Tool.run(
      ["train", "--config", file.path, "--out", again.path, "--threads", "1"])
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(try sameBytes(run.file("model.safetensors"), again.file("model.safetensors")))
    #expect(try again.folder.record().settings == run.folder.record().settings)
  }
}
