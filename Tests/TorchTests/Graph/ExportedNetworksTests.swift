import Foundation
import QuenchSupport
import QuenchTorch
import TestSupport
import Testing

/// Networks that `scripts/reference_networks.py` exports, with what PyTorch computes.
enum ExportedNetworks {
  /// A Python with the torch that this LibTorch is of: as `QUENCH_TORCH_PYTHON` says, or the machine's own.
  static let python: String? = {
    let candidates = [ProcessInfo.processInfo.environment["QUENCH_TORCH_PYTHON"], "python3"].compactMap(\.self)
    let version = LibTorch.version.prefix { $0 != "+" }
    return candidates.first { program in
      (try? run(program, ["-c", "import torch; assert torch.__version__.split('+')[0] == '\(version)'"])) == 0
    }
  }()

  static func run(_ program: String, _ arguments: [String]) throws -> Int32 {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["THREADS=\(LibTorch.threads)", program] + arguments
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    return process.terminationStatus
  }

  /// How far two tensors are apart; nil where not even the shapes are equal.
  static func distance(_ a: Tensor, _ b: Tensor) -> Double? {
    guard a.shape == b.shape else { return nil }
    return (a.to(.float64) - b.to(.float64)).abs().max().item()
  }

  struct Outcome {
    var nodes: Int
    var logits: Double?
    var gradient: Double?
    /// Logits and state after a pass in training mode, where PyTorch's is not random.
    var training: Double?
    var state: Double?
    var seconds: Double
  }

  /// Compares a program with the figures beside it.
  static func compare(_ url: URL) throws -> Outcome {
    let figures = try TorchCheckpoint.load(url.deletingPathExtension().appendingPathExtension("pt"))
    func figure(_ name: String) throws -> Tensor { try #require(figures[name]) }
    let start = Date()
    let network = try ExportedProgram.load(url)
    let seconds = Date().timeIntervalSince(start)
    let images = try figure("images").requiringGrad()
    let logits = try network.evaluate(images)
    let gradient = try #require(
      gradients(of: [logits], withRespectTo: [images], seeds: [try figure("seed")])[0])
    var outcome = Outcome(
      nodes: network.graph.nodes.count, logits: distance(logits, try figure("logits")),
      gradient: distance(gradient, try figure("gradient")), seconds: seconds)
    if let expected = figures["training.logits"] {
      network.isTraining = true
      let logits = try withoutGradient { try network.evaluate(images.detached()) }
      outcome.training = distance(logits, expected)
      outcome.state = try network.buffers.filter(\.isSaved).map { entry in
        try #require(distance(entry.tensor, try figure("state.\(entry.name)")))
      }.max()
    }
    return outcome
  }
}

@Suite("Exported networks beside PyTorch") struct ExportedNetworksTests {
  @Test(
    "compute the same bits",
    .enabled(
      if: ExportedNetworks.python != nil, "no Python here has LibTorch's own torch; QUENCH_TORCH_PYTHON names one"))
  func bits() throws {
    let folder = try TemporaryFolder()
    let script = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().appending(path: "scripts/reference_networks.py")
    let names = ["tiny", "attention", "modes"]
    #expect(
      try ExportedNetworks.run(try #require(ExportedNetworks.python), [script.path, folder.url.path] + names) == 0)
    for name in names {
      let outcome = try ExportedNetworks.compare(folder / "\(name).pt2")
      #expect(outcome.logits == 0 && outcome.gradient == 0 && outcome.training == 0, "\(name): \(outcome)")
    }
  }

  /// As many as the folder `QUENCH_EXPORTED_NETWORKS` holds, each in a line of a table.
  @Test(
    "compute the same bits, in a folder of many",
    .enabled(
      if: NetworkFolder.exported.isPresent,
      "QUENCH_EXPORTED_NETWORKS names no folder that scripts/reference_networks.py wrote"))
  func folder() throws {
    func text(_ value: Double?) -> String { value.map { $0 == 0 ? "equal" : String(format: "%.1e", $0) } ?? "-" }
    for url in NetworkFolder.exported.files {
      let name = url.deletingPathExtension().lastPathComponent
      do {
        let outcome = try ExportedNetworks.compare(url)
        let columns = [outcome.logits, outcome.gradient, outcome.training, outcome.state].map(text)
        print("network \(name): \(outcome.nodes) nodes, " + columns.joined(separator: ", "), "\(outcome.seconds) s")
        #expect(outcome.logits == 0 && outcome.gradient == 0, "\(name)")
        #expect((outcome.training ?? 0) == 0 && (outcome.state ?? 0) == 0, "\(name) in training")
      } catch { Issue.record("\(name): \(error)") }
    }
  }
}
