import Foundation
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import QuenchPruning

@Suite("Slimming a network imported from PyTorch") struct ImportedSlimmingTests {
  private func network(_ program: Data) throws -> Network {
    let folder = try TemporaryFolder()
    try folder.write(program, "network.pt2")
    let network = try ModelFile(contentsOf: folder / "network.pt2").network
    network.convert(to: .float64)
    return network
  }

  /// The sets that the filters of a layer are in.
  private func sets(_ name: String, _ groups: ChannelGroups) throws -> [Int] {
    try #require(groups.sets(ofWeight: "\(name).weight", along: .filters)).sets
  }

  @Test("couples what sums, gates, shuffles and heads couple") func groups() throws {
    let groups = try ChannelGroups(network(ExportedSample.channels()).architecture)
    let stem = try sets("stem", groups)
    #expect(Set(stem).count == 8)
    for name in ["depthwise", "excite", "point"] { #expect(try sets(name, groups) == stem, "\(name)") }
    #expect(try sets("left", groups) == sets("right", groups), "a shuffle's halves go together")
    #expect(Set(try sets("qkv", groups)).count == 2, "a head is one channel")
    #expect(Set(try sets("hidden", groups)).count == 16)
    let up = try sets("up", groups)
    #expect(Set(up).count == 6 && up.allSatisfy { !groups.coupled[$0].isFrozen })
    let consumers = groups.coupled[up[0]].consumers
    #expect(consumers.map { groups.graph.nodes[$0.node].target } == ["aten::conv2d"])
    #expect(groups.frozen.allSatisfy { $0.operatorName == "aten::layer_norm" })
    #expect(Set(groups.frozen.flatMap(\.parameters)) == ["down.weight", "project.weight", "out.weight"])
    #expect(groups.unknownNodes.isEmpty)
  }

  @Test("cuts half of every class, and answers as the masked network", arguments: ChannelGroups.Side.allCases)
  func half(side: ChannelGroups.Side) throws {
    let network = try network(ExportedSample.channels())
    let masked = try HalvedNetwork(network, side: side)
    #expect(masked.removed == 4 + 2 + 2 + 3 + 1 + 8)
    #expect(masked.difference.relative <= 1e-12)
    #expect(masked.slimmed.architecture.multiplyAdds < network.architecture.multiplyAdds)
    try masked.slimmed.architecture.validate(at: "slimmed")
    let folder = try TemporaryFolder()
    try ModelFile(masked.slimmed).write(to: folder / "slimmed.safetensors")
    let loaded = try ModelFile(contentsOf: folder / "slimmed.safetensors").network
    #expect(loaded.parameters.map(\.tensor.shape) == masked.slimmed.parameters.map(\.tensor.shape))
  }

  @Test("says by name which operator holds which channels, where no rule is known") func unknown() throws {
    let network = try network(ExportedSample.rooms())
    var graph = network.graph
    let position = try #require(graph.nodes.firstIndex { $0.target == "aten::relu" })
    graph.nodes[position].target = "aten::logit"
    let groups = try ChannelGroups(Architecture(name: "strange", graph: graph))
    #expect(groups.unknownNodes == [position])
    let frozen = try #require(groups.frozen.first)
    #expect(frozen.operatorName == "aten::logit" && frozen.parameters == ["conv1.weight"] && frozen.channels == 4)
  }

  @Test("prunes groups of heads and hidden units so that they can be cut") func masks() throws {
    let network = try network(ExportedSample.channels())
    let ratio = try KeepRatio(0.5)
    let mask = try GroupMasks(network).mask(scores: WeightLayout(network).weights(of: network), keeping: ratio)
    var slimming = Slimming(policy: .intersection)
    slimming.silencesMaskedFilters = true
    let slimmed = try slimming.slim(network, mask: mask)
    #expect(slimmed.report.difference.relative <= 1e-12)
    let widths = Dictionary(uniqueKeysWithValues: slimmed.report.widths.map { ($0.layer, $0.after) })
    #expect(
      widths["qkv"] == 12 && widths["hidden"] == 8 && widths["stem"] == 4 && widths["left"] == 2
        && widths["up"] == 3)
    #expect(slimmed.report.frozen.map(\.operatorName) == ["aten::layer_norm"])
  }

  /// As many as the folder `QUENCH_EXPORTED_NETWORKS` holds, each in a line of a table.
  @Test(
    "cuts half of every class of the networks in a folder",
    .enabled(
      if: NetworkFolder.exported.isPresent,
      "QUENCH_EXPORTED_NETWORKS names no folder that scripts/reference_networks.py wrote"))
  func folder() throws {
    for url in NetworkFolder.exported.files {
      let name = url.deletingPathExtension().lastPathComponent
      do {
        let network = try ModelFile(contentsOf: url).network
        let halved = try HalvedNetwork(network, side: .filters)
        let groups = try ChannelGroups(network.architecture)
        let plans = [network, halved.slimmed].map { InferencePlan($0, batchSize: 1, dtype: .float32) }
        let latency = Latency(of: plans, batchSize: 1, roundSeconds: 0.05)
        print(
          "halved \(name): \(halved.removed) channels, multiply-adds \(network.architecture.multiplyAdds) to",
          "\(halved.slimmed.architecture.multiplyAdds), difference \(halved.difference.relative) of \(halved.difference.scale),",
          "milliseconds \(latency.seconds.map { $0 * 1000 }), unknown \(Set(groups.unknownNodes.map { groups.graph.nodes[$0].target })),",
          "frozen \(Set(groups.frozen.map(\.operatorName)))")
        print("widths \(name):", halved.widths.joined(separator: " "))
        #expect(halved.difference.relative <= 1e-5, "\(name)")
      } catch { Issue.record("\(name): \(error)") }
    }
  }
}
