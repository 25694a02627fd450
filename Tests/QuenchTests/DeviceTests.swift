import Foundation
import QuenchReporting
import QuenchSupport
import TestSupport
import Testing

/// `quench` with a CUDA device that `TestDevice` brings: the CPU's kernels behind what a GPU would refuse.
private struct DeviceRuns {
  let folder: TemporaryFolder

  static let library: URL? = {
    let beside = Tool.url?.deletingLastPathComponent().appending(path: "libTestDevice.so")
    return beside.flatMap { FileManager.default.fileExists(atPath: $0.path) ? $0 : nil }
  }()

  /// Whether this LibTorch was built with CUDA, whose device would get in the way.
  static let hasCUDALibrary: Bool = {
    let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")
    let libtorch = ProcessInfo.processInfo.environment["LIBTORCH"] ?? root.appending(path: ".libtorch").path
    return FileManager.default.fileExists(atPath: libtorch + "/lib/libtorch_cuda.so")
  }()

  static let environment = ["LD_PRELOAD": library?.path ?? ""]

  /// Figures that another device may have otherwise: times, memory, and copies of images, which it asks for in whole
  /// batches.
  private static let free = ["second", "memory", "share_of_time", "samples", "ledger", "queries"]

  /// Runs a command on both devices, each in a folder of its own, and compares what came of it.
  /// - Returns: The folder of the run on the CPU.
  @discardableResult
  func compare(_ name: String, _ arguments: [String], limits: [String]) async throws -> String {
    func run(_ device: String) async throws -> (url: URL, outcome: Tool.Outcome) {
      let url = folder / "\(name)-\(device)"
      let outcome = try await Tool.run(
        arguments + limits + ["--threads", "1", "--precision", "float32", "--out", url.path, "--device", device],
        environment: Self.environment)
      #expect(outcome.code == 0, "\(name) on \(device): \(outcome.errors)")
      return (url, outcome)
    }
    let (here, there) = (try await run("cpu"), try await run("cuda"))
    let count = try #require(there.outcome.errors.firstMatch(of: /test device: (\d+) operators/)?.1)
    #expect(try #require(Int(count)) > 100, "the work was done on the device")
    let (expected, found) = (try figures(here.url), try figures(there.url))
    #expect(expected.keys == found.keys, "\(name)")
    for (key, value) in expected {
      guard let number = value.number, let other = found[key]?.number else {
        #expect(value == found[key], "\(name), \(key)")
        continue
      }
      #expect(abs(number - other) <= 1e-4 * max(1, abs(number)), "\(name), \(key)")
    }
    return here.url.path
  }

  private func figures(_ url: URL) throws -> Record {
    let record = try RunFolder(existing: url).readSummary()
    return record.flattened.reduce(into: Record()) { figures, pair in
      guard !Self.free.contains(where: pair.key.contains), pair.value.array == nil else { return }
      figures[pair.key] = pair.value
    }
  }
}

#if os(Linux)
  @Suite(
    "The work of a CUDA device",
    .enabled(if: DeviceRuns.library != nil && !DeviceRuns.hasCUDALibrary, "a machine with one runs Benchmarks/gpu")
  )
  struct DeviceTests {
    private let runs: DeviceRuns
    private let small = ["--data", "synthetic", "--limit", "16", "--train-limit", "64"]
    private let tests = ["--data", "synthetic", "--limit", "6"]
    private let recipe = ["--epochs", "1", "--batch-size", "16"]

    init() throws { runs = DeviceRuns(folder: try TemporaryFolder()) }

    private func classifier() async throws -> String {
      let run = try await runs.compare(
        "train", ["train", "--model", "small-cnn", "--noise", "0.1"] + recipe, limits: small)
      return run + "/model.safetensors"
    }

    @Test("is refused where a GPU would refuse it") func refusals() async throws {
      let outcome = try await Tool.run(
        ["--version"], environment: DeviceRuns.environment.merging(["TEST_DEVICE_CHECK": "1"]) { $1 })
      #expect(outcome.output.contains("adds 1, views 1, refuses a sum 1, a generator 1"), "\(outcome)")
    }

    @Test("trains, prunes, attacks and certifies as the CPU does") func classifiers() async throws {
      let weights = try await classifier()
      for method in ["bip", "hydra"] {
        try await runs.compare(
          method, ["prune", method, "--weights", weights, "--keep", "0.3"] + recipe, limits: small)
      }
      try await runs.compare(
        "synflow", ["prune", "synflow", "--model", "small-cnn", "--keep", "0.3"] + recipe, limits: small)
      for attack in ["apgd-dlr", "fab-t"] {
        try await runs.compare(attack, ["attack", attack, "--weights", weights], limits: tests)
      }
      try await runs.compare("square", ["attack", "square", "--weights", weights, "--queries", "20"], limits: tests)
      try await runs.compare(
        "certify", ["certify", "--weights", weights, "--sigma", "0.1", "--n", "100", "--radii", "0.05"],
        limits: tests)
    }

    @Test("learns to plan as the CPU does") func agents() async throws {
      let survey = runs.folder / "survey"
      let simulated = try await Tool.run(["cryo", "simulate", "--tiles", "1", "--out", survey.path])
      #expect(simulated.code == 0, "\(simulated.errors)")
      let files = [
        "--survey", survey.path + "/survey.csv", "--predictions", survey.path + "/predictions.txt"
      ]
      let agent = try await runs.compare(
        "agent",
        ["cryo", "train", "--preset", "feedback", "--epochs", "1", "--steps-per-epoch", "100"]
          + ["--validation-episodes", "2"] + files, limits: [])
      try await runs.compare(
        "played",
        ["cryo", "evaluate", "--policy", "dqn", "--weights", agent + "/q-network.safetensors", "--minutes", "10"]
          + ["--starts", "0,5"] + files, limits: [])
    }

    @Test("defends a black box and learns from deceptions as the CPU does") func defenses() async throws {
      let weights = try await classifier()
      let denoiser = try await runs.compare(
        "denoiser", ["defend", "pretrain", "denoiser", "--denoiser-depth", "3", "--denoiser-width", "8"] + recipe,
        limits: small)
      let autoencoder = try await runs.compare(
        "autoencoder", ["defend", "pretrain", "autoencoder"] + recipe, limits: small)
      let train = ["defend", "train", "--weights", weights, "--warm-start", denoiser] + recipe
      try await runs.compare("fo-ds", train + ["--method", "fo-ds"], limits: small)
      try await runs.compare(
        "rge",
        train + ["--method", "zo-ae-ds", "--autoencoder", autoencoder, "--estimator", "rge", "--directions", "4"],
        limits: small)
      let pairs = try await runs.compare(
        "pairs",
        ["red", "build-data", "--victim", "a=\(weights)", "--attacks", "fgsm,pgd", "--seen-only"]
          + ["--train-pairs", "2", "--test-pairs", "1"], limits: ["--data", "synthetic"])
      let red = try await runs.compare(
        "red",
        ["red", "train", "--pairs", pairs, "--surrogate", "a=\(weights)", "--epochs", "1", "--batch-size", "4"],
        limits: [])
      try await runs.compare(
        "judged", ["red", "evaluate", "--run", red, "--pairs", pairs, "--victim", "a=\(weights)"], limits: [])
    }
  }
#endif
