import QuenchTorch
import Testing

@testable import QuenchAttacks

/// Numbers computed with PyTorch and the attacks' reference implementations.
@Suite("Gradient attacks give the reference figures") struct ReferenceGradientTests {
  @Test("logits, losses and gradients of the fixed models") func forward() {
    let (linear, cnn) = (Fixture.linear(), Fixture.convolutional())
    let samples = Fixture.linearSamples()
    expectClose(
      linear.score(samples.images).flattened().values,
      [
        0.001953125, 0.3955078125, -0.140625, 0.2138671875, 0.162109375, -0.802734375, 0.326171875, -0.568359375,
        -0.025390625, 0.658203125, -0.759277344, 0.539550781, 0.229003906, -1.112792969, 1.248535156
      ], 1e-6)
    expectClose(linear.crossEntropy(samples.images, Fixture.linearLabels), [1.357226, 1.010721, 0.733081])
    let found = linear.gradient(at: samples.images, samples) { AttackLoss.crossEntropy($0, samples) }
    expectClose(
      found.gradient[0].flattened().values,
      [-0.702858, 0.073667, -0.702858, 0.073667, 0.782395, -0.273609, 0.374798, -0.702858])
    let images = Fixture.convolutionalInputs()
    let logits = cnn.score(images)
    expectClose(
      logits[0].values,
      [
        0.403528, -1.206578, 0.551814, -0.653288, -0.469251, 1.988559, -0.080206, -0.680080, -1.304318, -0.066612
      ])
    #expect(cnn.predictions(images) == Fixture.convolutionalLabels)
    expectClose(
      logits.margin(Tensor(Fixture.convolutionalLabels)).values,
      [1.436745, 0.587637, 0.670020, 0.255816, 0.747703, 0.318851, 0.928791, 0.974953])
    expectClose(
      cnn.crossEntropy(images, Fixture.convolutionalLabels),
      [0.693827, 0.738345, 0.899950, 1.112976, 0.737991, 1.238832, 0.536714, 0.938323])
  }

  @Test("FGSM") func fgsm() {
    let linear = Fixture.linear()
    let samples = Fixture.linearSamples()
    let images = FGSM().perturb(samples, on: linear)
    #expect(linear.predictions(images) == [3, 4, 4])
    expectClose(linear.crossEntropy(images, Fixture.linearLabels), [1.477066, 1.100311, 0.788657])
    expectClose(
      images[0].flattened().values,
      [0.132690, 0.418091, 0.578002, 0.863404, 0.332154, 0.492065, 0.777466, 0.183471])

    let cnn = Fixture.convolutional()
    func attacked(_ levels: Double) -> Tensor {
      FGSM().bounded(by: levels / 255).perturb(Fixture.convolutionalSamples(), on: cnn)
    }
    expectClose(
      cnn.crossEntropy(attacked(2), Fixture.convolutionalLabels),
      [1.003891, 1.034887, 1.532519, 1.707451, 1.160748, 1.647718, 0.948891, 1.314676])
    #expect(cnn.predictions(attacked(2)) == [5, 8, 1, 7, 9, 2, 1, 3])
    #expect(cnn.predictions(attacked(4)) == [0, 7, 1, 7, 9, 2, 4, 6])
    expectClose(
      cnn.crossEntropy(attacked(8), Fixture.convolutionalLabels),
      [2.490965, 2.182000, 4.008361, 3.731518, 3.099925, 3.261557, 2.824886, 2.699965])
  }

  private func pgd(_ epsilon: Double, _ step: Double, norm: Norm = .linf) -> PGD {
    var attack = PGD()
    (attack.norm, attack.budget, attack.stepSize, attack.randomStart) = (norm, epsilon, step, false)
    return attack
  }

