import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import TestSupport
import Testing

@testable import quench

/// Several `quench` that share one run, as a launcher starts them that serves the store of keys itself.
struct Crew {
  private let store: RankStore
  let size: Int

  init(_ size: Int) throws {
    store = try RankStore(host: "127.0.0.1", port: 0, serves: true, prefix: "", seconds: 60)
    self.size = size
  }

  func environment(_ rank: Int) -> [String: String] {
    [
      "RANK": "\(rank)", "WORLD_SIZE": "\(size)", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "\(store.port)",
      "TORCHELASTIC_USE_AGENT_STORE": "True"
    ]
  }

  /// Runs all ranks to their ends, `rank` but until it gets `signal`, once `condition` holds.
  static func run(
    _ size: Int, _ arguments: [String], sending signal: Int32? = nil, to rank: Int = 0,
    when condition: @escaping @Sendable () -> Bool = { false }
  ) async throws -> [Tool.Outcome] {
    let crew = try Crew(size)
    let outcomes = try await withThrowingTaskGroup(of: (Int, Tool.Outcome).self) { group in
      for other in 0..<size {
        let environment = crew.environment(other)
        group.addTask {
          guard let signal, other == rank else {
            return (other, try await Tool.run(arguments, environment: environment))
          }
          return (
            other, try await Tool.run(arguments, environment: environment, sending: signal, when: condition)
          )
        }
      }
      return try await group.reduce(into: [Int: Tool.Outcome]()) { $0[$1.0] = $1.1 }
    }
    withExtendedLifetime(crew) {}
    return try (0..<size).map { try #require(outcomes[$0]) }
  }
}

@Suite("Ranks that share a run") struct RanksTests {
  private static let train =
    ["train", "--model", "small-cnn", "--epochs", "4", "--batch-size", "16", "--seed", "7"] + Tool.tiny

  private static func weights(_ place: RunPlace) throws -> StateDictionary {
    try Safetensors(contentsOf: place.file("model.safetensors")).stateDictionary()
  }

