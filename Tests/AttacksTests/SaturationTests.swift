import QuenchSupport
import QuenchTorch
import QuenchVision
import ReferenceModels
import Testing

@testable import QuenchAttacks

@Suite("Figures that gradients would flatter") struct SaturationTests {
  /// The convolutional model with logits so large that float32 holds no gradient of their cross-entropy: the same
  /// decisions, of which AutoAttack leaves three at 2/255.
  private static func saturated() -> AttackedModel {
    let cnn = Fixture.convolutionalNetwork()
    return AttackedModel(name: "saturated", inputShape: [3, 8, 8], classes: 10) { cnn($0) * 5000 }
  }

  private static func report(_ attack: any Attack, on model: AttackedModel, probes: Bool = true) throws
    -> AttackReport
  {
    var evaluator = AttackEvaluator([attack])
    evaluator.probes = probes
    return try evaluator.run(on: model, Fixture.convolutionalData())
  }

  static let climbers: [any Attack & Sendable] = [
    FGSM(), PGD(), PGD.bim(), MomentumFGSM(), APGD(.crossEntropy)
  ]

  @Test(
    "vanished gradients and what a probe breaks are findings of every attack on the cross-entropy", arguments: 0..<5
  )
  func masked(_ index: Int) throws {
    let attack = Self.climbers[index].bounded(by: 2.0 / 255)
    let report = try Self.report(attack, on: Self.saturated())
    let findings = Dictionary(grouping: report.findings, by: \.kind)
    let left = report.robust.correct
    #expect(left > 3)
    #expect(
      findings[.zeroGradient]?.first?.message.contains("of 8 images attacked by \(attack.name)") == true,
      "\(report.findings)")
    let both = try #require(findings[.maskedGradient]?.first?.message)
    #expect(both.contains("(\(left) of 8) robust") && both.contains("(3 of 8)"), "\(both)")
    #expect(report.probes.map(\.robust.correct) == [3] && report.probes[0].attack == "apgd-dlr")
    #expect(AttackOutcome(report, attack: "x").probeRobustAccuracy?.value == 3.0 / 8)
    #expect(report.points[0].rows.count { $0.isBroken } == 8 - left)
  }

  @Test("attacks on margins see through it, and a probe follows those without its loss") func margins() throws {
    let attacks: [any Attack] = [APGD(.dlr, epsilon: 2.0 / 255), FAB(norm: .linf, epsilon: 2.0 / 255, targets: 9)]
    for attack in attacks {
      let report = try Self.report(attack, on: Self.saturated())
      #expect(report.robust.correct == 3 && report.findings.isEmpty, "\(report.findings)")
      #expect(report.probes.map(\.robust.correct) == (attack.follows == .dlr ? [] : [3]))
    }
    var weak = CarliniWagner()
    // The first of its steps looks at the image itself, so that one step leaves all; the second moves each coordinate by
    // Adam's rate whatever the gradient's length, some 0.05 in all, and breaks what lies nearer to a boundary than that.
    (weak.epsilon, weak.steps, weak.searchSteps) = (0.08, 1, 1)
    let report = try Self.report(weak, on: Self.saturated())
    #expect(report.findings.map(\.kind) == [.weakAttack])
    #expect(report.robust.correct == 8 && report.probes[0].robust.correct < 8)
  }

  @Test("a gradient that is tiny and not zero is followed at full length in L2") func tiny() throws {
    // Two classes, and a logit 60 above the other: the cross-entropy's gradient is some 1e-26 of the margin's.
    let weight = Fixture.fill([1, 8], 37, 11, 64, 32)
    let images = Fixture.linearInputs()[..<1]
    func model(_ scale: Double) -> AttackedModel {
      AttackedModel(name: "two", inputShape: [1, 2, 4], classes: 2) { images in
        let z = images.flattened(from: 1).linear(weight) * scale
        return .concatenated([z, -z], 1)
      }
    }
    let label = model(1).score(images).argmax(1)
    let margin = model(1).score(images).abs().max().item() * 2
    var attack = PGD()
    (attack.norm, attack.budget, attack.randomStart) = (.l2, 0.2, false)
    for scale in [1, 60 / margin] {
      let samples = Samples(images: images, labels: label, indices: [0], seed: 0)
      let found = attack.perturb(samples, on: model(scale))
      #expect(abs((found - images).perSample(.l2).item() - 0.2) < 1e-4)
    }
  }

  @Test("where nothing is left, or the probe agrees, there is no finding") func agrees() throws {
    #expect(try Self.report(PGD().bounded(by: 8.0 / 255), on: Fixture.convolutional()).findings.isEmpty)
    var strong = PGD()
    (strong.budget, strong.steps, strong.restarts) = (0.25 / 255, 20, 2)
    let report = try Self.report(strong, on: Fixture.convolutional())
    #expect(report.findings.isEmpty && report.probes.map(\.robust) == [report.robust])
    #expect(try Self.report(PGD().bounded(by: 2.0 / 255), on: Self.saturated(), probes: false).probes.isEmpty)
  }

  @Test("a curve's summary tells of a probe within its own budget alone") func ownBudget() throws {
    var evaluator = AttackEvaluator([FAB(norm: .linf, epsilon: nil)])
    evaluator.epsilons = [1.0 / 255, 1]
    let report = try evaluator.run(on: Fixture.convolutional(), Fixture.convolutionalData())
    #expect(report.points.map(\.robust.correct).last == 0)
    #expect(report.probes.map(\.epsilon) == [1.0 / 255] && AttackOutcome(report, attack: "x").probe == nil)
  }

  @Test("a weak attack is told from a masked gradient") func weak() throws {
    var weak = PGD()
    (weak.budget, weak.steps, weak.stepSize) = (2.0 / 255, 1, 0.1 / 255)
    let report = try Self.report(weak, on: Fixture.convolutional())
    #expect(report.findings.map(\.kind) == [.weakAttack])
    #expect(report.findings[0].message.contains("(\(report.robust.correct) of 8) robust"))
  }

  @Test("a curve is probed at every budget, and a run goes on to the same findings", arguments: [2, 4])
  func curve(_ kept: Int) throws {
    var evaluator = AttackEvaluator([PGD()])
    evaluator.epsilons = [0, 1.0 / 255, 2.0 / 255]
    let (model, data) = (Self.saturated(), try Fixture.convolutionalData())
    let whole = try Journalled(evaluator, model, data, keeping: nil)
    let broken = try Journalled(evaluator, model, data, keeping: kept)
    #expect(whole.report.probes.map(\.epsilon) == [1.0 / 255, 2.0 / 255])
    // AutoAttack leaves 5 and 3.
    let left = whole.report.probes.map(\.robust.correct)
    #expect((5...6).contains(left[0]) && left[1] == 3)
    #expect(broken.report.findings == whole.report.findings && broken.rows == whole.rows)
  }

  @Test("answers that are no numbers under attack are counted, and no robust accuracy is told") func undefined()
    throws
  {
    // Finite for the clean pixels, at most 0.875, and NaN from 0.9 on.
    let cnn = Fixture.convolutionalNetwork()
    let model = AttackedModel(name: "brittle", inputShape: [3, 8, 8], classes: 10) { images in
      cnn(images) + ((0.9 - images.flattened(from: 1).max([1])).sqrt() * 0).unsqueezed(1)
    }
    for attack in [PGD().bounded(by: 0.1), Square(norm: .linf, epsilon: 0.1).short, APGD(.dlr, epsilon: 0.1)]
      as [any Attack]
    {
      let report = try Self.report(attack, on: model)
      #expect(report.undefined > 0 && AttackOutcome(report, attack: "x").robustAccuracy == nil)
      #expect(AttackOutcome(report, attack: "x").undefined == report.undefined)
      #expect(
        report.findings.first { $0.kind == .undefined }?.message
          .contains("attacked versions of \(report.undefined) of 8 images") == true)
      for row in report.points[0].rows where row.after == nil { #expect(!row.isBroken && !row.isRobust) }
    }
  }

  @Test("clean images with answers that are no numbers end the run with their count") func undefinedClean() {
    let images = Fixture.convolutionalInputs()
    let first = images[TensorIndex.all, 0, 0, 0]
    let limit = first.sorted().values[4].item()
    let model = AttackedModel(name: "brittle", inputShape: [3, 8, 8], classes: 10) { images in
      let bad = images[TensorIndex.all, 0, 0, 0] .> limit
      return Tensor.zeros([images.size(0), 10]).filled(with: .infinity, where: bad.unsqueezed(1).expanded([-1, 10]))
    }
    let error = inputError { try Self.report(PGD(), on: model) }
    #expect(error?.description.contains("answers NaN or infinity to 3 of 8 clean images") == true)
  }
}

extension Square {
  fileprivate var short: Square {
    var copy = self
    copy.queries = 40
    return copy
  }
}
