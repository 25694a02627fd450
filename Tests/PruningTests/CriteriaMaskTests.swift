import Foundation
import QuenchPruning
import QuenchSupport
import QuenchTorch
import QuenchVision
import Testing

@Suite("Mask statistics")
struct CriteriaMaskStatisticsTests {
  /// A mask of `network` that keeps the weights at `kept`.
  static func mask(_ network: Network, keeping kept: [Int]) -> Mask {
    let layout = WeightLayout(network)
    return Mask(layout: layout, values: Tensor.zeros([layout.count]).scattered(0, Tensor(kept), 1))
  }

  @Test("a kept weight whose unit has no input is not effective")
  func collapse() throws {
    let network = try LinearNetwork.collapsing()
    let statistics = try MaskStatistics(Self.mask(network, keeping: [9, 10, 15, 17, 19]), in: network.architecture)
    #expect(statistics.kept == 5)
    #expect(statistics.effective == 4)
    #expect(statistics.effectiveSparsity == 0.8)
    #expect(statistics.layers.map(\.name) == ["fc1.weight", "fc2.weight"])
    let rows = statistics.layers.map { [$0.total, $0.kept, $0.effective, $0.units, $0.deadUnits] }
    #expect(rows == [[12, 2, 2, 4, 3], [8, 3, 2, 2, 0]])
  }

  @Test("a kept weight whose unit has no output is not effective")
  func noOutput() throws {
    let network = try LinearNetwork.collapsing()
    // A[0, 0] and A[3, 2]; B[0, 3] alone goes on.
    let statistics = try MaskStatistics(Self.mask(network, keeping: [0, 11, 15]), in: network.architecture)
    #expect(statistics.layers.map(\.effective) == [1, 1])
    #expect(statistics.layers.map(\.deadUnits) == [3, 1])
  }

  @Test(
    "everything is effective where everything is kept",
    arguments: [
      .resnet20, .resnet18ImageNet, .vgg16BN, .wideResNet16x4, .smallCNN, .dncnn
    ] as [ModelName])
  func dense(_ model: ModelName) throws {
    let network = Network(model.architecture(input: [3, 32, 32], classes: 10), seed: 0)
    let layout = WeightLayout(network)
    let statistics = try MaskStatistics(
      Mask(layout: layout, values: .ones([layout.count])), in: network.architecture)
    #expect(statistics.layers.map(\.name) == layout.names)
    #expect(statistics.total == layout.count)
    #expect(statistics.kept == layout.count)
    #expect(statistics.effective == layout.count)
    #expect(statistics.deadUnits == 0)
  }

  @Test(
    "effective weights are those that a flow of ones passes through",
    arguments: [ModelName.resnet20, .wideResNet16x4, .smallCNN], [0.3, 0.02, 0.003])
  func flow(_ model: ModelName, _ keep: Double) throws {
    let network = Network(model.architecture(input: [3, 32, 32], classes: 10), seed: 0)
    withoutGradient {
      for entry in network.parameters { entry.tensor.fill(with: entry.name.hasSuffix(".weight") ? 0.1 : 0) }
    }
    let layout = WeightLayout(network)
    let random = Tensor.uniform([layout.count], using: Generator(seed: 8))
    let mask = Mask(
      layout: layout, values: Mask.topK(random, keeping: try KeepRatio(keep).kept(of: layout.count)))
    let scores = SynFlow.scores(of: network, layout: layout, mask: mask.values).scores
    let statistics = try MaskStatistics(mask, in: network.architecture)
    #expect(statistics.layers.map(\.effective) == layout.split(scores).map { ($0 .> 0).nonzeroCount() })
    #expect(statistics.kept == mask.keptCount)
    if keep < 0.01 { #expect(statistics.effective < statistics.kept) }
  }

  @Test("groups of a convolution are apart")
  func groups() throws {
    var builder = ArchitectureBuilder(input: [2, 4, 4])
    var x = builder.append(
      "conv", .conv2d(Conv2d(inputs: 2, outputs: 4, kernel: 1, groups: 2)), builder.input)
    x = builder.append("last", .conv2d(Conv2d(inputs: 4, outputs: 4, kernel: 1, groups: 2)), x)
    let network = Network(builder.build("grouped"), seed: 0)
    // conv: [4, 1], last: [4, 2]. Kept: conv 0 and 3; last 0 ← (conv 0, conv 1), 2 ← (conv 2).
    let statistics = try MaskStatistics(Self.mask(network, keeping: [0, 3, 4, 5, 8]), in: network.architecture)
    #expect(statistics.layers.map(\.kept) == [2, 3])
    #expect(statistics.layers.map(\.effective) == [1, 1])
    #expect(statistics.layers.map(\.deadUnits) == [3, 3])
  }

  @Test("the parameter-free shortcut carries paths to its channels alone")
  func shortcut() throws {
    var builder = ArchitectureBuilder(input: [2, 4, 4])
    let x = builder.append(
      "shortcut", .zeroPadShortcut(stride: 2, positions: [1, 2], channels: 4), builder.input)
    _ = builder.conv("conv", x, 1, kernel: 1)
    let network = Network(builder.build("short"), seed: 0)
    let statistics = try MaskStatistics(Self.mask(network, keeping: [0, 1, 2]), in: network.architecture)
    #expect(statistics.kept == 3)
    #expect(statistics.effective == 2)
  }

  @Test("a mask without a path leaves nothing effective")
  func empty() throws {
    let network = try LinearNetwork.collapsing()
    let statistics = try MaskStatistics(Self.mask(network, keeping: [0, 19]), in: network.architecture)
    #expect(statistics.kept == 2)
    #expect(statistics.effective == 0)
    #expect(statistics.deadUnits == 6)
  }
}

@Suite("The distance of masks")
struct CriteriaMaskDistanceTests {
  static func mask(_ digits: String) throws -> Mask {
    let network = try LinearNetwork.make([[[Double](repeating: 1, count: digits.count)]])
    return Mask(layout: WeightLayout(network), values: Tensor(digits.map { $0 == "1" ? 1.0 : 0 }))
  }

  @Test("is the fraction of positions where they differ")
  func hamming() throws {
    let mask = try Self.mask("1101011101")
    #expect(mask.hammingDistance(to: try Self.mask("1101111101")) == 0.1)
    #expect(mask.hammingDistance(to: mask) == 0)
  }

  @Test("overlap is what both keep over what either keeps")
  func overlap() throws {
    #expect(try Self.mask("1101").intersectionOverUnion(with: try Self.mask("0111")) == 0.5)
  }
}
