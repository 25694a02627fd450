import QuenchTorch
import Testing

@testable import QuenchAttacks

@Suite("Attacks that look for the smallest perturbation give the reference figures") struct ReferenceMinimalTests {
  /// min over k of (z_y - z_k) / ‖W_y - W_k‖, where the box is inactive.
  static let exact: [Norm: [Double]] = [
    .linf: [0.025949, 0.085449, 0.202567], .l2: [0.064220, 0.177478, 0.378968],
    .l1: [0.121094, 0.189732, 0.405134]
  ]

  private func sizes(_ attack: some Attack, _ samples: Samples, _ model: AttackedModel) -> (sizes: [Double], Tensor)
  {
    let images = attack.perturb(samples, on: model)
    return ((images - samples.images).perSample(attack.norm).values, images)
  }

  @Test("the tanh round trip keeps pixels") func tanh() {
    let pixels = Tensor([Float(0), 0.25, 1])
    expectClose(
      CarliniWagner.image(CarliniWagner.unbounded(pixels)).values, [5e-7, 0.25000025, 0.9999995], 1e-7)
  }

  @Test("CW finds the exact distances of the linear model") func cwLinear() {
    let model = Fixture.linear()
    let (found, images) = sizes(CarliniWagner(), Fixture.linearSamples(), model)
    expectClose(found, [0.064244, 0.177518, 0.378985])
    #expect(model.predictions(images) == [3, 1, 1])
  }