  @Test("PGD and BIM in L∞") func pgdLinf() {
    let linear = Fixture.linear()
    #expect(
      pgd(8 / 255, 2 / 255).perturb(Fixture.linearSamples(), on: linear)
        .isClose(to: FGSM().perturb(Fixture.linearSamples(), on: linear), absolute: 1e-6))
    let cnn = Fixture.convolutional()
    let images = pgd(8 / 255, 2 / 255).perturb(Fixture.convolutionalSamples(), on: cnn)
    expectClose(
      cnn.crossEntropy(images, Fixture.convolutionalLabels),
      [2.883521, 2.662689, 4.302169, 4.080234, 3.322924, 3.607402, 3.158493, 3.086396])
    #expect(cnn.predictions(images) == [0, 5, 1, 7, 9, 9, 4, 6])
    #expect(PGD.bim().perturb(Fixture.convolutionalSamples(), on: cnn).isEqual(to: images))
    #expect(PGD.bim(epsilon: 8.0 / 255, steps: nil).steps == 10)
    #expect(PGD.bim(epsilon: 16.0 / 255, steps: nil).steps == 20)
    let weaker = pgd(4 / 255, 1 / 255).perturb(Fixture.convolutionalSamples(), on: cnn)
    expectClose(
      cnn.crossEntropy(weaker, Fixture.convolutionalLabels),
      [1.502481, 1.492404, 2.390799, 2.416675, 1.756458, 2.207096, 1.579888, 1.796394])
  }

  @Test("PGD in L2") func pgdL2() {
    let linear = Fixture.linear()
    let samples = Fixture.linearSamples()
    let attacked = pgd(0.5, 0.1, norm: .l2).perturb(samples, on: linear)
    expectClose(linear.crossEntropy(attacked, Fixture.linearLabels), [2.205299, 1.700675, 1.216144])
    #expect(linear.predictions(attacked) == [3, 3, 4])
    expectClose((attacked - samples.images).perSample(.l2).values, [0.490712, 0.498042, 0.5])
    let cnn = Fixture.convolutional()
    let images = pgd(0.5, 0.1, norm: .l2).perturb(Fixture.convolutionalSamples(), on: cnn)
    expectClose(
      cnn.crossEntropy(images, Fixture.convolutionalLabels),
      [4.390488, 4.091882, 6.197362, 6.192273, 5.007699, 5.284269, 4.875250, 4.506738])
    #expect(cnn.predictions(images) == [0, 1, 1, 7, 9, 9, 5, 6])
    expectClose((images - Fixture.convolutionalInputs()).perSample(.l2).values, Array(repeating: 0.5, count: 8))
  }

  @Test("MI-FGSM") func momentum() {
    let cnn = Fixture.convolutional()
    let images = MomentumFGSM().perturb(Fixture.convolutionalSamples(), on: cnn)
    expectClose(
      cnn.crossEntropy(images, Fixture.convolutionalLabels),
      [2.868310, 2.538592, 4.252924, 4.119539, 3.283138, 3.570968, 3.140000, 3.050729])
  }

  @Test("PGD aimed at the next class") func targeted() {
    let cnn = Fixture.convolutional()
    let targets = Fixture.convolutionalLabels.map { ($0 + 1) % 10 }
    let images = pgd(8 / 255, 2 / 255).perturb(Fixture.convolutionalSamples(targets: targets), on: cnn)
    expectClose(
      cnn.crossEntropy(images, targets),
      [1.611027, 0.791475, 0.893150, 0.705966, 0.962899, 0.333098, 1.871563, 1.912521])
    #expect(cnn.predictions(images) == [5, 9, 7, 1, 2, 5, 1, 3])
  }

  @Test("the feature adversary") func feature() throws {
    let cnn = Fixture.convolutionalNetwork()
    // The features are those of the last convolution after its ReLU.
    let model = AttackedModel(
      name: "cnn", inputShape: [3, 8, 8], classes: 10, features: { cnn.planes(of: "relu2", for: $0).planes },
      forward: { cnn($0) })
    let all = Fixture.convolutionalInputs()
    let samples = Samples(
      images: all[..<4], labels: Tensor(Array(Fixture.convolutionalLabels[..<4])), indices: [0, 1, 2, 3], seed: 0)
    var attack = FeatureAdversary()
    (attack.budget, attack.steps) = (8.0 / 255, 20)
    attack.guides = (all[4...], Tensor(Array(Fixture.convolutionalLabels[4...])))
    let guides = model.guideFeatures(all[4...])
    func distance(_ images: Tensor) -> [Double] { (model.guideFeatures(images) - guides).square().sum([1]).values }
    expectClose(distance(samples.images), [208.857, 223.924, 267.802, 266.653], 1e-2)
    let images = attack.perturb(samples, on: model)
    expectClose(distance(images), [163.518, 160.343, 193.486, 200.461], 5e-2)
    #expect(model.predictions(images) == [5, 8, 7, 7])
  }
}
