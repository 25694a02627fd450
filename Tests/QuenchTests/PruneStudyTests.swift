import Foundation
import QuenchReporting
import QuenchSupport
import TestSupport
import Testing

@testable import quench

@Suite("quench prune study") struct PruneStudyTests {
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
    #expect(summary["dense_accuracy"]?.number != nil)
    #expect(summary["cells"]?.array?.compactMap { $0.record?["method"]?.string } == ["bip", "bip", "imp", "imp"])
    let report = try String(contentsOf: out.file("report.html"), encoding: .utf8)
    #expect(report.contains("Winning tickets") && report.contains("IMP"))

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
    #expect(outcome.errors.contains("error: bip-learning-rate-1e30_0.5_1: 1 part of the study failed"))
    #expect(try String(contentsOf: out.file("report.html"), encoding: .utf8).contains("OMP"))
    #expect(try RunPlace(out.file("omp_0.5_1")).folder.record().outcome == .completed)
  }

  @Test(
    "wrong usage is told before anything is run",
    arguments: [
      (["--methods", "bib"], "did you mean 'bip'?"), (["--keep", "0.5,1.5"], "1.5"),
      (["--keep", "0.5,0.5"], "each once"),
      (["--methods", "bip:gama=1"], "gama"), (["--rewind-epoch", "16"], "--rewind-epoch")
    ])
  func usage(flags: [String], word: String) async throws {
    let outcome = try await Tool.run(["prune", "study"] + flags)
    #expect(outcome.code == 64)
    #expect(outcome.errors.contains(word), "\(outcome.errors)")
  }
}