  @Test("CW on the convolutional model") func cwConvolutional() {
    let model = Fixture.convolutional()
    let (found, images) = sizes(CarliniWagner(), Fixture.convolutionalSamples(), model)
    expectClose(
      found, [0.153560, 0.073182, 0.050944, 0.024870, 0.068250, 0.055517, 0.082032, 0.096430], 1e-4, relative: 0.01)
    #expect(model.predictions(images) == [2, 7, 1, 7, 9, 2, 4, 6])
    let fab = [0.127439, 0.073246, 0.050378, 0.018631, 0.065544, 0.030589, 0.082561, 0.096488]
    for (cw, fab) in zip(found, fab) { #expect(cw >= 0.98 * fab && cw <= 2.2 * fab) }
  }

  @Test("CW with confidence 1 leaves that margin") func cwConfidence() {
    let model = Fixture.convolutional()
    var attack = CarliniWagner()
    (attack.confidence, attack.steps) = (1, 200)
    let (found, images) = sizes(attack, Fixture.convolutionalSamples(), model)
    expectClose(
      found, [0.250534, 0.201779, 0.125666, 0.096675, 0.155681, 0.126187, 0.174893, 0.199662], 0, relative: 0.01)
    for margin in model.score(images).margin(Tensor(Fixture.convolutionalLabels)).values {
      #expect((-1.006 * 1.01 ... -1.0).contains(margin))
    }
  }

  @Test("CW that lets samples go within a budget breaks the same ones for less, and finds the others' images")
  func cwWithinBudget() {
    let model = Fixture.convolutional()
    func found(stops: Bool) -> (images: Tensor, isBroken: [Bool], passes: [Double]) {
      var attack = CarliniWagner()
      (attack.epsilon, attack.steps, attack.searchSteps, attack.stopsAtSuccess) = (0.06, 30, 6, stops)
      let samples = Fixture.convolutionalSamples()
      let (sizes, images) = sizes(attack, samples, model)
      return (images, sizes.map { $0 <= 0.06 }, samples.ledger.forward.values)
    }
    let (all, first) = (found(stops: false), found(stops: true))
    #expect(first.isBroken == all.isBroken && Set(all.isBroken).count == 2)
    for place in all.isBroken.indices {
      if all.isBroken[place] {
        #expect(first.passes[place] < all.passes[place])
      } else {
        #expect(first.passes[place] == all.passes[place])
        #expect(first.images[place].isClose(to: all.images[place], absolute: 1e-5))
      }
    }
  }

  @Test("DeepFool in both forms") func deepFool() {
    let (linear, cnn) = (Fixture.linear(), Fixture.convolutional())
    var attack = DeepFool()
    attack.form = .stepwise
    let (stepwise, images) = sizes(attack, Fixture.linearSamples(), linear)
    expectClose(stepwise, [0.065504, 0.181028, 0.386547])
    expectClose(
      (images - Fixture.linearInputs())[0].flattened().values,
      [-0.034739, 0.011580, -0.034739, 0.011580, 0.011580, 0.011580, 0.011580, -0.034739])
    let (onCNN, adversarial) = sizes(attack, Fixture.convolutionalSamples(), cnn)
    expectClose(onCNN, [0.133302, 0.075862, 0.052211, 0.018623, 0.065577, 0.031460, 0.084817, 0.099721])
    #expect(cnn.predictions(adversarial) == [0, 7, 1, 7, 9, 2, 4, 6])

    expectClose(sizes(DeepFool(), Fixture.linearSamples(), linear).sizes, [0.065606, 0.181130, 0.386649])
    attack = DeepFool()
    attack.norm = .linf
    expectClose(sizes(attack, Fixture.linearSamples(), linear).sizes, [0.026570, 0.087260, 0.206720])
    expectClose(
      sizes(attack, Fixture.convolutionalSamples(), cnn).sizes,
      [0.012673, 0.007553, 0.004811, 0.001846, 0.006246, 0.003304, 0.008431, 0.009266])
  }

  struct Plane: Sendable {
    var u: [Float]
    var w: [Float]
    var b: Float
    var moves: [Norm: [Double]]
  }

  static let planes = [
    Plane(
      u: [0.2, 0.5, 0.9, 0.1], w: [1, -2, 0.5, 0], b: 0,
      moves: [.linf: [0.1, -0.1, 0.1, 0], .l2: [0.066667, -0.133333, 0.033333, 0], .l1: [0, -0.175, 0, 0]]),
    Plane(
      u: [0.2, 0.5, 0.9, 0.1], w: [1, -2, 0.5, 0], b: 1,
      moves: [.linf: [0.433333, -0.433333, 0.1, 0], .l2: [0.3, -0.5, 0.1, 0], .l1: [0.35, -0.5, 0, 0]]),
    Plane(
      u: [0.2, 0.5, 0.9, 0.1], w: [1, -2, 0.5, 3], b: -1.2,
      moves: [
        .linf: [-0.2, 0.26, -0.26, -0.1], .l2: [-0.161905, 0.323810, -0.080952, -0.1], .l1: [0, 0.425, 0, -0.1]
      ]),
    Plane(
      u: [0, 1, 0.5, 0.25], w: [1, 1, 1, 1], b: 4.5,
      moves: [.linf: [1, 0, 0.5, 0.75], .l2: [1, 0, 0.5, 0.75], .l1: [1, 0, 0.5, 0.75]]),
    Plane(
      u: [0.3, 0.3, 0.3, 0.3], w: [2, -1, 0.25, -0.5], b: 0,
      moves: [
        .linf: [-0.06, 0.06, -0.06, 0.06], .l2: [-0.084706, 0.042353, -0.010588, 0.021176], .l1: [-0.1125, 0, 0, 0]
      ])
  ]

  @Test("box projections", arguments: planes) func projection(_ plane: Plane) {
    let (u, w) = (Tensor(plane.u, shape: [1, 4]), Tensor(plane.w, shape: [1, 4]))
    let residual = zip(plane.u, plane.w).reduce(-plane.b) { $0 + $1.0 * $1.1 }
    for (norm, expected) in plane.moves {
      let move = BoxProjection.move(u, normals: w, residuals: Tensor([residual]), norm: norm)
      expectClose(move.flattened().values, expected, 2e-6)
    }
  }

  @Test("box projections land on the plane, in the box, and no shorter move does", arguments: Norm.allCases)
  func projectionProperties(_ norm: Norm) {
    let generator = Generator(seed: 7)
    let (u, w) = (Tensor.uniform([400, 12], using: generator), Tensor.normal([400, 12], using: generator))
    let target = Tensor.uniform([400, 12], using: generator)
    // A plane through a random point of the box is within reach.
    let residual = (w * (u - target)).sum([1])
    let move = BoxProjection.move(u, normals: w, residuals: residual, norm: norm)
    #expect(((w * move).sum([1]) + residual).abs().max().item() < 2e-5)
    #expect((u + move).min().item() > -1e-6 && (u + move).max().item() < 1 + 1e-6)
    #expect((move.perSample(norm) - (target - u).perSample(norm)).max().item() < 1e-5)
  }

  @Test("FAB on the linear model", arguments: Norm.allCases) func fabLinear(_ norm: Norm) {
    var attack = FAB(norm: norm, epsilon: nil)
    attack.steps = 20
    let expected: [Norm: [Double]] = [
      .linf: [0.026084, 0.085895, 0.203623], .l2: [0.064554, 0.178403, 0.380944],
      .l1: [0.121725, 0.190721, 0.407246]
    ]
    let found = sizes(attack, Fixture.linearSamples(), Fixture.linear()).sizes
    expectClose(found, expected[norm] ?? [])
    for (size, bound) in zip(found, Self.exact[norm] ?? []) { #expect(size > bound - 1e-6) }
  }

  @Test("FAB on the convolutional model", arguments: Norm.allCases) func fab(_ norm: Norm) {
    let expected: [Norm: [Double]] = [
      .linf: [0.012195, 0.007072, 0.004593, 0.001738, 0.006119, 0.003137, 0.008206, 0.008909],
      .l2: [0.127439, 0.073246, 0.050378, 0.018631, 0.065544, 0.030589, 0.082561, 0.096488],
      .l1: [0.560841, 0.294156, 0.254766, 0.079848, 0.278309, 0.097685, 0.333468, 0.487609]
    ]
    let found = sizes(FAB(norm: norm, epsilon: nil), Fixture.convolutionalSamples(), Fixture.convolutional()).sizes
    expectClose(found, expected[norm] ?? [], 0, relative: 0.01)
  }

  @Test("FAB after ten steps, and FAB-T to the second rank") func fabShort() {
    var attack = FAB(norm: .linf, epsilon: nil)
    attack.steps = 10
    expectClose(
      sizes(attack, Fixture.convolutionalSamples(), Fixture.convolutional()).sizes,
      [0.012281, 0.007189, 0.004613, 0.001738, 0.006137, 0.003147, 0.008206, 0.008936], 0, relative: 0.01)
    attack.steps = 20
    attack.targets = 1
    expectClose(
      sizes(attack, Fixture.convolutionalSamples(), Fixture.convolutional()).sizes,
      [0.014766, 0.007118, 0.004604, 0.001738, 0.006119, 0.003142, 0.008206, 0.008917], 0, relative: 0.01)
  }
}
