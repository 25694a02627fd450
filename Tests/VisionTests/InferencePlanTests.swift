import QuenchTorch
import Testing

@testable import QuenchVision

@Suite("An inference plan") struct InferencePlanTests {
  @Test("computes the same where other nodes stand between a convolution and what follows it") func crossed() {
    var net = ArchitectureBuilder(input: [2, 4, 4])
    let a = net.conv("a", net.input, 2)
    let b = net.conv("b", net.input, 2)
    let c = net.relu("c", a)
    let d = net.add("d", b, a)
    _ = net.add("e", d, c)
    let network = Network(net.build("crossed"), seed: 1)
    let images = Tensor.uniform([3, 2, 4, 4], 0, 1, using: Generator(seed: 1))
    let expected = withoutGradient { network(images) }
    #expect(InferencePlan(network, dtype: .float32)(images).isClose(to: expected, relative: 1e-4, absolute: 1e-5))
  }

  @Test("answers NaN where the network does, and takes ReLU into convolutions where there can be none")
  func undefined()
    throws
  {
    let images = Tensor.uniform([4, 1, 8, 8], 0, 1, using: Generator(seed: 1))
    let architecture = ModelName.smallCNN.architecture(input: [1, 8, 8], classes: 10)
    let sound = Network(architecture, seed: 1)
    let bounds = OutputBounds(of: sound.foldingBatchNorm(), pixels: 1)
    #expect(bounds.bounds.allSatisfy { $0 < 1e6 } && bounds.guarded.isEmpty)
    var changed = sound.state
    // Infinities of both signs meet in the second convolution.
    changed["bn1.weight"] = try #require(changed["bn1.weight"]) * 1e20
    changed["conv2.weight"] = try #require(changed["conv2.weight"]) * 1e20
    var negative = sound.state
    negative["bn1.running_var"] = try #require(negative["bn1.running_var"]) * -1
    for state in [changed, negative] {
      let network = Network(architecture, seed: 1)
      try network.load(state, from: "test")
      network.isTraining = false
      #expect(withoutGradient { network(images) }.isFinite().any() == false)
      for dtype in [DType.float32, .bfloat16] {
        #expect(InferencePlan(network, dtype: dtype)(images).isFinite().any() == false)
      }
    }
  }

  @Test(
    "a deep network keeps its fused steps, and answers as it does by itself where activations grow out of bounds")
  func deep() throws {
    let network = Network(ModelName.resnet110.architecture(input: [3, 16, 16], classes: 10), seed: 1)
    network.isTraining = false
    let folded = network.foldingBatchNorm()
    let bounds = OutputBounds(of: folded, pixels: 1)
    #expect(folded.architecture.nodes.indices.allSatisfy(bounds.isFinite))
    #expect(!bounds.guarded.isEmpty)
    #expect(bounds.guarded.count < 60, "\(bounds.guarded.count) of \(folded.architecture.nodes.count)")
    let plan = InferencePlan(network, batchSize: 2, dtype: .float32)
    for scale in [1.0, 1e20] {
      let images = Tensor.uniform([2, 3, 16, 16], 0, 1, using: Generator(seed: 1)) * scale
      let expected = withoutGradient { network(images) }
      let largest: Double = expected.abs().max().item()
      #expect(((plan(images) - expected).abs().max().item() as Double) <= 1e-4 * largest)
    }
  }

  @Test("computes in bfloat16 also where the processor has to imitate it") func bfloat16() {
    let network = Network(ModelName.smallCNN.architecture(input: [1, 8, 8], classes: 10), seed: 1)
    let images = Tensor.uniform([4, 1, 8, 8], 0, 1, using: Generator(seed: 1))
    let expected = withoutGradient { network(images) }
    let logits = InferencePlan(network, dtype: .bfloat16)(images)
    #expect(logits.dtype == .float32)
    #expect(logits.isClose(to: expected, relative: 0.05, absolute: 0.05))
  }
}
