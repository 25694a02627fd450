import Foundation
import QuenchPruning
import QuenchSupport
import QuenchTorch
import QuenchVision
import Testing

@Suite("SNIP")
struct CriteriaSNIPTests {
  @Test("scores the reference network's weights as |θ⊙g|")
  func reference() throws {
    let network = try ReferenceNetwork.make()
    let scores = SNIP().scores(of: network, layout: WeightLayout(network), on: [ReferenceNetwork.a])
    #expect(abs(scores.sum().item() - 6.7986037648) < 1e-9)
    expectClose(
      scores / scores.sum(),
      [0.09682094, 0.04913512, 0.38728378, 0.03275675, 0.0635811, 0.17726352, 0.01589528, 0.17726352])
  }

  @Test("adds gradients up over batches before it takes magnitudes")
  func accumulates() throws {
    let network = try ReferenceNetwork.make()
    let layout = WeightLayout(network)
    let a = ReferenceNetwork.a
    let b = Batch(images: a.images, labels: Tensor([1, 0]), position: a.position)
    let whole = Batch(
      images: .concatenated([a.images, b.images]), labels: .concatenated([a.labels, b.labels]), position: a.position
    )
    let sum = SNIP().scores(of: network, layout: layout, on: [a, b])
    expectClose(sum, (SNIP().scores(of: network, layout: layout, on: [whole]) * 2).array())
    let apart =
      SNIP().scores(of: network, layout: layout, on: [a]) + SNIP().scores(of: network, layout: layout, on: [b])
    #expect((apart - sum).max().item() > 0.1, "the two batches pull some weights opposite ways")
  }
}

@Suite("The straight-through estimator")
struct CriteriaStraightThroughTests {
  @Test("passes the gradient of the masked weights on to the scores")
  func estimator() throws {
    let scores = Tensor([0.2, -0.9, 0.4])
    let weights = Tensor([1, -2, 0.5])
    let mask = Mask.topK(scores.abs(), keeping: try KeepRatio(2.0 / 3).kept(of: 3))
    expectClose(mask, [0, 1, 1])
    let masked = (mask * weights).requiringGrad()
    let output = (masked * Tensor([1.0, 1, 2])).sum()
    #expect(output.item() == -1)
    let gradient = grad(of: (output - 1).square() / 2, withRespectTo: [masked])[0]
    var method = BiP(keepRatio: try KeepRatio(2.0 / 3))
    method.mode = .noIG
    expectClose(
      method.scoreGradient(weights: weights, mask: mask, scores: scores, gradient: gradient), [-2, -4, -2])
  }
}

@Suite("GraSP")
struct CriteriaGraSPTests {
  @Test("scores the reference network's weights as θ⊙Hg, the largest S going first")
  func reference() throws {
    let network = try ReferenceNetwork.make()
    var method = GraSP()
    method.temperature = 1
    let scores = method.scores(of: network, layout: WeightLayout(network), on: [ReferenceNetwork.a])
    expectClose(
      -scores,
      [0.40026295, 2.11686244, -5.5329457, -1.07867916, 2.8658188, -2.26338321, -0.7164547, -2.26338321])
  }

  @Test("a temperature of 200 changes the order")
  func temperature() throws {
    let network = try ReferenceNetwork.make()
    let scores = -GraSP().scores(of: network, layout: WeightLayout(network), on: [ReferenceNetwork.a])
    let divisor = scores.sum().abs().item() + 1e-10
    #expect(abs(divisor - 2.00748257e-05) < 1e-13)
    expectClose(
      scores / divisor,
      [
        0.11787908, -0.46507065, -0.1283293, 0.08766896, -0.30116282, -0.1931355, 0.0752907, -0.1931355
      ])
  }

  @Test("is the closed form of a quadratic loss")
  func quadratic() {
    let weights = Tensor([1, -0.5]).requiringGrad()
    let loss = { (weights: [Tensor]) in ((weights[0] * Tensor([1.0, 2])).sum() - 3).square() / 2 }
    let product = GraSP.hessianGradientProduct(of: [loss], at: [weights])[0]
    expectClose(product, [-15, -30])
    expectClose(-weights.detached() * product, [15, -15])
  }

  @Test("halves of a batch add up as their losses do")
  func halves() throws {
    let network = try ReferenceNetwork.make()
    let layout = WeightLayout(network)
    let (a, b) = (ReferenceNetwork.a, ReferenceNetwork.b)
    let whole = Batch(
      images: .concatenated([a.images, b.images]), labels: .concatenated([a.labels, b.labels]), position: a.position
    )
    let expected = GraSP().scores(of: network, layout: layout, on: [whole]) * 4
    let halves = GraSP().scores(of: network, layout: layout, on: [a, b])
    #expect((halves - expected).abs().max().item() < 1e-12 + 1e-9 * expected.abs().max().item())
  }

