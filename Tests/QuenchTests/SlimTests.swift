import Foundation
import QuenchPruning
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import quench

@Suite("quench slim") struct SlimTests {
  /// A small network with half of its channels pruned by their inputs, and its mask, as files.
  private func files(_ folder: TemporaryFolder) throws -> (weights: String, mask: String) {
    let file = try ModelFixture.smallCNN()
    let layout = WeightLayout(file.network)
    let mask = try GroupMasks(file.network, side: .inputs)
      .mask(scores: layout.weights(of: file.network), keeping: try KeepRatio(0.5))
    mask.apply(to: file.network)
    try file.write(to: folder / "pruned.safetensors")
    try mask.write(to: folder / "mask.safetensors")
    return ((folder / "pruned.safetensors").path, (folder / "mask.safetensors").path)
  }

  private static let quick = ["--seconds", "0", "--threads", "1", "--precision", "float32"]

  @Test("writes a smaller model that loads, and every promised figure") func slims() async throws {
    let folder = try TemporaryFolder()
    let (weights, mask) = try files(folder)
    let run = RunPlace(folder / "run")
    let outcome = try await Tool.run(
      ["slim", "--weights", weights, "--mask", mask, "--out", run.path, "--json"] + Self.quick)
    #expect(outcome.code == 0, "\(outcome.errors)")
    let summary = try run.folder.readSummary()
    #expect(try outcome.json() == summary)
    #expect(summary["requested_channel_ratio"]?.number == summary["achieved_channel_ratio"]?.number)
    #expect(try #require(summary["relative_difference"]?.number) < 1e-5)
    let slim = try PerformedRun<Slim>(run.folder)
    let slimming = try #require(slim.outcome)
    let width = try #require(slimming.widths.first { $0.layer == "conv2" })
    #expect(width.before == 32 && width.after == 16)
    #expect(slimming.latency.map(\.batchSize) == [1, 64])
    #expect(slimming.latency.allSatisfy { $0.before > 0 && $0.after > 0 && $0.speedUp.low <= $0.speedUp.high })
    #expect(summary["max_difference"]?.number != nil)
    let slimmed = try ModelFile(contentsOf: run.file("model.safetensors"))
    #expect(summary["parameters"]?.integer == slimmed.network.architecture.parameterCount)
    #expect(summary["multiply_adds"]?.integer == slimmed.network.architecture.multiplyAdds)
    let dense = try ModelFile(contentsOf: URL(filePath: weights)).network
    #expect(summary["parameters_before"]?.integer == dense.architecture.parameterCount)
    #expect(OutputDifference(of: slimmed.network, from: dense).relative < 1e-5)

    try FileManager.default.removeItem(at: run.file("report.html"))
    #expect(try await Tool.run(["report", run.path]).code == 0)
    let report = try String(contentsOf: run.file("report.html"), encoding: .utf8)
    #expect(report.contains("conv2") && report.contains("Multiply-adds"))
  }

  @Test("takes the weights' zeros for the mask, recalibrates, and tests before and after") func recalibrates()
    async throws
  {
    let folder = try TemporaryFolder()
    let (weights, _) = try files(folder)
    let run = RunPlace(folder / "run")
    let outcome = try await Tool.run(
      ["slim", "--weights", weights, "--recalibrate", "3", "--batch-size", "32", "--seconds", "0"]
        + Tool.tiny + ["--out", run.path])
    #expect(outcome.code == 0, "\(outcome.errors)")
    for word in ["masked", "slimmed", "test accuracy", "asked for", "recalibration", "model.safetensors"] {
      #expect(outcome.output.contains(word), "\(word)")
    }
    let summary = try run.folder.readSummary()
    #expect(summary["masked_accuracy"]?.number == summary["accuracy_before_recalibration"]?.number)
    #expect(summary["n"]?.integer == 40)
    #expect(summary["recalibration_images"]?.integer == 96)
    let evaluation = try Evaluation(contentsOf: run.file("evaluation.json"))
    #expect(evaluation.accuracy.fraction == summary["accuracy"]?.number)
  }

  @Test(
    "says what stands in the way and exits with 1",
    arguments: [
      (["--keep-layer", "cnv1"], "did you mean"), (["--round-to", "512"], "--round-to"),
      (["--mask", "/nowhere"], "/nowhere")
    ])
  func refusals(arguments: [String], word: String) async throws {
    let folder = try TemporaryFolder()
    let (weights, _) = try files(folder)
    let outcome = try await Tool.run(
      ["slim", "--weights", weights, "--out", (folder / "run").path] + arguments + Self.quick)
    #expect(outcome.code == 1)
    #expect(outcome.errors.contains(word), "\(outcome.errors)")
  }

  @Test(
    "wrong usage exits with 64",
    arguments: [
      ["slim"], ["slim", "--weights", "w", "--policy", "all"], ["slim", "--weights", "w", "--round-to", "0"],
      ["slim", "--weights", "w", "--input", "3x32x32"], ["slim", "--weights", "w", "--recalibrate", "-1"]
    ])
  func usage(arguments: [String]) async throws {
    let outcome = try await Tool.run(arguments)
    #expect(outcome.code == 64)
    #expect(outcome.output == "")
  }

  @Test("help has examples and says what the policies do") func help() async throws {
    let outcome = try await Tool.run(["slim", "--help"])
    #expect(outcome.code == 0)
    #expect(outcome.output.contains("Examples:\n  quench slim --weights"))
    for policy in Slimming.Policy.allCases { #expect(outcome.output.contains(policy.rawValue)) }
  }
}
