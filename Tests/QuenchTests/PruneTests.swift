import Foundation
import QuenchPruning
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import quench

@Suite("quench prune") struct PruneTests {
  private static let dense = ["--model", "small-cnn", "--dense-epochs", "12", "--keep", "0.1"] + Tool.tiny
  private static let short = ["--epochs", "3", "--batch-size", "16", "--seed", "3", "--hold-out", "16"]

  @Test("writes every promised key and a model with exactly so many weights", arguments: ["omp", "bip"])
  func files(method: String) async throws {
    let folder = try TemporaryFolder()
    let weights = (folder / "dense.safetensors").path
    try ModelFixture.smallCNN().write(to: URL(filePath: weights))
    let run = RunPlace(folder / "run")
    let outcome = try await Tool.run(
      ["prune", method, "--weights", weights, "--sparsity", "0.9", "--layer-floor", "0.01"]
        + ["--epochs", "2", "--batch-size", "16"]
        + Tool.tiny + ["--out", run.path, "--json"])
    #expect(outcome.code == 0, "\(outcome.errors)")

    let summary = try run.folder.readSummary()
    #expect(try outcome.json() == summary)
    for key in [
      "dense_accuracy", "accuracy", "n", "dense_accuracy_low", "accuracy_low", "accuracy_high", "seconds", "seed",
      "mask_iou_with_magnitude", "kept_multiply_adds", "effective_sparsity"
    ] {
      #expect(summary[key]?.number != nil, "\(key)")
    }
    #expect(summary["method"]?.string == method)
    #expect(summary["keep_ratio"]?.number == 0.1)
    #expect(summary["sparsity"]?.number == 0.9)
    #expect(try #require(summary["mask_iou_with_magnitude"]?.number) > 0.2)
    if method == "omp" { #expect(summary["mask_iou_with_magnitude"]?.number == 1) }

    let network = try ModelFile(contentsOf: run.file("model.safetensors")).network
    let layout = WeightLayout(network)
    let kept = try KeepRatio(0.1).kept(of: layout.count)
    #expect(summary["kept"]?.integer == kept)
    #expect(summary["prunable"]?.integer == layout.count)
    #expect(layout.weights(of: network).nonzeroCount() <= kept)
    let mask = try Mask(contentsOf: run.file("mask.safetensors"), for: network)
    #expect(mask.keptCount == kept)
    #expect((layout.weights(of: network) * (mask.values * -1 + 1)).nonzeroCount() == 0)
    #expect(try String(contentsOf: run.file("report.html"), encoding: .utf8).contains(Prune<BiP>.speedStatement))

    let packed = try ModelFile(contentsOf: run.file("packed.safetensors")).network
    #expect(layout.weights(of: packed).isEqual(to: layout.weights(of: network)))
    let bytes = try #require(summary["bytes"]?.integer)
    #expect(try Data(contentsOf: run.file("model.safetensors")).count == bytes)
    #expect(try #require(summary["packed_bytes"]?.integer) < bytes / 3)
    #expect(summary["kept_parameters"]?.integer == network.architecture.parameterCount - layout.count + kept)
    #expect(summary["kept_multiply_adds"]?.integer == network.architecture.multiplyAdds(under: mask))
  }

  @Test("prints dense and pruned side by side, and that this makes nothing faster") func table() async throws {
    let folder = try TemporaryFolder()
    let outcome = try await Tool.run(
      ["prune", "omp"] + Self.dense + ["--epochs", "1", "--out", (folder / "run").path, "--quiet"])
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(outcome.errors == "")
    #expect(outcome.output.contains("dense"))
    #expect(outcome.output.contains("0.9"))
    #expect(outcome.output.contains("computes no faster"))
    #expect(FileManager.default.fileExists(atPath: (folder / "run/dense/report.html").path))
  }

  @Test(
    "killed in either phase and resumed, ends with the same bytes",
    arguments: [("bip", "dense/metrics.jsonl", 2), ("bip", "metrics.jsonl", 3), ("omp", "metrics.jsonl", 3)])
  func kill(method: String, file: String, rows: Int) async throws {
    let prune = ["prune", method] + Self.dense + Self.short
    let folder = try TemporaryFolder()
    let whole = RunPlace(folder / "whole")
    #expect(try await Tool.run(prune + ["--out", whole.path]).code == 0)

    let broken = RunPlace(folder / "broken")
    let arguments = prune + ["--out", broken.path, "--checkpoint-interval", "0"]
    let killed = try await Tool.run(arguments, sending: SIGKILL, once: broken.file(file), hasLines: rows)
    #expect(killed.wasKilled)
    #expect(!FileManager.default.fileExists(atPath: broken.file("summary.json").path))

    let resumed = try await Tool.run(arguments + ["--resume"])
    #expect(resumed.code == 0, "\(resumed.errors)")
    for name in ["model.safetensors", "mask.safetensors", "dense/model.safetensors"] {
      #expect(try sameBytes(whole.file(name), broken.file(name)), "\(name)")
    }
  }

  @Test("takes the library's values where no flag says otherwise") func defaults() throws {
    func method(_ flags: String...) throws -> BiP {
      let command = try PruneBiPCommand.parse(flags)
      return try Prune<BiP>(settings: command.settings, name: "flags").checked().method
    }
    #expect(try method("--keep", "0.1") == BiP(keepRatio: KeepRatio(0.1)))
    #expect(try method("--keep", "0.1", "--granularity", "group").upperLearningRate == 0.1)
    let free = try method("--keep", "0.1", "--mask-step-limit", "0", "--weight-decay", "0")
    #expect(free.scoreStepLimit == 0 && free.weightDecay == 0)
    #expect(try method("--sparsity", "0.9").target.keepRatio == KeepRatio(0.1))
    let train = try TrainCommand.parse([])
    #expect(try Train(settings: train.settings, name: "flags").settings == Train().settings)
  }
}

/// Files of weights as users have them.
enum ModelFixture {
  /// An untrained network for the synthetic images.
  static func smallCNN(classes: Int = 10, side: Int = 32) throws -> ModelFile {
    ModelFile(Network(ModelName.smallCNN.architecture(input: [3, side, side], classes: classes), seed: 1))
  }

  /// A network of finite weights whose logits are not finite.
  static func overflowing() throws -> ModelFile {
    let file = try smallCNN()
    withoutGradient { file.network.state.last?.tensor.fill(with: 3e38) }
    withoutGradient { file.network.parameters.last { $0.name.hasSuffix("weight") }?.tensor.fill(with: 3e38) }
    return file
  }
}
