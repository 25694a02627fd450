import Foundation
import QuenchSupport
import QuenchTorch
import QuenchVision
import Testing

@testable import QuenchPruning

@Suite("Constants of masked filters, and batch norm's statistics")
struct SlimmingStatisticsTests {
  /// conv1 → bn1 → relu → conv2 → fc, float64, with γ 2, μ 0.5, σ² 4 in bn1.
  private func network(shift: Double) -> Network {
    var net = ArchitectureBuilder(input: [2, 6, 6])
    var x = net.relu("relu", net.batchNorm("bn1", net.conv("conv1", net.input, 4)))
    x = net.batchNorm("bn2", net.conv("conv2", x, 3))
    _ = net.linear("fc", net.globalAverage(x), 2)
    let network = SlimmingFixture.network(net.build("constants"))
    withoutGradient {
      for (name, value) in [
        ("bn1.weight", 2), ("bn1.bias", shift), ("bn1.running_mean", 0.5), ("bn1.running_var", 4)
      ] {
        (network.parameters + network.buffers).first { $0.name == name }?.tensor.fill(with: value)
      }
    }
    return network
  }

  /// Filters 1 and 2 of conv1 masked.
  private func mask(_ network: Network) -> Mask {
    let layout = WeightLayout(network)
    let layers = layout.shapes.map { Tensor.ones($0) }
    layers[0][1..<3].fill(with: 0)
    return Mask(layout: layout, values: layout.joined(layers))
  }

  @Test(
    "a masked filter's batch norm is β - γ·μ/√(σ² + ε), which only ReLU may hide",
    arguments: [(0.3, -0.199999375, 0.0), (0.8, 0.3000006250, 0.3000006250)])
  func constant(shift: Double, expected: Double, afterReLU: Double) throws {
    let network = network(shift: shift)
    mask(network).apply(to: network)
    let constants = try ChannelFlow(ChannelGroups(network.architecture), network).constants()
    func after(_ name: String) throws -> [Double?] {
      let node = try #require(constants.graph.nodes.first { $0.name == name })
      let value = try #require(node.defines.first)
      return try #require(constants[value, 1])
    }
    #expect(try after("conv1") == [nil, 0, 0, nil])
    #expect(try after("bn1")[0] == nil)
    let (normed, rectified) = (try after("bn1")[1], try after("relu")[2])
    #expect(abs(try #require(normed) - expected) < 1e-9)
    #expect(abs(try #require(rectified) - afterReLU) < 1e-9)
  }

  @Test("a filter is cut where its constant is hidden, and not where the next layer reads it")
  func cut() throws {
    let hidden = network(shift: 0.3)
    let report = try Slimming().slim(hidden, mask: mask(hidden)).report
    #expect(report.widths.map(\.after) == [2, 3, 2])
    #expect(report.change.relative <= 1e-12)

    let read = network(shift: 0.8)
    let error = #expect(throws: InputError.self) { try Slimming().slim(read, mask: mask(read)) }
    #expect(error?.found?.contains("constant") == true)

    withoutGradient {
      read.parameters.first { $0.name == "bn1.bias" }?.tensor.copy(from: Tensor([0.8, -3, 0.8, 0.8]))
    }
    let half = try Slimming().slim(read, mask: mask(read))
    #expect(half.report.widths.map(\.after) == [3, 3, 2])
    #expect(half.report.silenceable == 1)
    #expect(half.report.change.relative <= 1e-12)
  }

  @Test("silent, masked filters add nothing, and the cut network equals the masked one; untouched, it would not")
  func silence() throws {
    let network = network(shift: 0.8)
    let mask = mask(network)
    let silent = try SilentChannels(mask, of: network)
    #expect(silent.count == 2)
    let before = network.copy()
    silent.apply(to: network)
    let bias = try #require(network.parameters.first { $0.name == "bn1.bias" }).tensor
    #expect(bias.array(Double.self) == [0.8, 0, 0, 0.8])
    let report = try Slimming().slim(network, mask: mask).report
    #expect(report.widths.map(\.after) == [2, 3, 2])
    #expect(report.change.relative <= 1e-12)
    mask.apply(to: before)
    mask.apply(to: network)
    #expect(OutputDifference(of: network, from: before).relative > 1e-3)
  }