  @Test("train the network that one process trains, within rounding; rank 0 alone writes and tells")
  func training() async throws {
    let folder = try TemporaryFolder()
    let (one, two) = (RunPlace(folder / "one"), RunPlace(folder / "two"))
    // Few and small steps, in which rounding does not grow.
    let short = Self.train.map { $0 == "4" ? "1" : $0 } + ["--hold-out", "16", "--noise", "0.1"]
    let gentle = short + ["--learning-rate", "0.01"]
    #expect(try await Tool.run(gentle + ["--out", one.path]).code == 0)
    let outcomes = try await Crew.run(2, gentle + ["--out", two.path, "--json"])
    #expect(outcomes.map(\.code) == [0, 0], "\(outcomes)")
    let summary = try two.folder.readSummary()
    #expect(try outcomes[0].json() == summary && outcomes[1].output == "" && outcomes[1].errors == "")
    #expect(summary["ranks"] == 2 && summary["precision"] == "float32")
    #expect(try one.folder.readSummary()["ranks"] == 1)
    // The gradient of all weights and a count in float32; two sums of each batch norm's channel and a count, there and
    // back, and four figures of the step in float64.
    let vectors = [16, 32, 32, 64].map { 2 * (2 * $0 + 1) }.reduce(0, +) + 4
    let isParameter = { (name: String) in name.hasSuffix(".weight") || name.hasSuffix(".bias") }
    let parameters = try Self.weights(two).filter { isParameter($0.name) }.map(\.tensor.count)
    #expect(summary["bytes_per_step"] == .int(4 * (parameters.reduce(0, +) + 1) + 8 * vectors))
    #expect(summary["messages_per_step"]?.number == 10)
    #expect(try summary["accuracy"] == one.folder.readSummary()["accuracy"])
    let (a, b) = (try Self.weights(one), try Self.weights(two))
    for (name, tensor) in a {
      let (tensor, other) = (tensor.to(.float32), try #require(b[name]).to(.float32))
      #expect((tensor - other).abs().max().item() < 1e-5, "\(name)")
    }
    let metrics = try [one, two].map { try MetricStream.read($0.file("metrics.jsonl")) }
    #expect(metrics[0].count == metrics[1].count)
  }

  @Test("end when one of them is killed, name it, and go on from the checkpoint to the same bytes")
  func killed() async throws {
    let folder = try TemporaryFolder()
    let (whole, broken) = (RunPlace(folder / "whole"), RunPlace(folder / "broken"))
    let long = Self.train.map { $0 == "4" ? "6" : $0 } + ["--quiet", "--checkpoint-interval", "0"]
    #expect(try await Crew.run(2, long + ["--out", whole.path]).map(\.code) == [0, 0])
    let metrics = broken.file("metrics.jsonl")
    let outcomes = try await Crew.run(2, long + ["--out", broken.path], sending: SIGKILL, to: 1) {
      (try? Data(contentsOf: metrics))?.count(where: { $0 == UInt8(ascii: "\n") }) ?? 0 >= 3
    }
    #expect(outcomes[1].wasKilled)
    #expect(outcomes[0].code == 1 && outcomes[0].errors.contains("rank 1 is lost"), "\(outcomes[0].errors)")
    #expect(outcomes[0].errors.split(separator: "\n").count == 1, "\(outcomes[0].errors)")
    #expect(try broken.folder.record().outcome == nil)

    let resumed = try await Crew.run(2, long + ["--out", broken.path, "--resume"])
    #expect(resumed.map(\.code) == [0, 0], "\(resumed)")
    #expect(try sameBytes(whole.file("model.safetensors"), broken.file("model.safetensors")))
  }

  @Test("certify and attack images as one process does, row by row") func rows() async throws {
    let folder = try TemporaryFolder()
    let network = RunPlace(folder / "network")
    let train = Self.train.map { $0 == "4" ? "1" : $0 }
    #expect(try await Tool.run(train + ["--out", network.path]).code == 0)
    let images = ["--data", "synthetic", "--threads", "1", "--precision", "float32", "--quiet"]
    let weights = ["--weights", network.file("model.safetensors").path] + images
    let certify = ["certify", "--sigma", "0.25", "--n", "100", "--n0", "10", "--limit", "21"] + weights
    let attack = ["attack", "pgd", "--steps", "2", "--batch-size", "7", "--limit", "30"] + weights
    for (command, file) in [(certify, "certified.tsv"), (attack, "rows.csv")] {
      let (one, two) = (RunPlace(folder / "\(command[0])-1"), RunPlace(folder / "\(command[0])-2"))
      #expect(try await Tool.run(command + ["--out", one.path]).code == 0)
      let outcomes = try await Crew.run(2, command + ["--out", two.path])
      #expect(outcomes.map(\.code) == [0, 0], "\(outcomes)")
      let rows = try [one, two].map {
        try String(contentsOf: $0.file(file), encoding: .utf8).split(separator: "\n")
      }
      // What an image costs in time and noisy copies is another thing than what is found out about it.
      let told = rows.map { rows in rows.map { $0.split(separator: "\t").prefix(5) } }
      #expect(told[0] == told[1] && told[0].count > 20)
    }
  }

  @Test("a command that shares nothing refuses, and --standalone works alone") func refusal() async throws {
    let folder = try TemporaryFolder()
    let environment = ["RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"]
    let bench = try await Tool.run(["doctor"], environment: environment)
    #expect(bench.code == 1 && bench.errors.contains("this command is not shared"), "\(bench.errors)")
    let wrong = try await Tool.run(Self.train, environment: environment.merging(["RANK": "2"]) { $1 })
    #expect(wrong.code == 64 && wrong.errors.contains("RANK: the variable has no value"), "\(wrong.errors)")
    let alone = try await Tool.run(
      Self.train + ["--standalone", "--out", (folder / "run").path], environment: environment)
    #expect(alone.code == 0, "\(alone.errors)")
  }
}
