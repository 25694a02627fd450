import Foundation
import QuenchPruning
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import quench

@Suite("quench mask") struct MaskCommandTests {
  /// A network and two masks of it as files.
  private func files(_ folder: TemporaryFolder) throws -> (weights: String, half: String, tenth: String) {
    let file = try ModelFixture.smallCNN()
    try file.write(to: folder / "model.safetensors")
    for (name, keep) in [("half", 0.5), ("tenth", 0.1)] {
      var target = PruningTarget(keepRatio: try KeepRatio(keep))
      target.scope = .layer
      try OMP(target).mask(for: file.network).write(to: folder / name)
    }
    return ((folder / "model.safetensors").path, (folder / "half").path, (folder / "tenth").path)
  }

  @Test("show counts what a mask keeps, layer by layer") func show() async throws {
    let folder = try TemporaryFolder()
    let (weights, half, _) = try files(folder)
    let outcome = try await Tool.run(["mask", "show", half, "--weights", weights, "--json"])
    #expect(outcome.code == 0, "\(outcome.errors)")
    let summary = try outcome.json()
    let layers = try #require(summary["layers"]?.array).compactMap(\.record)
    #expect(summary["kept"]?.integer == layers.reduce(0) { $0 + ($1["kept"]?.integer ?? 0) })
    let ratio = try #require(summary["keep_ratio"]?.number)
    #expect(abs(ratio - 0.5) < 0.001)
    let work = try (#require(summary["kept_multiply_adds"]?.number), #require(summary["multiply_adds"]?.number))
    #expect(abs(work.0 / work.1 - 0.5) < 0.01)
    let text = try await Tool.run(["mask", "show", half, "--weights", weights])
    #expect(text.output.contains("conv2.weight") && text.output.contains("dead units"))
  }

  @Test("compare gives the overlap of nested masks as the ratio of their sizes") func compare() async throws {
    let folder = try TemporaryFolder()
    let (weights, half, tenth) = try files(folder)
    let outcome = try await Tool.run(["mask", "compare", half, tenth, "--weights", weights, "--json"])
    #expect(outcome.code == 0, "\(outcome.errors)")
    let summary = try outcome.json()
    #expect(abs(try #require(summary["overlap"]?.number) - 0.2) < 0.001)
    #expect(abs(try #require(summary["hamming_distance"]?.number) - 0.4) < 0.001)
    let same = try await Tool.run(["mask", "compare", half, half, "--weights", weights, "--json"])
    #expect(try same.json()["overlap"]?.number == 1)
  }

  @Test("apply zeroes the weights of another checkpoint and leaves an existing file alone") func apply()
    async throws
  {
    let folder = try TemporaryFolder()
    let half = try files(folder).half
    let other = ModelFile(Network(try ModelFixture.smallCNN().network.architecture, seed: 7))
    try other.write(to: folder / "other.safetensors")
    let out = (folder / "masked.safetensors").path
    let arguments = ["mask", "apply", half, "--weights", (folder / "other.safetensors").path, "--out", out]
    #expect(try await Tool.run(arguments).code == 0)
    let masked = try ModelFile(contentsOf: URL(filePath: out)).network
    let mask = try Mask(contentsOf: URL(filePath: half), for: masked)
    let layout = WeightLayout(masked)
    #expect(layout.weights(of: masked).isEqual(to: layout.weights(of: other.network) * mask.values))
    let again = try await Tool.run(arguments)
    #expect(again.code == 1 && again.errors.contains("--force"))
  }

  @Test("a mask of another network is refused by name") func refuses() async throws {
    let folder = try TemporaryFolder()
    let (weights, _, _) = try files(folder)
    let resNet = Network(ModelName.resnet20.architecture(input: [3, 32, 32], classes: 10), seed: 1)
    try OMP(keepRatio: KeepRatio(0.5)).mask(for: resNet).write(to: folder / "foreign")
    let outcome = try await Tool.run(["mask", "show", (folder / "foreign").path, "--weights", weights])
    #expect(outcome.code == 1)
    #expect(outcome.errors.contains("another architecture"))
  }
}
