import Foundation
import QuenchSupport
import QuenchTorch
import Testing

@testable import QuenchVision

@Suite(
  "An inference plan in int8",
  .enabled(if: IntegerOperators.areOffered(on: .cpu), "exact 8-bit products are not offered here"))
struct IntegerPlanTests {
  private func pixels(_ count: Int, _ shape: [Int], seed: UInt64 = 1) -> Tensor {
    Tensor.uniform([count] + shape, using: Generator(seed: seed))
  }

  /// The planned logits, and how far they lie from the network's own as a share of the largest of these.
  private func compared(_ network: Network, on images: Tensor) throws -> (
    logits: Tensor, expected: Tensor, error: Double
  ) {
    network.isTraining = false
    let plan = try InferencePlan(network, batchSize: 4, calibration: images)
    let expected = withoutGradient { network(images) }
    let logits = plan(images)
    #expect(plan.dtype == .int8 && logits.dtype == .float32)
    return (logits, expected, (logits - expected).abs().max().item() / expected.abs().max().item())
  }

  /// What is converted from numbers to bytes or back, in order.
  private func conversions(_ plan: PlannedNetwork) -> [String] {
    plan.network.graph.nodes.filter { $0.target == "aten::to.dtype" }.map(\.name)
  }

  @Test("answers close to the network, with every layer in integers and no rounding between two of them")
  func close() throws {
    let network = Network(.smallCNN(input: [1, 16, 16], classes: 10), seed: 1)
    let images = pixels(64, [1, 16, 16])
    let (logits, expected, error) = try compared(network, on: images)
    #expect(error > 0 && error < 0.03)
    #expect((logits.argmax(1) .== expected.argmax(1)).to(.float32).mean().item() >= 0.9)
    let plan = try PlannedNetwork(network.foldingBatchNorm(), batchSize: 4, calibration: images)
    #expect(plan.integerLayers == FusedLayer.count(in: network.graph))
    // The images are rounded, and what poolings in float32 give.
    let targets = plan.network.graph.nodes.map(\.target)
    #expect(targets.count { $0 == "aten::to.dtype" } <= 1 + targets.count { $0.contains("pool") })
    // Other images than those of the calibration, and another number of them.
    let others = pixels(5, [1, 16, 16], seed: 2)
    let whole = try InferencePlan(network, calibration: images)
    #expect(whole(others).isClose(to: withoutGradient { network(others) }, relative: 0.1, absolute: 0.1))
  }

  @Test("adds residual branches in integers") func residual() throws {
    let network = Network(ModelName.resnet20.architecture(input: [3, 16, 16], classes: 10), seed: 1)
    let images = pixels(32, [3, 16, 16])
    #expect(try compared(network, on: images).error < 0.06)
    let plan = try PlannedNetwork(network.foldingBatchNorm(), batchSize: 4, calibration: images)
    #expect(plan.network.graph.nodes.contains { $0.target == IntegerOperators.convolutionSum })
    #expect(!plan.network.graph.nodes.contains { $0.target == "aten::relu" })
    // Shortcuts stay in bytes. The last sum is in float32, as the pooling that reads it.
    #expect(conversions(plan) == ["input.bytes", "layer3.1.relu2.numbers", "avgpool.bytes"])
  }

  @Test("moves elements in bytes, with zeros where the bytes' zero is not 0") func moves() throws {
    var net = ArchitectureBuilder(input: [2, 8, 8])
    let x = net.conv("a", net.input, 4)
    let padded = net.append("pad", .zeroPadShortcut(stride: 2, positions: [1, 2, 3, 4], channels: 6), x)
    let sum = net.add("sum", net.conv("b", x, 6, stride: 2), padded)
    _ = net.linear("head", net.globalAverage(net.relu("relu", net.conv("c", sum, 4))), 3)
    let network = Network(net.build("moves"), seed: 1)
    let images = pixels(16, [2, 8, 8])
    #expect(try compared(network, on: images).error < 0.05)
    let plan = try PlannedNetwork(network.foldingBatchNorm(), batchSize: 4, calibration: images)
    #expect(conversions(plan) == ["input.bytes", "avgpool.bytes"])
    let zero = plan.network.graph.nodes.first { $0.target == "aten::constant_pad_nd" }?.real("value")
    #expect(try #require(zero) > 0, "the sums before the pad are of both signs")
  }

  @Test("leaves a branch as it is that others read after the sum") func branches() throws {
    var net = ArchitectureBuilder(input: [2, 6, 6])
    let a = net.relu("a relu", net.conv("a", net.input, 4))
    let b = net.add("sum", net.conv("b", a, 4), a)
    let c = net.add("other sum", net.conv("c", a, 4), a)
    _ = net.linear("head", net.globalAverage(net.add("all", b, c)), 3)
    let network = Network(net.build("branches"), seed: 1)
    #expect(try compared(network, on: pixels(16, [2, 6, 6])).error < 0.05)
  }

  @Test("needs a layer whose input is finite") func none() throws {
    let network = Network(.smallCNN(input: [1, 8, 8], classes: 10), seed: 1)
    let error = #expect(throws: InputError.self) {
      try InferencePlan(network, calibration: Tensor.full([4, 1, 8, 8], .infinity))
    }
    #expect(error?.problem == "no layer of the network can be computed in int8")
  }
}
