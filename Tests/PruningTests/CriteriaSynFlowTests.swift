import Foundation
import QuenchPruning
import QuenchSupport
import QuenchTorch
import QuenchVision
import Testing

/// Small networks of linear layers with given weights, ReLU between them.
enum LinearNetwork {
  static func make(_ matrices: [[[Double]]]) throws -> Network {
    var builder = ArchitectureBuilder(input: [matrices[0][0].count])
    var x = builder.input
    var state = StateDictionary()
    for (index, matrix) in matrices.enumerated() {
      if index > 0 { x = builder.relu("relu\(index)", x) }
      let shape = [matrix.count, matrix[0].count]
      x = builder.append("fc\(index + 1)", .linear(Linear(inputs: shape[1], outputs: shape[0], bias: false)), x)
      state["fc\(index + 1).weight"] = Tensor(matrix.flatMap { $0 }, shape: shape)
    }
    let network = Network(builder.build("linear"), seed: 0)
    network.convert(to: .float64)
    try network.load(state, from: "test")
    return network
  }

  /// Its second layer is so much smaller that global magnitude pruning cuts all of it.
  static func collapsing() throws -> Network {
    try make([[[3, 2, 1], [1, 4, 2], [2, 1, 5], [4, 3, 2]], [[0.3, 0.1, 0.2, 0.4], [0.2, 0.5, 0.1, 0.3]]])
  }
}

@Suite("SynFlow")
struct CriteriaSynFlowTests {
  @Test("scores of linear layers are the flow through each weight")
  func linear() throws {
    let network = try LinearNetwork.make([[[1, -2], [3, -1]], [[2, -1]]])
    let (scores, flow) = SynFlow.scores(of: network, layout: WeightLayout(network))
    #expect(flow == 10)
    expectClose(scores, [2, 4, 3, 1, 6, 4])
  }

  @Test("a convolution with padding passes its flow on to the linear layer")
  func convolution() throws {
    var builder = ArchitectureBuilder(input: [1, 3, 3])
    var x = builder.relu("relu", builder.conv("conv", builder.input, 1))
    x = builder.append("flatten", .flatten, x)
    _ = builder.append("fc", .linear(Linear(inputs: 9, outputs: 1, bias: false)), x)
    let network = Network(builder.build("conv"), seed: 0)
    network.convert(to: .float64)
    let count = (1...9).map(Double.init)
    try network.load(
      StateDictionary([
        ("conv.weight", Tensor(count, shape: [1, 1, 3, 3])), ("fc.weight", Tensor(count, shape: [1, 9]))
      ]), from: "test")
    let (scores, flow) = SynFlow.scores(of: network, layout: WeightLayout(network))
    #expect(flow == 1085)
    let layer: [Double] = [28, 78, 72, 132, 225, 162, 112, 168, 108]
    expectClose(scores, layer + layer)
  }

  @Test("every layer's scores add up to the flow, with batch norm, pooling and pixels normalised")
  func conservation() throws {
    let architecture = Architecture.smallCNN(input: [3, 16, 16], classes: 5)
      .normalizing(mean: [0.5, 0.4, 0.3], standardDeviation: [0.2, 0.2, 0.2])
    let network = Network(architecture, seed: 3)
    let bias = try #require(network.parameters.first { $0.name == "fc.bias" }).tensor
    let shift = try #require(network.parameters.first { $0.name == "bn2.bias" }).tensor
    let mean = try #require(network.buffers.first { $0.name == "bn3.running_mean" }).tensor
    withoutGradient {
      bias.fill(with: 0)
      shift.fill(with: 0.3)
      mean.fill(with: -7)
    }
    let layout = WeightLayout(network)
    let (scores, flow) = SynFlow.scores(of: network, layout: layout)
    #expect(flow > 0)
    for layer in layout.split(scores) { #expect(abs(layer.sum().item() / flow - 1) < 1e-12) }
  }

  @Test("density falls by the same factor each round")
  func schedule() throws {
    let method = SynFlow(keepRatio: try KeepRatio(0.1))
    let expected = [
      (1, 0.977237221), (2, 0.954992586), (10, 0.794328235), (50, 0.316227766), (99, 0.102329299), (100, 0.1)
    ]
    for (round, density) in expected { #expect(abs(method.density(after: round) - density) < 1e-9) }
    #expect(method.density(after: 100) == 0.1)
  }

  @Test("saves the small layer that magnitude pruning cuts off", arguments: [1, 10, 100])
  func collapse(_ rounds: Int) throws {
    let network = try LinearNetwork.collapsing()
    let layout = WeightLayout(network)
    let keepRatio = try KeepRatio(0.25)
    let magnitudes = PruningTarget(keepRatio: keepRatio).mask(layout.weights(of: network).abs(), layout)
    #expect(magnitudes.layers[1].sum().item() == 0)
    var method = SynFlow(keepRatio: keepRatio)
    method.rounds = rounds
    let mask = Mask.topK(try method.ranking(of: network, layout: layout), keeping: 5)
    let kept = Set(mask.nonzero().reshaped([-1]).array(Int.self))
    if rounds == 1 {
      #expect(kept == [4, 9, 15, 17, 19])
    } else {
      // A[1,1] and B[1,1] tie in the last round.
      #expect(kept == [9, 10, 15, 17, 19] || kept == [4, 9, 10, 15, 19])
      let flow = SynFlow.scores(of: network, layout: layout, mask: mask).flow
      #expect(abs(flow - 4.9) < 1e-12)
      #expect(abs(SynFlow.scores(of: network, layout: layout).flow - 15.9) < 1e-12)
    }
  }

  @Test("the ranking's best weights at an earlier round's density are that round's mask")
  func nested() throws {
    let network = Network(.smallCNN(input: [3, 8, 8], classes: 4), seed: 1)
    let layout = WeightLayout(network)
    var whole = SynFlow(keepRatio: try KeepRatio(0.01))
    whole.rounds = 4
    var half = SynFlow(keepRatio: try KeepRatio(0.1))
    half.rounds = 2
    let kept = half.keepRatio.kept(of: layout.count)
    let ranking = try whole.ranking(of: network, layout: layout)
    #expect(
      Mask.topK(ranking, keeping: kept)
        .isEqual(to: Mask.topK(try half.ranking(of: network, layout: layout), keeping: kept)))
    #expect(Int((ranking .>= 0).sum().item()) == whole.keepRatio.kept(of: layout.count))
  }

  @Test("products over depth that overflow float32 still rank")
  func overflow() throws {
    let network = try LinearNetwork.make((0..<8).map { _ in [[1e8, 2e8], [3e8, 4e8]] })
    let (scores, flow) = SynFlow.scores(of: network, layout: WeightLayout(network))
    #expect(flow > 1e64 && flow.isFinite)
    #expect(scores.isFinite().all())
  }
}
