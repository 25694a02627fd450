import Foundation
import Smoothing
import Support
import Testing
import Torch
import Vision

@Suite("quench defend") struct DefendTests {
  /// A folder with a black box and a pretrained autoencoder for Fashion-MNIST-like images.
  private func folder() async throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    try ModelFile(Network(.smallCNN(input: [3, 32, 32], classes: 10), seed: 1)).write(
      to: folder / "box.safetensors")
    try expectSuccess(
      try await Tool.run(
        ["defend", "pretrain", "autoencoder", "--architecture", "cifar-48", "--epochs", "1", "--batch-size", "16"]
          + ["--out", (folder / "autoencoder").path] + Tool.tiny))
    return folder
  }

  private func train(_ folder: TemporaryFolder, _ out: String, _ more: [String]) -> [String] {
    [
      "defend", "train", "--weights", (folder / "box.safetensors").path, "--denoiser-depth", "3",
      "--denoiser-width",
      "4", "--epochs", "2", "--batch-size", "16", "--checkpoint-interval", "0", "--out", (folder / out).path
    ] + Tool.tiny + more
  }

  private func autoencoder(_ folder: TemporaryFolder) -> [String] {
    ["--autoencoder", (folder / "autoencoder").path]
  }

  @Test("It pretrains, trains from queries, and certifies; the ledger holds the queries that were asked")
  func wholeWay() async throws {
    let folder = try await folder()
    let flags = autoencoder(folder) + ["--estimator", "rge", "--directions", "2", "--json"]
    let summary = try await Tool.run(train(folder, "defense", flags)).json()
    // 64 images twice: the clean answer, the point, and two sides of two directions.
    #expect(summary["queries"]?.integer == 128 * 6 && summary["ledger_queries"]?.integer == 128 * 6)
    let evaluation = try await Tool.run([
      "defend", "evaluate", "--weights", (folder / "box.safetensors").path, "--defense", (folder / "defense").path,
      "--data", "synthetic", "--limit", "4", "--n", "60", "--n0", "10", "--threads", "1", "--json", "--out",
      (folder / "evaluation").path
    ]).json()
    #expect(evaluation["images"]?.integer == 4 && evaluation["certified_accuracy_0.25"] != nil)
    let report = try await Tool.run(["report", (folder / "defense").path])
    #expect(report.code == 0, "\(report.errors)")
  }

  @Test("A budget stops it with a checkpoint, and a larger one goes on to the undisturbed run's weights")
  func budget() async throws {
    let folder = try await folder()
    let flags = autoencoder(folder) + ["--estimator", "rge", "--directions", "2"]
    try expectSuccess(try await Tool.run(train(folder, "whole", flags)))
    let stopped = try await Tool.run(train(folder, "broken", flags + ["--budget", "300"]))
    #expect(stopped.code == 1 && stopped.errors.contains("the query budget is spent"), "\(stopped.errors)")
    let resumed = try await Tool.run(train(folder, "broken", flags + ["--budget", "768", "--resume", "--json"]))
    #expect(try resumed.json()["ledger_queries"]?.integer == 768)
    for file in [Defense.denoiserFileName, Defense.encoderFileName] {
      #expect(try sameBytes((folder / "whole").appending(path: file), (folder / "broken").appending(path: file)))
    }
  }

  @Test("Methods with gradients and without an autoencoder run too", arguments: ["fo-ds", "fo-ae-ds", "zo-ds"])
  func methods(method: String) async throws {
    let folder = try await folder()
    var flags = ["--method", method, "--directions", "2", "--json"]
    if method.contains("ae") { flags += autoencoder(folder) }
    let summary = try await Tool.run(train(folder, "defense", flags)).json()
    #expect(summary["queries"]?.integer == (method.hasPrefix("fo") ? 0 : 128 * 6))
    let defense = try Defense(contentsOf: folder / "defense")
    #expect((defense.autoencoder != nil) == method.contains("ae"))
  }

  @Test("Wrong usage is told before anything is done")
  func usage() async throws {
    for (flags, words) in [
      (["--weights", "x"], "needs --autoencoder"),
      (["--autoencoder", "y"], "either --weights, --program or --endpoint"),
      (["--weights", "x", "--method", "zo-ds", "--sigma", "0"], "--sigma"),
      (["--weights", "x", "--method", "zo-ds", "--feedback", "labels", "--estimator", "rge"], "--estimator labels")
    ] {
      let outcome = try await Tool.run(["defend", "train"] + flags)
      #expect(outcome.code == 64 && outcome.errors.contains(words), "\(outcome.errors)")
    }
  }

  private func expectSuccess(_ outcome: Tool.Outcome) throws {
    try #require(outcome.code == 0, "\(outcome.errors)")
  }
}
