import Foundation
import QuenchAttacks
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import ReferenceModels
import Testing

@testable import QuenchDeception

/// Numbers computed with PyTorch by the reference's formulas.
@Suite("Reverse engineering gives the reference figures") struct ReferenceTests {
  private let cnn = Reference.convolutionalNetwork().foldingBatchNorm()

  @Test("the denoiser has the published size and is the identity before training") func denoiser() {
    let counts = [(17, 64, 558_400), (17, 128, 2_222_720), (5, 32, 29_600), (7, 32, 48_160), (9, 32, 66_720)]
    for (depth, width, count) in counts {
      let design = DenoiserDesign(depth: depth, width: width)
      #expect(design.architecture(input: [3, 8, 8]).parameterCount == count)
    }
    let network = DenoiserDesign(depth: 5, width: 8).network(input: [3, 8, 8], seed: 1)
    for isTraining in [false, true] {
      network.isTraining = isTraining
      #expect(network(Fixture.clean()).isEqual(to: Fixture.clean()))
    }
    let weight = network.parameters[network.prunable[1]].tensor.detached().reshaped([8, 72])
    #expect(weight.matmul(weight.transposed()).isClose(to: .eye(8), absolute: 1e-5))
  }

  @Test("batch norm keeps the last batch's statistics as the released code does") func batchNorm() throws {
    let architecture = DenoiserDesign(depth: 3, width: 1, batchNormMomentum: 0.95).architecture(input: [1, 1, 1])
    let norm = try #require(architecture.graph.nodes.first { $0.target == "aten::batch_norm" })
    let (mean, variance) = (Tensor.zeros([1]), Tensor.ones([1]))
    let output = Tensor([Float(1), 2, 3, 4], shape: [4, 1]).batchNorm(
      weight: .ones([1]), bias: .zeros([1]), runningMean: mean, runningVariance: variance, training: true,
      momentum: try #require(norm.real("momentum")), epsilon: try #require(norm.real("eps")))
    expectClose([mean.item(), variance.item()], [2.375, 1.633333], 1e-6)
    expectClose(output.flattened().values, [-1.341587, -0.447196, 0.447196, 1.341587], 1e-5)
  }

  @Test("losses") func losses() {
    let (x, xA) = (Fixture.clean(), Fixture.attacked())
    func loss(_ objective: RedObjective) -> RedObjective.Value {
      objective(clean: x, adversarial: xA, moves: [], denoise: Fixture.denoise, surrogate: { cnn($0) })
    }
    #expect(cnn(xA).argmax(1).flags == [5, 8, 1, 7, 9, 2, 1, 3])
    let xR = Fixture.denoise(xA)
    #expect(cnn(xR).argmax(1).flags == [5, 8, 1, 0, 2, 2, 1, 7])
    #expect(cnn(xA - xR + x).argmax(1).flags == [5, 8, 7, 7, 9, 4, 1, 3])
    expectClose([xR.min().item(), xR.max().item()], [-0.037850, 1.013429], 1e-5)
    expectClose([loss(.denoisingOnly).loss.item()], [0.0587683], 1e-6)
    var objective = RedObjective.denoisingOnly
    objective.reconstruction = .squared
    expectClose([loss(objective).loss.item()], [0.00560262], 1e-7)
    let stability = loss(.stability)
    expectClose([stability.loss.item(), stability.benign.item()], [1.441440, 1.441440], 1e-5)
    objective = .denoisingOnly
    objective.benign = 0.025
    expectClose([loss(objective).loss.item()], [0.0948043], 1e-6)
    objective.adversarial = 0.025
    let both = loss(objective)
    expectClose([both.adversarial.item(), both.loss.item()], [1.040237, 0.1208102], 1e-5)
  }

  static let moves: [(Transformation.Move, [Int], [Int], Double)] = [
    (.flip(vertical: false), [0, 0, 0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0], 0.0465921),
    (.flip(vertical: true), [0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0], 0.0589123),
    (
      .cropAndPad(.init(rows: 1..<7, columns: 1..<7)), [0, 0, 1, 0, 1, 0, 1, 1], [0, 0, 0, 0, 0, 1, 0, 1], 0.0532938
    ),
    (.cutout(.init(rows: 2..<5, columns: 3..<6)), [1, 1, 0, 0, 0, 0, 1, 1], [1, 0, 1, 1, 1, 0, 1, 1], 0.0583096),
    (
      .cutmix(.init(rows: 0..<4, columns: 4..<8), order: [3, 0, 1, 2, 7, 4, 5, 6]), [0, 1, 1, 0, 0, 0, 1, 1],
      [0, 1, 0, 1, 1, 1, 0, 0], 0.0563101
    ),
    (.rotate(degrees: 90), [0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0], 0.0355147),
    (.translate(down: -1, right: 2), [0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0], 0.0507474)
  ]

  @Test("transformations change the answers of the same samples", arguments: 0..<moves.count)
  func transformations(_ index: Int) {
    let (move, benign, adversarial, error) = Self.moves[index]
    let (x, xA) = (Fixture.clean(), Fixture.attacked())
    let before = x.cloned()
    #expect((cnn(move(x)).argmax(1) .== cnn(x).argmax(1)).flags == benign)
    #expect((cnn(move(xA)).argmax(1) .== cnn(xA).argmax(1)).flags == adversarial)
    expectClose([Fixture.denoise(move(xA)).absoluteError(move(x)).item()], [error], 1e-6)
    #expect(x.isEqual(to: before))
  }

  @Test("CDD-RED and its filters") func classDiscriminative() {
    let moves = [Self.moves[2].0, Self.moves[4].0]
    let weight = Fixture.weight().requiringGrad()
    func value(_ filter: RedObjective.Filter) -> RedObjective.Value {
      var objective = RedObjective.classDiscriminative
      objective.filter = filter
      return objective(
        clean: Fixture.clean(), adversarial: Fixture.attacked(), moves: moves,
        denoise: { $0 - $0.conv2d(weight, padding: 1) }, surrogate: { cnn($0) })
    }
    let none = value(.none)
    expectClose([none.reconstruction.item()], [0.0561241], 1e-6)
    expectClose(
      [none.benign.item(), none.adversarial.item(), none.loss.item()], [1.384563, 1.029574, 0.1164775], 1e-5)
    let perTerm = value(.perTerm)
    #expect(perTerm.kept == (16, 14))
    expectClose(
      [perTerm.benign.item(), perTerm.adversarial.item(), perTerm.loss.item()], [1.585272, 0.898689, 0.1182231],
      1e-5)
    let gradient = grad(of: perTerm.loss, withRespectTo: [weight])[0]
    expectClose(
      [gradient.sum().item(), gradient.abs().max().item(), gradient[0, 0, 0, 0].item()],
      [0.868004, 0.106568, -0.047996])
    let joint = value(.joint)
    #expect(joint.kept == (10, 10))
    expectClose([joint.loss.item()], [0.1166516], 1e-5)
  }

  @Test("a filter that keeps nothing gives 0, not NaN") func emptyFilter() {
    var objective = RedObjective.stability
    objective.filter = .perTerm
    // An answer that changes with every transformation: none of the copies counts, and with no originals none does.
    let value = objective(
      clean: Fixture.clean()[..<1], adversarial: Fixture.attacked()[..<1], moves: [.flip(vertical: true)],
      denoise: { $0 }, surrogate: { cnn($0) })
    #expect(value.kept.benign == 1 && value.loss.item().isFinite)
  }

  @Test("pixel, logit and prediction figures") func figures() throws {
    var figures = PairFigures()
    let (x, xA) = (Fixture.clean(), Fixture.attacked())
    figures.add(clean: x, attacked: xA, denoised: Fixture.denoise(xA)) { cnn($0) }
    let means = figures.means
    expectClose([means.benign.value, means.adversarial.value], [0.625, 0.75], 1e-9)
    expectClose(
      [
        means.denoised, means.perturbed, means.removed, means.logitsBenign, means.logitsAdversarial,
        means.logitsPerturbed
      ],
      [1.036818, 0.108678, 1.027751, 1.855854, 1.619089, 1.045825], 1e-5)
    expectClose([means.absoluteError, means.squaredError], [0.0587683, 0.00560262], 1e-6)
    let keys = try #require(try Value(encoding: means, style: .figures).record)
    #expect(keys["d_x_xr"]?.number == means.denoised && keys["pa_benign_low"]?.number == means.benign.low)
    expectClose(figures.signalToNoise, figures.squaredError.map { 10 * log10(1 / $0) }, 1e-9)
    figures.squaredError = [0, 0.01]
    expectClose(figures.signalToNoise, [100, 20], 1e-9)
    expectClose(
      figures.angle, [88.2868, 86.4710, 94.0377, 91.3655, 89.4213, 92.1283, 96.0218, 96.5406], 1e-3)
  }

  @Test("the identity recovers nothing: the floor of both alignments") func identity() {
    var figures = PairFigures()
    figures.add(clean: Fixture.clean(), attacked: Fixture.attacked(), denoised: Fixture.attacked()) { cnn($0) }
    let unsuccessful = figures.isSuccess.count { !$0 }
    #expect(figures.benignAlignment.correct == unsuccessful && figures.adversarialAlignment.correct == unsuccessful)
  }

  @Test("the portion study") func portions() {
    let study = PortionStudy(
      clean: Fixture.clean(), attacked: Fixture.attacked(), portions: [0, 0.25, 0.5, 0.75, 1],
      denoise: Fixture.denoise
    ) { cnn($0) }
    expectClose(study.points.map(\.accuracy), [1, 0.875, 0.875, 0.625, 0.5], 1e-9)
    expectClose(study.points.map(\.success), [0.5, 0.625, 0.625, 0.875, 1], 1e-9)
    expectClose(study.points.map(\.estimateAccuracy), Array(repeating: 0.75, count: 5), 1e-9)
    expectClose(study.points.map(\.estimateSuccess), Array(repeating: 0.75, count: 5), 1e-9)
    expectClose(study.points.map(\.estimateDistance), [1.027913, 1.027858, 1.027813, 1.027777, 1.027751], 1e-5)
    expectClose(
      study.points.map(\.estimateLogitDistance), [1.445369, 1.444560, 1.443784, 1.443101, 1.442446], 1e-5)
    expectClose(study.points.map(\.benignAlignment), [0.875, 0.875, 0.75, 0.75, 0.625], 1e-9)
  }

  @Test("the consistency study: the order matters unless the denoiser works pixel by pixel") func consistency() {
    let (x, xA) = (Fixture.clean(), Fixture.attacked())
    func rows(_ denoise: (Tensor) -> Tensor) -> [ConsistencyStudy.Row] {
      ConsistencyStudy(clean: x, attacked: xA, denoise: denoise) { cnn($0) }.rows
    }
    for row in rows({ $0 * 0.9 }) {
      #expect(row.transformedFirst == row.denoisedFirst, "\(row.transformation)")
    }
    var plain = PairFigures()
    plain.add(clean: x, attacked: xA, denoised: Fixture.denoise(xA)) { cnn($0) }
    let found = rows(Fixture.denoise)
    #expect(found[0].transformedFirst == plain && found[0].denoisedFirst == plain)
    #expect(found.count == 5)
    let flip = Transformation.Move.flip(vertical: false)
    var flipped = PairFigures()
    flipped.add(clean: flip(x), attacked: flip(xA), denoised: flip(Fixture.denoise(xA))) { cnn($0) }
    #expect(found[1].denoisedFirst == flipped && found[1].transformedFirst != flipped)
  }

  @Test("a pixel's role is what undoing it alone changes") func pixelRoles() {
    // Logits Σ a·x and Σ b·x: undoing pixel p raises the first by -a·δ and lowers the second by b·δ.
    let (a, b) = ([-1.0, -0.1, -0.4, -1], [0.25, 0.8, 0.4, 1])
    let weights = Tensor(a + b).to(.float32).reshaped([2, 4])
    let clean = Tensor.full([1, 2, 2], 0.5)
    let attacked = clean + Tensor([0.4, 0.4, 0.4, 0]).to(.float32).reshaped([1, 2, 2])
    let roles = PixelRoles(of: attacked, undoneBy: clean, truth: 0, deception: 1, batchSize: 3) { images in
      images.flattened(from: 1).matmul(weights.transposed(0, 1))
    }
    expectClose(roles.ratio.flattened(from: 0).values, [-2, 3, 0, 0])
    #expect(roles.picture[TensorIndex.all, 0, 0].flags == [0, 0, 220])
    #expect(roles.picture[TensorIndex.all, 0, 1].flags == [220, 0, 0])
    #expect(roles.picture[TensorIndex.all, 1, 1].flags == [128, 128, 128])
  }

  @Test("overlaps are counted in twentieths, 1 in the last") func histogram() {
    let counts = AttributionFigures.histogram([0, 0.049, 0.05, 0.5, 0.999, 1])
    #expect(counts.count == 20 && counts.reduce(0, +) == 6)
    #expect(counts[0] == 2 && counts[1] == 1 && counts[10] == 1 && counts[19] == 2)
  }

  @Test("GradCAM at the features and at the pooled layer") func gradCAM() {
    let x = Fixture.clean()
    let labels = Tensor(Reference.convolutionalLabels)
    let features = GradCAM(cnn)
    let parts = features.parts(x, classes: labels)
    expectClose(parts.weights[0].values, [0.008301, 0.004395, 0.000488, -0.003418, -0.007324, 0.017578], 1e-6)
    expectClose(
      parts.maps.sum([1, 2]).values,
      [0.432441, 0.222669, 0.247968, 0.592489, 0.610317, 0.117652, 0.372462, 0.301713], 1e-5)
    expectClose(
      features(x, classes: labels)[0, 0].values, [0, 0.632125, 0, 0.476016, 0.627676, 0, 0.385120, 0.082580])
    let pooled = GradCAM(cnn, layer: "pool")
    let lower = pooled.parts(x, classes: labels)
    expectClose(lower.weights[0].values, parts.weights[0].values.map { 4 * $0 }, 1e-6)
    expectClose(
      GradCAM.enlarged(lower.maps, height: 8, width: 8).sum([1, 2]).values,
      [1.382694, 0.576849, 0.432693, 1.263219, 1.092504, 0.183515, 0.862114, 0.183482], 1e-5)
    expectClose(
      pooled(x, classes: labels)[0, 0].values,
      [0.419416, 0.286344, 0.020202, 0.082523, 0.473307, 0.665470, 0.659011, 0.655781])
  }

  @Test("input attribution alignment") func attribution() {
    let (x, xA) = (Fixture.clean(), Fixture.attacked())
    func figures(_ cam: GradCAM, _ share: Double) -> [Double] {
      var figures = AttributionFigures()
      figures.add(clean: x, attacked: xA, denoised: Fixture.denoise(xA), cam: cam, share: share)
      return [PairFigures.mean(figures.benign), PairFigures.mean(figures.adversarial)]
    }
    expectClose(figures(GradCAM(cnn), 0.1), [0.613095, 0.595238], 1e-5)
    expectClose(figures(GradCAM(cnn), 0.25), [0.662531, 0.629886], 1e-5)
    expectClose(figures(GradCAM(cnn), 0.5), [0.755680, 0.744221], 1e-5)
    expectClose(figures(GradCAM(cnn, layer: "pool"), 0.1), [0.527435, 0.547619], 1e-5)
    expectClose(figures(GradCAM(cnn, layer: "pool"), 0.25), [0.568879, 0.612114], 1e-5)
  }

  @Test("attacks that know the denoiser") func adaptive() {
    let plain = AttackedModel(Reference.convolutionalNetwork())
    let labels = Tensor(Reference.convolutionalLabels)
    var attack = PGD()
    (attack.budget, attack.stepSize, attack.randomStart) = (4.0 / 255, 1.0 / 255, false)
    let defended = plain.behind("denoiser", Fixture.denoise)
    func loss(_ images: Tensor) -> [Double] {
      cnn(Fixture.denoise(images)).crossEntropy(labels, reduction: .none).values
    }
    expectClose(
      loss(Fixture.attacked(4, attack, on: defended)),
      [1.838547, 1.205790, 3.006828, 2.091017, 1.519493, 2.739147, 1.989817, 2.445811])
    expectClose(
      loss(Fixture.attacked(4, attack, on: plain)),
      [1.602625, 1.057185, 2.685056, 1.751378, 1.334896, 2.609511, 1.732080, 2.164018])
    let bpda = plain.behind("denoiser", knowledge: .identity, Fixture.denoise)
    expectClose(
      loss(Fixture.attacked(4, attack, on: bpda)),
      [1.829802, 1.189945, 3.016688, 2.064359, 1.511656, 2.721095, 1.995756, 2.428511])
    #expect(cnn(Fixture.denoise(Fixture.clean())).argmax(1).flags == [5, 8, 7, 0, 2, 2, 1, 3])
  }

  @Test("suspicion scores and their AUROC") func detection() {
    let score = SuspicionScore.probabilities
    let (x, xA) = (Fixture.clean(), Fixture.attacked())
    let clean = score(x, denoised: Fixture.denoise(x)) { cnn($0) }
    let attacked = score(xA, denoised: Fixture.denoise(xA)) { cnn($0) }
    expectClose(clean, [0.24230, 0.26951, 0.46324, 0.32811, 0.32665, 0.26430, 0.37278, 0.44192])
    expectClose(attacked, [0.22058, 0.35980, 0.41606, 0.53124, 0.41226, 0.20871, 0.38649, 0.40318])
    expectClose([Detection(adversarial: attacked, clean: clean).auroc], [0.578125], 1e-9)
    let hand = Detection(adversarial: [0.9, 0.8, 0.4], clean: [0.7, 0.3, 0.2])
    expectClose([hand.auroc, hand.aupr], [8.0 / 9, (1 + 1 + 0.75) / 3], 1e-12)
    #expect(Detection(adversarial: [1, 1], clean: [1, 1]).auroc == 0.5)
    // Three of each kind tell little, and too few clean ones tell nothing of 5 % of them.
    #expect(hand.adversarial == 3 && hand.clean == 3 && hand.recallAtFivePercent == nil)
    #expect(hand.aurocInterval.lowerBound < 0.5 && hand.aurocInterval.upperBound < 1)
    let sure = Detection(adversarial: (1...20).map { Double($0) + 20 }, clean: (1...20).map { Double($0) })
    #expect(sure.auroc == 1 && sure.aurocInterval.upperBound == 1)
    #expect((0.8..<0.9).contains(sure.aurocInterval.lowerBound))
    #expect(sure.recallAtFivePercent == Accuracy(correct: 20, count: 20))
  }

  @Test("overlaps take exactly the wanted number of pixels, ties by index") func ties() {
    let flat = Tensor.ones([1, 4, 4])
    #expect(Overlap.mask(flat, share: 0.25).flags == [1, 1, 1, 1] + Array(repeating: 0, count: 12))
    #expect(Overlap.mask(flat, share: 0.01).sum().item() == 1)
  }
}
