import Foundation
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import QuenchPruning

/// Networks as after training, and masks as methods make them.
enum SlimmingFixture {
  /// Weights of a size that carries the image to the answers, batch-norm values and biases at random, so that a
  /// mistake shows.
  static func network(_ architecture: Architecture, dtype: DType = .float64) -> Network {
    let channels = architecture.inputShape[0]
    let network = Network(
      architecture.normalizing(
        mean: Array(repeating: 0.45, count: channels), standardDeviation: Array(repeating: 0.25, count: channels)),
      seed: 5)
    let generator = Generator(seed: 9)
    withoutGradient {
      if architecture.initialization?.convolution == .uniform {
        for entry in network.parameters where entry.tensor.rank == 4 { entry.tensor *= 6.0.squareRoot() }
      }
      for entry in network.parameters where entry.tensor.rank == 1 {
        let mean = entry.name.hasSuffix("weight") ? 1.0 : 0
        entry.tensor.fillNormal(mean: mean, standardDeviation: 0.2, using: generator)
      }
      for entry in network.buffers where entry.tensor.rank == 1 {
        if entry.name.hasSuffix("running_var") {
          entry.tensor.fillUniform(0.5, 2, using: generator)
        } else {
          entry.tensor.fillNormal(standardDeviation: 0.3, using: generator)
        }
      }
    }
    network.convert(to: dtype)
    return network
  }

  /// A mask that keeps, in every convolution by itself, the filters (0) or input planes (1) of the largest L2 norm;
  /// the stem's planes stay.
  static func perLayer(_ network: Network, dimension: Int, keeping ratio: Double) throws -> Mask {
    let layout = WeightLayout(network)
    let keep = try KeepRatio(ratio)
    let layers = layout.split(layout.weights(of: network)).enumerated().map { index, weight in
      guard weight.rank == 4, dimension == 0 || index > 0 else { return weight.onesLike() }
      let norms = weight.square().sum([0, 1, 2, 3].filter { $0 != dimension })
      var shape = [1, 1, 1, 1]
      shape[dimension] = norms.count
      return weight.onesLike() * Mask.topK(norms, keeping: keep.kept(of: norms.count)).reshaped(shape)
    }
    return Mask(layout: layout, values: layout.joined(layers))
  }

  static func magnitudes(_ network: Network) -> Tensor { WeightLayout(network).weights(of: network) }

  static let zoo: [(model: ModelName, side: Int)] = [
    (.smallCNN, 8), (.resnet20, 16), (.resnet18, 8), (.resnet18ImageNet, 32), (.resnet50, 8),
    (.resnet50ImageNet, 32),
    (.vgg16BN, 16), (.wideResNet16x4, 8)
  ]
}

@Suite("A slimmed network")
struct SlimmingExactnessTests {
  @Test(
    "answers as the one whose filters are masked in groups and silent, with half the channels",
    arguments: SlimmingFixture.zoo.filter { $0.model != .resnet50 })
  func filters(model: ModelName, side: Int) throws {
    let network = SlimmingFixture.network(model.architecture(input: [3, side, side], classes: 10))
    let mask = try GroupMasks(network).mask(
      scores: SlimmingFixture.magnitudes(network), keeping: try KeepRatio(0.5))
    let silent = try SilentChannels(mask, of: network)
    #expect(silent.count > 0)
    silent.apply(to: network)
    let slimmed = try Slimming(policy: .intersection).slim(network, mask: mask)

    #expect(slimmed.report.difference.relative <= 1e-12)
    #expect(slimmed.report.change.relative <= 1e-12)
    #expect(slimmed.report.side == .filters)
    #expect(slimmed.report.requestedChannelRatio == 0.5)
    #expect(slimmed.report.achievedChannelRatio == 0.5)
    #expect(slimmed.report.widths.dropLast().allSatisfy { $0.after * 2 == $0.before })
    #expect(slimmed.network.architecture.inputShape == [3, side, side])
    #expect(slimmed.network.architecture.outputShape == [10])
    try slimmed.network.architecture.validate(at: "slimmed")
  }