  @Test(
    "biases of masked filters fall silent, those of the answers stay, and so does a γ that only happens to be 0")
  func silentBiases() throws {
    var net = ArchitectureBuilder(input: [1, 4, 4])
    var x = net.relu("relu", net.conv("conv1", net.input, 3, kernel: 1, bias: true))
    x = net.batchNorm("bn", net.conv("conv2", x, 2, kernel: 1))
    _ = net.linear("fc", net.globalAverage(x), 2)
    let network = SlimmingFixture.network(net.build("biases"))
    withoutGradient {
      for name in ["bn.weight", "bn.bias"] { network.parameters.first { $0.name == name }?.tensor.fill(with: 0) }
    }
    let layout = WeightLayout(network)
    let layers = layout.shapes.map { Tensor.ones($0) }
    layers[0][0].fill(with: 0)
    layers[2].fill(with: 0)
    let silent = try SilentChannels(Mask(layout: layout, values: layout.joined(layers)), of: network)
    #expect(silent.count == 1)
    withoutGradient {
      for parameter in network.parameters where parameter.tensor.rank == 1 { parameter.tensor.fill(with: 1) }
    }
    silent.apply(to: network)
    let values = network.parameters.filter { $0.tensor.rank == 1 }.map { ($0.name, $0.tensor.array(Double.self)) }
    #expect(values.map(\.0) == ["conv1.bias", "bn.weight", "bn.bias", "fc.bias"])
    #expect(values.map(\.1) == [[0, 1, 1], [1, 1], [1, 1], [1, 1]])
  }

  @Test("recalibrated statistics are the means over batches of each batch's own")
  func recalibration() throws {
    var net = ArchitectureBuilder(input: [2, 3, 3])
    let x = net.batchNorm("bn", net.input)
    _ = net.linear("fc", net.globalAverage(x), 2)
    let network = Network(net.build("statistics"), seed: 1)
    let generator = Generator(seed: 3)
    let batches = (0..<3).map { _ in Tensor.uniform([5, 2, 3, 3], using: generator) }
    let weights = network.parameters.map { $0.tensor.cloned() }
    network.recalibrateBatchNorm(on: batches)
    func mean(_ values: [Tensor]) -> Tensor { Tensor.stacked(values).mean([0]) }
    #expect(network.buffers[0].tensor.isClose(to: mean(batches.map { $0.mean([0, 2, 3]) }), relative: 1e-5))
    #expect(network.buffers[1].tensor.isClose(to: mean(batches.map { $0.variance([0, 2, 3]) }), relative: 1e-5))
    #expect(zip(network.parameters, weights).allSatisfy { $0.tensor.isEqual(to: $1) })
    #expect(!network.isTraining)

    let kept = network.buffers[0].tensor.cloned()
    network.recalibrateBatchNorm(on: [Tensor]())
    #expect(network.buffers[0].tensor.isEqual(to: kept))
  }

  @Test("recalibration brings a network back whose statistics went astray")
  func recovery() throws {
    let network = SlimmingFixture.network(.smallCNN(input: [3, 8, 8], classes: 4), dtype: .float32)
    let images = Tensor.uniform([64, 3, 8, 8], using: Generator(seed: 6))
    network.recalibrateBatchNorm(on: [images])
    let healthy = network.copy()
    withoutGradient { for entry in network.buffers where entry.tensor.rank == 1 { entry.tensor *= 3 } }
    let astray = OutputDifference(of: network, from: healthy).relative
    network.recalibrateBatchNorm(on: [images])
    #expect(astray > 0.05)
    #expect(OutputDifference(of: network, from: healthy).relative < 1e-4)
  }
}
