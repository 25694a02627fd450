import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import QuenchPruning

@Suite("Pruning a network imported from PyTorch") struct ImportedPruningTests {
  private let folder: TemporaryFolder
  private let file: URL

  init() throws {
    folder = try TemporaryFolder()
    file = folder / "network.pt2"
    try folder.write(ExportedSample.rooms(), "network.pt2")
  }

  private func settings(_ others: Record) -> Record {
    let shared: Record = [
      "weights": .string(file.path), "data": "synthetic", "train-limit": 32, "limit": 20, "batch-size": 16,
      "precision": "float32", "keep": 0.3, "epochs": 1
    ]
    return shared.merging(others)
  }

  /// 48 + 108 + 216 + 80 weights of the product, two convolutions and the linear layer.
  private func check<Method: PruningMethod>(_ type: Prune<Method>.Type, _ others: Record = [:]) throws {
    let run = try Lab().perform(Prune<Method>(settings: settings(others), name: "x"), in: folder / Method.name)
    let outcome = try #require(run.outcome)
    #expect(outcome.prunable == 452 && outcome.kept == 136 && outcome.zeros == 452 - 136)
    let url = run.folder.artefact(ClassifierWork.modelFileName)
    let network = try ModelFile(contentsOf: url).network
    let nonzero = network.prunable.reduce(0) { $0 + network.parameters[$1].tensor.nonzeroCount() }
    #expect(nonzero <= 136)
    try ModelFile(network).write(to: folder / "again.safetensors")
    let again = try ModelFile(contentsOf: folder / "again.safetensors").network
    let images = Tensor.uniform([4, 3, 32, 32], using: Generator(seed: 1))
    #expect(withoutGradient { again(images).isEqual(to: network(images)) })
    for (mine, theirs) in zip(again.state, network.state) { #expect(mine.tensor.isEqual(to: theirs.tensor)) }
  }

  @Test("keeps an exact count by BiP") func bip() throws { try check(Prune<BiP>.self) }
  @Test("keeps an exact count by magnitude") func omp() throws { try check(Prune<OMP>.self) }
  @Test("keeps an exact count by magnitude, little by little") func gmp() throws { try check(Prune<GMP>.self) }

  @Test("at initialization, by scores and by flow") func criteria() throws {
    let network = try ModelFile(contentsOf: file).network
    let layout = WeightLayout(network)
    let flow = SynFlow.scores(of: network, layout: layout)
    #expect(flow.flow > 0 && flow.scores.isFinite().all() && flow.scores.count == 452)
    var options = DataOptions()
    options.synthetic.trainCount = 100
    let dataset = try Datasets.load(.synthetic, split: .train, options: options)
    for ranking in [
      try SNIP().ranking(of: network, layout: layout, on: dataset, seed: 1),
      try GraSP().ranking(of: network, layout: layout, on: dataset, seed: 1)
    ] {
      #expect(ranking.count == 452 && ranking.isFinite().all())
    }
  }

  @Test("counts what a mask keeps, and the work that is left") func statistics() throws {
    let network = try ModelFile(contentsOf: file).network
    let mask = try OMP(keepRatio: KeepRatio(0.5)).mask(for: network)
    let statistics = try MaskStatistics(mask, in: network.architecture)
    #expect(statistics.total == 452 && statistics.kept == 226)
    #expect(statistics.effective <= 226 && statistics.effective > 150)
    let work = network.architecture.multiplyAdds(under: mask)
    #expect(work > 0 && work < network.architecture.multiplyAdds)
  }

  @Test("prunes its filters, channels and groups", arguments: ["filter", "channel", "group"])
  func channels(_ name: String) throws {
    let work = try Prune<OMP>(settings: settings(["granularity": .string(name)]), name: "x")
    let run = try Lab().perform(work, in: folder / "run")
    let outcome = try #require(run.outcome)
    #expect(outcome.zeros > 0)
  }

  @Test("finds Early-Bird's channels in it") func earlyBird() throws {
    let network = try ModelFile(contentsOf: file).network
    let channels = try EarlyBird(keepRatio: KeepRatio(0.5)).channelMask(of: network)
    #expect(channels.count == 10 && channels.nonzeroCount() == 5)
  }
}