  @Test("agrees with a difference quotient of the gradient on a network with convolution and batch norm")
  func convolution() throws {
    let network = Network(.smallCNN(input: [3, 8, 8], classes: 4), seed: 2)
    network.convert(to: .float64)
    let layout = WeightLayout(network)
    let batch = Batch(
      images: .uniform([6, 3, 8, 8], dtype: .float64, using: Generator(seed: 5)),
      labels: Tensor([0, 1, 2, 3, 0, 1]), position: LoaderPosition())
    /// The gradient of the loss at the weights moved by `step` along `direction`.
    func gradient(_ direction: Tensor?, _ step: Double) -> Tensor {
      let start = layout.weights(of: network)
      let weights = layout.split(direction.map { start + $0 * step } ?? start).map {
        $0.detached().requiringGrad()
      }
      network.isTraining = true
      let logits = network(
        batch.images, weights: network.weights(replacing: layout.parameters, with: weights),
        updatingStatistics: false)
      return layout.joined(grad(of: logits.crossEntropy(batch.labels), withRespectTo: weights))
    }
    let direction = gradient(nil, 0)
    let quotient = (gradient(direction, 1e-6) - gradient(direction, -1e-6)) / 2e-6
    let expected = layout.weights(of: network) * quotient
    var method = GraSP()
    method.temperature = 1
    let scores = method.scores(of: network, layout: layout, on: [batch])
    #expect((scores - expected).abs().max().item() < 1e-5 * expected.abs().max().item())
  }
}

@Suite("ProsPr")
struct CriteriaProsPrTests {
  static func squaredLoss(_ weights: [Tensor]) -> Tensor { (weights[0] - 1).square().sum() / 2 }

  @Test(
    "differentiates through the inner step, or takes its gradient as constant",
    arguments: [(false, 1.62), (true, 1.8)])
  func scalar(_ firstOrder: Bool, _ expected: Double) {
    var method = ProsPr()
    method.firstOrder = firstOrder
    let weight = Tensor([2.0]).requiringGrad()
    let found = method.metaGradient(of: [Self.squaredLoss], evaluation: Self.squaredLoss, at: [weight])[0]
    expectClose(weight.detached() * found, [expected])
  }

  @Test("three steps with momentum are the closed form of a quadratic loss")
  func momentum() {
    var method = ProsPr()
    method.momentum = 0.5
    let weight = Tensor([2.0]).requiringGrad()
    let found = method.metaGradient(
      of: [Self.squaredLoss, Self.squaredLoss, Self.squaredLoss], evaluation: Self.squaredLoss, at: [weight])[0]
    // w - 1 = 1, 0.9, 0.76, 0.614: each step adds half the step before, and is linear in w - 1.
    expectClose(found, [0.614 * 0.614])
  }

  @Test("without a step it is SNIP")
  func noStep() throws {
    let network = try ReferenceNetwork.make()
    let layout = WeightLayout(network)
    let scores = ProsPr().scores(of: network, layout: layout, training: [], evaluation: ReferenceNetwork.a)
    #expect(scores.isEqual(to: SNIP().scores(of: network, layout: layout, on: [ReferenceNetwork.a])))
  }

  @Test("is the derivative of the loss after the steps by each weight's scale")
  func differenceQuotient() throws {
    let network = try ReferenceNetwork.make()
    let layout = WeightLayout(network)
    let (a, b) = (ReferenceNetwork.a, ReferenceNetwork.b)
    func lossAfterSteps(_ weights: Tensor) -> Double {
      var weights = weights
      for batch in [a, b] {
        let leaves = layout.split(weights).map { $0.detached().requiringGrad() }
        let loss = network(batch.images, weights: leaves).crossEntropy(batch.labels)
        weights = weights - layout.joined(grad(of: loss, withRespectTo: leaves)) * 0.1
      }
      return network(a.images, weights: layout.split(weights)).crossEntropy(a.labels).item()
    }
    let scores = ProsPr().scores(of: network, layout: layout, training: [a, b], evaluation: a)
    let weights = layout.weights(of: network)
    let quotients = (0..<layout.count).map { index in
      let scale = Tensor.ones([layout.count], dtype: .float64)
      scale[index].fill(with: 1 + 1e-6)
      let above = lossAfterSteps(weights * scale)
      scale[index].fill(with: 1 - 1e-6)
      return abs(above - lossAfterSteps(weights * scale)) / 2e-6
    }
    expectClose(scores, quotients, within: 1e-7)
  }
}