  @Test(
    "answers as the one whose input planes are masked in groups, whatever its batch norms add",
    arguments: SlimmingFixture.zoo.filter { ![.resnet50, .resnet50ImageNet, .resnet18ImageNet].contains($0.model) })
  func inputs(model: ModelName, side: Int) throws {
    let network = SlimmingFixture.network(model.architecture(input: [3, side, side], classes: 10))
    let mask = try GroupMasks(network, side: .inputs)
      .mask(scores: SlimmingFixture.magnitudes(network), keeping: try KeepRatio(0.25))
    let slimmed = try Slimming(policy: .intersection).slim(network, mask: mask)
    #expect(slimmed.report.difference.relative <= 1e-12)
    #expect(slimmed.report.change == slimmed.report.difference)
    #expect(slimmed.report.side == .inputs)
    #expect(slimmed.report.achievedChannelRatio == slimmed.report.requestedChannelRatio)
    #expect(slimmed.report.after.parameters < slimmed.report.before.parameters / 8)
  }

  @Test("keeps its streams under the default policy, where every layer chose by itself", arguments: [0, 1])
  func innerOnly(dimension: Int) throws {
    let network = SlimmingFixture.network(.cifarResNet(depth: 20, input: [3, 16, 16], classes: 10))
    let mask = try SlimmingFixture.perLayer(network, dimension: dimension, keeping: 0.5)
    var slimming = Slimming()
    slimming.silencesMaskedFilters = dimension == 0
    let slimmed = try slimming.slim(network, mask: mask)
    #expect(slimmed.report.difference.relative <= 1e-12)
    #expect(slimmed.report.after.weights == 134_704)
    #expect(slimmed.report.after.parameters == 135_754)
    #expect(slimmed.report.requestedChannelRatio < slimmed.report.achievedChannelRatio)
    if dimension == 0 {
      #expect(slimmed.report.requestedChannelRatio == 0.5)
      #expect(slimmed.report.change.relative > 0.01, "silence changes the answers, and the report says so")
    }
  }

  @Test(
    "under group scores has agreeing layers: streams are cut by as much as the masks asked for", arguments: [0, 1])
  func groupScore(dimension: Int) throws {
    let network = SlimmingFixture.network(.cifarResNet(depth: 20, input: [3, 16, 16], classes: 10))
    let mask = try SlimmingFixture.perLayer(network, dimension: dimension, keeping: 0.5)
    let slimmed = try Slimming(policy: .groupScore).slim(network, mask: mask)
    #expect(slimmed.report.difference.relative <= 1e-12)
    let widths = slimmed.report.widths.dropLast()
    #expect(widths.allSatisfy { $0.after * 2 == $0.before })
    #expect(slimmed.report.achievedChannelRatio <= slimmed.report.requestedChannelRatio + 0.01)
    #expect((slimmed.mask.values * (mask.values * -1 + 1)).nonzeroCount() == 0, "nothing comes back")
    #expect(slimmed.mask.keptCount < mask.keptCount)
  }

  @Test("cuts of disagreeing masks only what all share, and leaves the rest masked")
  func intersection() throws {
    let network = SlimmingFixture.network(.cifarResNet(depth: 20, input: [3, 16, 16], classes: 10))
    var slimming = Slimming(policy: .intersection)
    slimming.silencesMaskedFilters = true
    let mask = try SlimmingFixture.perLayer(network, dimension: 0, keeping: 0.5)
    let slimmed = try slimming.slim(network, mask: mask)
    slimming.policy = .groupScore
    let grouped = try slimming.slim(network, mask: mask)
    #expect(slimmed.report.difference.relative <= 1e-12)
    #expect(slimmed.report.removedChannels < slimmed.report.maskedChannels)
    #expect(slimmed.report.removedChannels < grouped.report.removedChannels)
    #expect(slimmed.network.parameters[0].tensor.flattened(from: 1).abs().sum([1]).min().item() == 0)
  }

  @Test("is the masked network itself under the policy none")
  func none() throws {
    let network = SlimmingFixture.network(.smallCNN(input: [3, 8, 8], classes: 4))
    let mask = try OMP(keepRatio: KeepRatio(0.3)).mask(for: network)
    let slimmed = try Slimming(policy: .none).slim(network, mask: mask)
    #expect(slimmed.network.architecture == network.architecture)
    #expect(slimmed.report.difference.largest == 0)
    #expect(WeightLayout(slimmed.network).weights(of: slimmed.network).nonzeroCount() == mask.keptCount)
  }

