import Foundation
import QuenchSupport
import QuenchTorch
import QuenchVision
import Testing

@testable import QuenchPruning

@Suite("Slimming's masks, widths and refusals")
struct SlimmingMaskTests {
  /// conv1 (4 filters) → bn → relu → conv2 (2 filters) → fc; conv1's filters and conv2's planes are one inner
  /// group.
  private func chain() -> Architecture {
    var net = ArchitectureBuilder(input: [1, 4, 4])
    let x = net.relu("relu", net.batchNorm("bn1", net.conv("conv1", net.input, 4, kernel: 1)))
    _ = net.linear("fc", net.globalAverage(net.conv("conv2", x, 2, kernel: 1)), 2)
    return net.build("chain")
  }

  private func resNet() -> Network {
    SlimmingFixture.network(.cifarResNet(depth: 8, input: [3, 8, 8], classes: 10))
  }

  @Test("a set's score is the sum of its members' squared scores, over filters or planes")
  func scores() throws {
    let network = SlimmingFixture.network(chain())
    let masks = try GroupMasks(network)
    let (conv1Scores, conv2Scores, fcScores) = ([1.0, 2, 3, 4], [5.0, 1, 0, 0, 5, 0, 1, 0], [1.0, 1, 1, 1])
    let scores = Tensor(conv1Scores + conv2Scores + fcScores)
    let conv1 = try #require(masks.groups.sets(ofWeight: "conv1.weight", along: .filters)).sets
    func totals(_ side: ChannelGroups.Side) -> [Double] {
      let all = masks.totals(of: scores, along: side).array(Double.self)
      return conv1.map { all[$0] }
    }
    #expect(totals(.filters) == [1, 4, 9, 16])
    #expect(totals(.inputs) == [50, 1, 1, 0])
    let half = try KeepRatio(0.5)
    let filters = masks.mask(scores: scores, keeping: half)
    #expect(filters.layers[0].array(Int.self) == [0, 0, 1, 1])
    #expect(
      filters.layers[1].array(Int.self) == [0, 0, 0, 0, 1, 1, 1, 1],
      "conv2's own filters: 26 and 26, the later stays")
    let inputs = try GroupMasks(network, side: .inputs).mask(scores: scores, keeping: half)
    #expect(inputs.layers[0].array(Int.self) == [1, 1, 1, 1], "the images' channel stays")
    #expect(inputs.layers[1].array(Int.self) == [1, 0, 1, 0, 1, 0, 1, 0])
  }

  @Test(
    "keep exactly the ratio of every layer's filters, the same ones on a stream", arguments: [0.9, 0.5, 0.2, 0.01])
  func ratio(_ value: Double) throws {
    let network = resNet()
    let ratio = try KeepRatio(value)
    let mask = try GroupMasks(network).mask(scores: SlimmingFixture.magnitudes(network), keeping: ratio)
    for (name, layer) in zip(mask.layout.names, mask.layers) where layer.rank == 4 {
      let filters = layer.flattened(from: 1)
      #expect(
        (filters.sum([1]) .== 0).logicalOr(filters.sum([1]) .== Double(filters.size(1))).all(), "whole filters")
      let kept = (filters.sum([1]) .> 0).nonzeroCount()
      if name.contains("conv1") && name != "conv1.weight" {
        #expect(kept == ratio.kept(of: layer.size(0)), "\(name)")
      }
      if name.hasPrefix("layer3") && name.contains("conv2") {
        #expect(kept == ratio.kept(of: 16) * 2 + ratio.kept(of: 32), "three tiers, each by itself")
      }
    }
    let inner = try GroupMasks(network, innerOnly: true).mask(
      scores: SlimmingFixture.magnitudes(network), keeping: ratio)
    #expect(inner.layers[0].all(), "the stem writes the stream")
  }

  @Test("leave widths at multiples of roundTo")
  func rounding() throws {
    let network = resNet()
    let mask = try GroupMasks(network).mask(
      scores: SlimmingFixture.magnitudes(network), keeping: try KeepRatio(0.3))
    var slimming = Slimming(policy: .intersection)
    slimming.silencesMaskedFilters = true
    slimming.roundTo = 8
    let slimmed = try slimming.slim(network, mask: mask)
    #expect(slimmed.report.widths.map(\.after) == [8, 8, 8, 16, 16, 24, 32, 10])
    #expect(slimmed.report.difference.relative <= 1e-12)
    slimming.policy = .groupScore
    #expect(try slimming.slim(network, mask: mask).report.widths.map(\.after) == [8, 8, 8, 16, 16, 24, 32, 10])
  }

  @Test("leave layers alone that are named, with what they read and write")
  func keptLayers() throws {
    let network = resNet()
    let mask = try GroupMasks(network, innerOnly: true)
      .mask(scores: SlimmingFixture.magnitudes(network), keeping: try KeepRatio(0.5))
    var slimming = Slimming()
    slimming.silencesMaskedFilters = true
    slimming.keptLayers = ["layer1", "layer3.0.conv2"]
    let slimmed = try slimming.slim(network, mask: mask)
    #expect(slimmed.report.widths.filter { $0.before != $0.after }.map(\.layer) == ["layer2.0.conv1"])
    #expect(slimmed.report.difference.relative <= 1e-12)

    slimming.keptLayers = ["layer3.0.cnv1"]
    let error = #expect(throws: InputError.self) { try slimming.slim(network, mask: mask) }
    #expect(error?.found == "'layer3.0.cnv1'")
    #expect(error?.remedy?.hasPrefix("did you mean 'layer3.0.c") == true)
  }

  @Test("leave one channel of a layer that is masked whole")
  func empty() throws {
    let network = resNet()
    let layout = WeightLayout(network)
    let layers = layout.shapes.map { Tensor.ones($0) }
    let inner = try #require(layout.names.firstIndex(of: "layer2.0.conv2.weight"))
    layers[inner].fill(with: 0)
    let slimmed = try Slimming().slim(network, mask: Mask(layout: layout, values: layout.joined(layers)))
    #expect(slimmed.report.widths.first { $0.layer == "layer2.0.conv1" }?.after == 1)
    #expect(slimmed.report.difference.relative <= 1e-12)
  }

  @Test("say what the mask asked for, what was reached and what stands in the way")
  func report() throws {
    let network = resNet()
    let mask = try SlimmingFixture.perLayer(network, dimension: 0, keeping: 0.5)
    var slimming = Slimming()
    slimming.silencesMaskedFilters = true
    let report = try slimming.slim(network, mask: mask).report
    // 16 + 2 · (16 + 32 + 64) filters, half of them masked; those inside the three blocks are cut.
    #expect(report.channels == 240)
    #expect(report.maskedChannels == 120)
    #expect(report.removedChannels == 56)
    #expect(report.requestedWeightRatio == mask.keepRatio)
    #expect(report.achievedWeightRatio == Double(report.after.weights) / Double(WeightLayout(network).count))
    #expect(abs(report.requestedMultiplyAddRatio - 0.5) < 0.01, "half the filters of every convolution")
    #expect(
      report.achievedMultiplyAddRatio == Double(report.after.multiplyAdds) / Double(report.before.multiplyAdds))
    #expect(report.silenceable == 0)
    #expect(try JSONDecoder().decode(SlimmingReport.self, from: JSONEncoder().encode(report)) == report)
  }

  @Test("refuse what cuts nothing, and say what would")
  func refusals() throws {
    let network = resNet()
    func remedy(_ mask: Mask, _ slimming: Slimming) -> String? {
      (#expect(throws: InputError.self) { try slimming.slim(network, mask: mask) })?.remedy
    }
    var target = PruningTarget(keepRatio: try KeepRatio(0.8))
    target.scope = .layer
    let single = try OMP(target).mask(for: network)
    #expect(remedy(single, Slimming())?.contains("not single weights") == true)

    let filters = try GroupMasks(network).mask(
      scores: SlimmingFixture.magnitudes(network), keeping: try KeepRatio(0.5))
    for parameter in network.parameters where parameter.name.hasSuffix("bias") {
      withoutGradient { parameter.tensor.fill(with: 9) }
    }
    #expect(remedy(filters, Slimming())?.contains("`silence`") == true)

    let inputs = try GroupMasks(network, side: .inputs).mask(
      scores: SlimmingFixture.magnitudes(network), keeping: try KeepRatio(0.5))
    let stream = WeightLayout(network).names.map { $0.contains("conv2") }
    let layers = zip(inputs.layers, stream).map { $1 ? $0.onesLike() : $0 }
    let outer = Mask(layout: inputs.layout, values: inputs.layout.joined(layers))
    #expect(remedy(outer, Slimming())?.contains("`policy` intersection") == true)

    var rounding = Slimming()
    rounding.roundTo = 64
    #expect(remedy(inputs, rounding)?.contains("`round-to`") == true)
    rounding.roundTo = 0
    #expect(throws: InputError.self) { try rounding.slim(network, mask: inputs) }

    let other = SlimmingFixture.network(chain())
    target.keepRatio = try KeepRatio(0.5)
    let foreign = try OMP(target).mask(for: other)
    let error = #expect(throws: InputError.self) { try Slimming().slim(network, mask: foreign) }
    #expect(error?.problem == "the mask is of another architecture")
    #expect(throws: InputError.self) {
      try Slimming(policy: .groupScore).slim(network, mask: inputs, scores: Tensor([1.0]))
    }
  }

  @Test("refuse a network whose answers are not numbers")
  func notANumber() throws {
    let network = resNet()
    let mask = try GroupMasks(network, side: .inputs).mask(
      scores: SlimmingFixture.magnitudes(network), keeping: try KeepRatio(0.5))
    withoutGradient { network.buffers[0].tensor.fill(with: .nan) }
    let error = #expect(throws: InputError.self) { try Slimming().slim(network, mask: mask) }
    #expect(error?.remedy?.contains("diverge") == true)
  }
}
