import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import quench

@Suite("quench attack") struct AttackTests {
  /// A network with random weights, and what one evaluation of it asks for.
  private static func weights(in folder: TemporaryFolder) throws -> String {
    let network = Network(
      .smallCNN(input: [3, 32, 32], classes: 10).normalizing(
        mean: [0.5, 0.5, 0.5], standardDeviation: [0.25, 0.25, 0.25]), seed: 3)
    let url = folder / "model.safetensors"
    try ModelFile(network).write(to: url)
    return url.path
  }

  private static let data = ["--data", "synthetic", "--limit", "60", "--threads", "1"]

  @Test("writes rows, a summary and a report") func files() async throws {
    let folder = try TemporaryFolder()
    let place = RunPlace(folder / "run")
    let outcome = try await Tool.run(
      [
        "attack", "pgd", "--weights", try Self.weights(in: folder), "--epsilon", "8/255", "--norm", "linf",
        "--seed", "2", "--save-pictures"
      ]
        + Self.data + ["--out", place.path, "--json"])
    #expect(outcome.code == 0, "\(outcome.errors)")
    let summary = try outcome.json()
    for key in ["clean_accuracy", "robust_accuracy", "robust_accuracy_low", "robust_accuracy_high", "n", "seconds"]
    {
      #expect(summary[key]?.number != nil, "\(key)")
    }
    #expect(summary["n"] == .int(60) && summary["findings"]?.array != nil)
    #expect((summary["robust_accuracy"]?.number ?? 1) <= (summary["clean_accuracy"]?.number ?? 0))
    #expect(summary["attacks"]?.array?.count == 1)
    let rows = try String(contentsOf: place.file("rows.csv"), encoding: .utf8).split(separator: "\n")
    #expect(rows.count == 61)
    #expect(
      rows[0]
        == "index,label,epsilon,prediction_before,prediction_after,success,attack,linf,l2,l1,l0,queries,gradients,loss,"
        + "prediction_8bit,success_8bit,norm_8bit")
    let broken = rows.dropFirst().filter { $0.split(separator: ",", omittingEmptySubsequences: false)[5] == "1" }
    let pictures = try FileManager.default.contentsOfDirectory(atPath: place.file("pictures").path)
    #expect(!broken.isEmpty && pictures.count == broken.count && pictures.allSatisfy { $0.hasSuffix(".png") })
    let report = try String(contentsOf: place.file("report.html"), encoding: .utf8)
    #expect(report.contains("Robust accuracy") && report.contains("pgd on small-cnn"))
    let config = try place.folder.record()
    #expect(config.settings["epsilon"] == "8/255")
  }

  @Test("a sweep draws a curve, and a configuration file works without 'run'") func sweep() async throws {
    let folder = try TemporaryFolder()
    let weights = try Self.weights(in: folder)
    let place = RunPlace(folder / "sweep")
    let sweep = try await Tool.run(
      ["attack", "sweep", "fgsm", "--weights", weights, "--epsilons", "4/255,0,1/255"] + Self.data
        + ["--out", place.path, "--json"])
    let curve = try sweep.json()["curve"]?.array?.compactMap { $0.record?["robust_accuracy"]?.number }
    #expect(try #require(curve).count == 3 && curve == curve?.sorted(by: >))
    #expect(
      try String(contentsOf: place.file("report.html"), encoding: .utf8).contains("Accuracy by budget"))

    try Data("epsilon: 2/255\nsteps: 3\n".utf8).write(to: folder / "attack.yaml")
    let run = RunPlace(folder / "run")
    let outcome = try await Tool.run(
      ["attack", "pgd", "--weights", weights, "--config", (folder / "attack.yaml").path] + Self.data
        + ["--out", run.path])
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(try run.folder.record().settings["epsilon"] == "2/255")
    #expect(try run.folder.record().settings["steps"] == .int(3))
  }

  @Test("AutoAttack that is killed goes on to the same rows") func killed() async throws {
    let folder = try TemporaryFolder()
    let weights = try Self.weights(in: folder)
    func arguments(_ place: RunPlace) -> [String] {
      ["attack", "autoattack", "--weights", weights, "--epsilon", "1/255", "--steps", "3", "--queries", "10"]
        + Self.data + ["--batch-size", "4", "--out", place.path, "--quiet"]
    }
    let (whole, broken) = (RunPlace(folder / "whole"), RunPlace(folder / "broken"))
    #expect(try await Tool.run(arguments(whole)).code == 0)
    let killed = try await Tool.run(
      arguments(broken), sending: SIGKILL, once: broken.file("journal.jsonl"), hasLines: 1)
    #expect(killed.wasKilled)
    let resumed = try await Tool.run(arguments(broken) + ["--resume"])
    #expect(resumed.code == 0, "\(resumed.errors)")
    #expect(try sameBytes(whole.file("rows.csv"), broken.file("rows.csv")))
  }

  @Test(
    "refuses what makes no sense",
    arguments: [
      (["attack", "pgd", "--epsilon", "8"], 64, "did you mean 8/255, which is 0.0314?"),
      (["attack", "pgd", "--epsilon", "-1/255"], 64, "--epsilon"),
      (["attack", "pdg"], 64, "did you mean 'pgd'?"), (["attack", "pgd", "--steps", "0"], 64, "at least 1"),
      (["attack", "cw", "--norm", "linf"], 64, "does not know this norm"),
      (["attack", "pgd", "--smallest"], 64, "--smallest: the attack pgd does not take this; it takes --norm"),
      (
        ["attack", "square", "--steps", "3"], 64,
        "it takes --norm, --epsilon, --queries, --all-steps, --aim, --from"
      ),
      (["attack", "fgsm", "--restarts", "4"], 64, "--restarts: the attack fgsm does not take this"),
      (["attack", "sweep", "fab", "--step-size", "1/255"], 64, "--step-size: the attack fab does not take this"),
      (["attack", "noise-uniform", "--from", "x"], 64, "--from: the attack noise-uniform"),
      (["attack", "autoattack", "--version", "rand", "--queries", "9"], 64, "it takes --steps"),
      (["attack", "pgd", "--norm", "l2", "--epsilon", "128"], 64, "did you mean 128/255, which is 0.502?"),
      (["attack", "sweep", "fab", "--norm", "l2", "--epsilons", "0.1,64"], 64, "did you mean 64/255"),
      (["attack", "pgd", "--train-limit", "5"], 64, "--train-limit: an attack uses no training images"),
      (["attack", "autoattack", "--norm", "l1"], 64, "linf and l2"),
      (["attack", "sweep", "pgd", "--epsilons", "1/255,x"], 64, "--epsilons")
    ])
  func usage(_ arguments: [String], _ code: Int32, _ text: String) async throws {
    let outcome = try await Tool.run(arguments + ["--weights", "none.safetensors"] + Self.data)
    #expect(outcome.code == code)
    #expect(outcome.errors.contains(text), "\(outcome.errors)")
  }

  @Test("robust training refuses what it would ignore")
  func ignored() async throws {
    for (flags, text) in [
      (["--adversarial-epsilon", "4/255"], "--adversarial-epsilon: this is for --adversarial"),
      (["--adversarial", "fgsm-rs", "--adversarial-steps", "3"], "--adversarial-steps: fgsm-rs takes no steps")
    ] {
      let outcome = try await Tool.run(["train", "--model", "small-cnn"] + flags + Tool.tiny)
      #expect(outcome.code == 64 && outcome.errors.contains(text), "\(outcome.errors)")
    }
  }

  @Test("says which file is missing") func missing() async throws {
    let outcome = try await Tool.run(["attack", "fgsm", "--weights", "none.safetensors"] + Self.data)
    #expect(outcome.code == 1 && outcome.errors.contains("none.safetensors"))
  }

  @Test("trains on adversarial images") func robustTraining() async throws {
    let folder = try TemporaryFolder()
    let place = RunPlace(folder / "run")
    let outcome = try await Tool.run(
      ["train", "--model", "small-cnn", "--epochs", "1", "--batch-size", "32", "--adversarial", "fgsm-rs"]
        + Tool.tiny
        + ["--out", place.path, "--json"])
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(try place.folder.record().settings["adversarial"] == "fgsm-rs")
  }
}