  @Test("with depthwise and grouped convolutions answers as the masked one", arguments: ChannelGroups.Side.allCases)
  func grouped(side: ChannelGroups.Side) throws {
    var net = ArchitectureBuilder(input: [3, 8, 8])
    var x = net.relu("relu1", net.batchNorm("bn1", net.conv("conv", net.input, 16)))
    x = net.append("depthwise", .conv2d(Conv2d(inputs: 16, outputs: 16, kernel: 3, padding: 1, groups: 16)), x)
    x = net.relu("relu2", net.batchNorm("bn2", x))
    x = net.relu("relu3", net.batchNorm("bn3", net.conv("pointwise", x, 24, kernel: 1)))
    let skip = net.append("grouped", .conv2d(Conv2d(inputs: 24, outputs: 24, kernel: 3, padding: 1, groups: 4)), x)
    x = net.append("difference", .subtract, x, net.batchNorm("bn4", skip))
    x = net.append("pool", .averagePool(kernel: 2, stride: 2), x)
    _ = net.linear("fc", net.append("flatten", .flatten, x), 5)
    let network = SlimmingFixture.network(net.build("mixed"))
    let mask = try GroupMasks(network, side: side)
      .mask(scores: SlimmingFixture.magnitudes(network), keeping: try KeepRatio(0.5))
    var slimming = Slimming(policy: .intersection)
    slimming.silencesMaskedFilters = side == .filters
    let slimmed = try slimming.slim(network, mask: mask)
    #expect(slimmed.report.difference.relative <= 1e-12)
    #expect(slimmed.report.widths.map(\.after) == [8, 8, 12, 12, 5])
  }

  @Test("goes with all that only it reads, and all that reads only it")
  func closure() throws {
    var net = ArchitectureBuilder(input: [3, 8, 8])
    var x = net.input
    for (index, width) in [4, 5, 6].enumerated() {
      x = net.relu("relu\(index)", net.batchNorm("bn\(index)", net.conv("conv\(index)", x, width)))
    }
    _ = net.linear("fc", net.globalAverage(x), 3)
    let network = SlimmingFixture.network(net.build("chain"))
    let layout = WeightLayout(network)
    let layers = layout.shapes.map { Tensor.ones($0, dtype: .float64) }
    layers[2][TensorIndex.all, 1].fill(with: 0)  // nobody reads filter 1 of conv1,
    layers[1][TensorIndex.all, 2].fill(with: 0)  // which alone reads filter 2 of conv0
    layers[1][1, 2].fill(with: 1)
    let mask = Mask(layout: layout, values: layout.joined(layers))
    let slimmed = try Slimming().slim(network, mask: mask)
    #expect(slimmed.report.widths.map(\.after) == [3, 4, 6, 3])
    #expect(slimmed.report.difference.relative <= 1e-12)
  }

  @Test("saves and loads with its own shapes, plans, and trains on", arguments: SlimmingFixture.zoo)
  func file(model: ModelName, side: Int) throws {
    let network = SlimmingFixture.network(
      model.architecture(input: [3, side, side], classes: 10), dtype: .float32)
    let mask = try GroupMasks(network).mask(
      scores: SlimmingFixture.magnitudes(network), keeping: try KeepRatio(0.3))
    var slimming = Slimming(policy: .intersection)
    slimming.silencesMaskedFilters = true
    let slimmed = try slimming.slim(network, mask: mask).network

    let folder = try TemporaryFolder()
    let url = folder / "slimmed.safetensors"
    try ModelFile(slimmed, classNames: (0..<10).map { "\($0)" }).write(to: url)
    let loaded = try ModelFile(contentsOf: url).network
    #expect(loaded.architecture == slimmed.architecture)
    #expect(loaded.parameters.map(\.tensor.shape) == slimmed.parameters.map(\.tensor.shape))
    #expect(OutputDifference(of: loaded, from: slimmed).largest == 0)

    let images = Tensor.uniform([4, 3, side, side], using: Generator(seed: 2))
    let expected = withoutGradient { loaded(images) }
    let planned = InferencePlan(loaded, batchSize: 4, dtype: .float32)(images)
    #expect((planned - expected).abs().max().item() <= 1e-4 * expected.abs().max().item())

    slimmed.isTraining = true
    let loss = slimmed(images).crossEntropy(Tensor([0, 1, 2, 3]))
    let found = gradients(of: [loss], withRespectTo: slimmed.parameters.map(\.tensor))
    #expect(zip(found, slimmed.parameters).allSatisfy { $0?.shape == $1.tensor.shape })
  }
}
