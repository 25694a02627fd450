import Foundation
import Reporting
import Support
import TestSupport
import Testing

@testable import quench

@Suite("quench prune study") struct PruneStudyTests {
  private static let settings: Record = [
    "methods": .string("bip,bip:mode=repo-tied:gamma=10,imp,snip"), "keep": .string("0.2,0.5"), "seeds": .int(2),
    "seed": .int(3), "model": .string("resnet20"), "dense-epochs": .int(4), "epochs": .int(2),
    "rewind-epoch": .int(1), "data": .string("cifar10"), "limit": .int(100), "skip-corrupt": .bool(true)
  ]

  @Test("runs a dense network a seed, each method at each ratio, and one chain of imp a seed")
  func parts() {
    let parts = PruningStudy(Self.settings).parts
    #expect(
      parts.map(\.name) == [
        "dense_3", "dense_4", "bip_0.5_3", "bip_0.2_3", "bip-mode-repo-tied-gamma-10_0.5_3",
        "bip-mode-repo-tied-gamma-10_0.2_3", "imp_3", "snip_0.5_3", "snip_0.2_3", "bip_0.5_4", "bip_0.2_4",
        "bip-mode-repo-tied-gamma-10_0.5_4", "bip-mode-repo-tied-gamma-10_0.2_4", "imp_4", "snip_0.5_4",
        "snip_0.2_4"
      ])
    #expect(
      parts[4].arguments(in: "runs/s").joined(separator: " ")
        == "prune bip --keep 0.5 --seed 3 --weights runs/s/dense_3/model.safetensors --epochs 2 --mode repo-tied "
        + "--gamma 10 --data cifar10 --limit 100 --skip-corrupt --out runs/s/bip-mode-repo-tied-gamma-10_0.5_3")
    #expect(parts[6].arguments.joined(separator: " ").contains("--keep 0.2 --seed 3"))
    #expect(
      parts[6].arguments.joined(separator: " ").contains("--rewind {run}/dense_3/epoch-1.safetensors --stop 0.5"))
    #expect(parts[7].arguments.joined(separator: " ").contains("--model resnet20 --epochs 4"))
  }

  @Test("gives means, deviations and intervals by Student's t")
  func samples() throws {
    let sample = Sample([0.90, 0.91, 0.95])
    #expect(abs(sample.mean - 0.92) < 1e-12)
    #expect(abs(try #require(sample.standardDeviation) - 0.0264575131) < 1e-9)
    let interval = try #require(sample.interval)
    #expect(abs(interval.upperBound - 0.92 - 4.303 * 0.0264575131 / 3.0.squareRoot()) < 1e-9)
    #expect(Sample([0.9]).interval == nil)
  }

  @Test("a winning ticket is the sparsest network whose mean is not below the dense networks'")
  func tickets() {
    let method = PruningStudy.Method(text: "bip")
    func cell(_ keep: Double, _ accuracy: Double) -> PruningStudy.Cell {
      .init(method: method, keepRatio: keep, accuracy: Sample([accuracy]), seconds: Sample([1]))
    }
    let results = PruningStudy.Results(
      dense: Sample([0.9]), denseSeconds: Sample([1]), cells: [cell(0.5, 0.92), cell(0.2, 0.9), cell(0.1, 0.89)],
      testImages: 100)
    #expect(results.winningTicket(of: method)?.keepRatio == 0.2)
  }

  @Test("killed in the middle and started again, ends as an unbroken one; finished parts are not done again")
  func resumes() async throws {
    let folder = try TemporaryFolder()
    let out = RunPlace(folder / "study")
    let arguments =
      ["prune", "study", "--methods", "bip,imp", "--keep", "0.8,0.64", "--model", "small-cnn"]
      + ["--dense-epochs", "2", "--epochs", "2", "--data", "synthetic", "--limit", "40", "--train-limit", "256"]
      + ["--threads", "1", "--precision", "float32", "--out", out.path, "--json"]
    let killed = try await Tool.run(
      arguments, sending: SIGINT, once: out.file("bip_0.8_1/metrics.jsonl"), hasLines: 1)
    #expect(killed.code != 0)
    let dense = try Data(contentsOf: out.file("dense_1/config.yaml"))

    let outcome = try await Tool.run(arguments)
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(try Data(contentsOf: out.file("dense_1/config.yaml")) == dense)
    let summary = try outcome.json()
    for key in ["dense_accuracy", "bip_0.8_accuracy", "bip_0.64_seconds", "imp_0.8_accuracy", "imp_0.64_accuracy"] {
      #expect(summary[key]?.number != nil, "\(key)")
    }
    let report = try String(contentsOf: out.file("report.html"), encoding: .utf8)
    #expect(report.contains("Winning tickets") && report.contains("IMP"))

    try FileManager.default.removeItem(at: out.file("bip_0.64_1"))
    let mended = try await Tool.run(arguments)
    #expect(mended.errors.contains("prune bip --keep 0.64") && !mended.errors.contains("prune imp"))
    #expect(try mended.json()["bip_0.64_accuracy"] == summary["bip_0.64_accuracy"])

    let other = try await Tool.run(arguments.map { $0 == "0.8,0.64" ? "0.8" : $0 })
    #expect(other.code == 1)
    #expect(other.errors.contains("keep"))
  }

  @Test("goes on without a pruning that fails, tells of it, and exits with 1") func failures() async throws {
    let folder = try TemporaryFolder()
    let out = RunPlace(folder / "study")
    let outcome = try await Tool.run(
      ["prune", "study", "--methods", "bip:learning-rate=1e30,omp", "--keep", "0.5", "--model", "small-cnn"]
        + ["--dense-epochs", "2", "--epochs", "1", "--out", out.path] + Tool.tiny)
    #expect(outcome.code == 1)
    #expect(outcome.errors.contains("error: bip-learning-rate-1e30_0.5_1: 1 pruning of the study failed"))
    #expect(try String(contentsOf: out.file("report.html"), encoding: .utf8).contains("OMP"))
    #expect(try RunPlace(out.file("omp_0.5_1")).folder.record().outcome == .completed)
  }

  @Test(
    "wrong usage is told before anything is run",
    arguments: [
      (["--methods", "bib"], "did you mean 'bip'?"), (["--keep", "0.5,1.5"], "1.5"),
      (["--keep", "0.5,0.5"], "twice"),
      (["--methods", "bip:gama=1"], "--gama"), (["--rewind-epoch", "16"], "--rewind-epoch")
    ])
  func usage(flags: [String], word: String) async throws {
    let outcome = try await Tool.run(["prune", "study"] + flags)
    #expect(outcome.code == 64)
    #expect(outcome.errors.contains(word), "\(outcome.errors)")
  }
}
