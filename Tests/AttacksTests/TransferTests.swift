import QuenchSupport
import QuenchTorch
import QuenchVision
import ReferenceModels
import Testing

@testable import QuenchAttacks

@Suite("Transfers") struct TransferTests {
  private static func source() -> AttackedModel {
    let network = Fixture.convolutionalNetwork()
    withoutGradient { network.parameters[4].tensor += Fixture.fill([10, 96], 13, 7, 31, 320) }
    return AttackedModel(network)
  }

  private static func made(_ name: AttackName, _ change: (inout AttackSettings) -> Void = { _ in }) throws
    -> any Attack
  {
    var settings = AttackSettings()
    settings.from = "other.safetensors"
    change(&settings)
    return try settings.make(name)
  }

  @Test(
    "take all steps unless told otherwise",
    arguments: AttackName.allCases.filter { $0.declaration.parameters.contains(.allSteps) })
  func allSteps(_ name: AttackName) throws {
    #expect(try Self.made(name).settings["stops_at_success"] == false)
    #expect(try Self.made(name) { $0.allSteps = false }.settings["stops_at_success"] == true)
    #expect(try AttackSettings().make(name).settings["stops_at_success"] == true)
  }

  @Test("that take all steps fool another model more often than those that stop at their source's first error")
  func stronger() throws {
    func robust(_ stops: Bool) throws -> Int {
      var attack = PGD()
      (attack.budget, attack.steps, attack.stopsAtSuccess) = (4.0 / 255, 20, stops)
      return try AttackEvaluator([Transfer(attack, from: Self.source())])
        .run(on: Fixture.convolutional(), Fixture.convolutionalData()).robust.correct
    }
    #expect(try robust(false) < robust(true))
  }

  @Test("aim at a class, and count it only where the judged model names it") func aimed() throws {
    let (model, source) = (Fixture.convolutional(), Self.source())
    var attack = PGD()
    (attack.budget, attack.steps) = (0.2, 20)
    var evaluator = AttackEvaluator([Transfer(attack, from: source)])
    evaluator.aim = .next
    let rows = try evaluator.run(on: model, Fixture.convolutionalData()).points[0].rows
    #expect(rows.contains { $0.isBroken })
    for row in rows { #expect(row.isBroken == (row.after == (row.label + 1) % 10)) }
    evaluator.attacks = [Transfer(DeepFool(), from: source)]
    #expect(
      inputError { try evaluator.run(on: model, Fixture.convolutionalData()) }?.description
        .contains("cannot aim at a class") == true)
  }

  @Test("Square goes on to widen the margin where it does not stop") func square() {
    let model = Fixture.convolutional()
    func margins(_ stops: Bool) -> [Double] {
      var attack = Square(norm: .linf, epsilon: 8.0 / 255)
      (attack.queries, attack.stopsAtSuccess) = (200, stops)
      let images = attack.perturb(Fixture.convolutionalSamples(), on: model)
      return model.score(images).margin(Tensor(Fixture.convolutionalLabels)).values
    }
    let (stopped, whole) = (margins(true), margins(false))
    #expect(zip(stopped, whole).allSatisfy { $1 <= $0 + 1e-5 } && whole.reduce(0, +) < stopped.reduce(0, +) - 1)
  }
}
