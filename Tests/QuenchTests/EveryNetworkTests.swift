import Foundation
import QuenchReporting
import QuenchSupport
import TestSupport
import Testing

/// Every command on networks made elsewhere, ``NetworkFolder/small``: one step and one check each.
@Suite("Every command") struct EveryNetworkTests {
  private static let tiny = [
    "--data", "synthetic", "--threads", "1", "--precision", "float32", "--limit", "20", "--json"
  ]
  private static let learning = tiny + ["--train-limit", "32", "--batch-size", "16", "--epochs", "1"]

  /// What one command is asked, and what its summary must say.
  private struct Room {
    var name: String
    var arguments: [String]
    var check: (Record) -> Bool
  }

  private static func rooms(_ network: String, _ folder: TemporaryFolder) -> [Room] {
    func path(_ name: String) -> String { (folder / name).path }
    func isFraction(_ value: Value?) -> Bool { value?.number.map((0...1).contains) == true }
    return [
      Room(name: "import", arguments: ["import", network, "--json"]) {
        $0["parameters"]?.integer ?? 0 > 0 && $0["multiply_adds"]?.integer ?? 0 > 0 && $0["frozen"]?.array != nil
      },
      Room(name: "evaluate", arguments: ["evaluate", "--weights", network] + tiny) { isFraction($0["accuracy"]) },
      Room(
        name: "train",
        arguments: ["train", "--initial", network, "--learning-rate", "0.001", "--out", path("train")] + learning
      ) { isFraction($0["accuracy"]) },
      Room(
        name: "prune",
        arguments: [
          "prune", "omp", "--weights", network, "--keep", "0.5", "--scope", "layer", "--out", path("prune")
        ] + learning
      ) {
        $0["kept"]?.integer ?? 0 > 0 && isFraction($0["accuracy"])
      },
      Room(
        name: "slim",
        arguments: [
          "slim", "--weights", network, "--target-macs", "0.7", "--policy", "intersection", "--seconds", "0.01",
          "--out", path("slim"),
          "--json",
          "--threads", "1"
        ]
      ) { ($0["multiply_adds"]?.number ?? .infinity) <= 0.7 * ($0["multiply_adds_before"]?.number ?? 0) },
      Room(
        name: "export",
        arguments: ["export", "--weights", network, "--format", "onnx", "--out", path("net.onnx"), "--json"]
      ) { $0["bytes_after"]?.integer ?? 0 > 0 },
      Room(
        name: "attack",
        arguments: [
          "attack", "pgd", "--weights", network, "--epsilon", "2/255", "--steps", "1", "--out", path("attack")
        ] + tiny
      ) { isFraction($0["robust_accuracy"]) },
      Room(
        name: "certify",
        arguments: [
          "certify", "--weights", network, "--sigma", "0.25", "--n0", "10", "--n", "60", "--out", path("certify")
        ] + tiny + ["--limit", "2"]
      ) { $0["images"]?.integer == 2 },
      Room(
        name: "defend",
        arguments: [
          "defend", "train", "--weights", network, "--method", "zo-ds", "--denoiser-depth", "3", "--denoiser-width",
          "4",
          "--directions", "2", "--out", path("defend")
        ] + learning
      ) { $0["queries"]?.integer ?? 0 > 0 },
      Room(
        name: "red",
        arguments: [
          "red", "build-data", "--victim", "v=\(network)", "--train-pairs", "2", "--test-pairs", "2", "--attacks",
          "fgsm",
          "--seen-only", "--data", "synthetic", "--threads", "1", "--precision", "float32", "--out", path("red"),
          "--json"
        ]
      ) { $0["cells"]?.integer ?? 0 > 0 }
    ]
  }

  @Test(
    "works on every network made elsewhere",
    .enabled(if: NetworkFolder.small.isPresent, "QUENCH_EVERY_NETWORK names no folder of exported networks"),
    arguments: NetworkFolder.small.files.map(\.path))
  func works(network: String) async throws {
    let folder = try TemporaryFolder()
    for room in Self.rooms(network, folder) {
      let outcome = try await Tool.run(room.arguments)
      let summary = try? outcome.json()
      #expect(
        outcome.code == 0 && summary.map(room.check) == true,
        "\(network), \(room.name): \(outcome.errors) \(outcome.output.prefix(400))")
    }
  }
}
