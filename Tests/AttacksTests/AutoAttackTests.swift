import Testing
import Torch

@testable import Attacks

@Suite("AutoAttack") struct AutoAttackTests {
  private func robust(_ evaluator: AttackEvaluator, _ model: AttackedModel, _ data: AttackData) throws -> [Int] {
    try evaluator.run(on: model, data).points[0].rows.map { $0.isRobust ? 1 : 0 }
  }

  @Test(
    "standard leaves the reference's samples of the convolutional model",
    arguments: [
      (Norm.linf, 2.0 / 255, [1, 0, 0, 0, 0, 0, 1, 1]), (.linf, 1.0 / 255, [1, 1, 1, 0, 1, 0, 1, 1]),
      (.l2, 0.08, [1, 0, 0, 0, 0, 0, 1, 1])
    ])
  func standard(_ norm: Norm, _ epsilon: Double, _ expected: [Int]) throws {
    let model = Fixture.convolutional()
    var attack = AutoAttack(.standard, norm: norm, epsilon: epsilon)
    // The reference's 100 steps and 5000 queries find no more here and take seconds.
    (attack.queries, attack.steps) = (100, 50)
    #expect(try robust(AttackEvaluator(attack, for: model), model, Fixture.convolutionalData()) == expected)
  }

  @Test("the attacks alone leave the reference's samples") func alone() throws {
    let model = Fixture.convolutional()
    func left(_ attack: some Attack) throws -> [Int] {
      try robust(AttackEvaluator([attack]), model, Fixture.convolutionalData())
    }
    #expect(try left(APGD(.crossEntropy, epsilon: 2.0 / 255)) == [1, 1, 0, 0, 0, 0, 1, 1])
    #expect(try left(TargetedAPGD(epsilon: 2.0 / 255)) == [1, 0, 0, 0, 0, 0, 1, 1])
    #expect(try left(FAB(norm: .linf, epsilon: 2.0 / 255, targets: 9)) == [1, 0, 0, 0, 0, 0, 1, 1])
    var square = Square(norm: .linf, epsilon: 2.0 / 255)
    square.queries = 2000
    #expect(try left(square) == [1, 1, 0, 0, 0, 0, 1, 1])
  }

  @Test(
    "finds what the exact distances of the linear model say, and nothing nearer",
    arguments: [
      (Norm.linf, 0.05, [0, 1, 1]), (.linf, 0.1, [0, 0, 1]), (.linf, 0.21, [0, 0, 0]), (.l2, 0.1, [0, 1, 1]),
      (.l2, 0.25, [0, 0, 1]), (.l2, 0.385, [0, 0, 0]), (.linf, 0.0259, [1, 1, 1]), (.l2, 0.0642, [1, 1, 1])
    ])
  func exact(_ norm: Norm, _ epsilon: Double, _ expected: [Int]) throws {
    let model = Fixture.linear()
    var attack = AutoAttack(.standard, norm: norm, epsilon: epsilon)
    (attack.queries, attack.steps) = (50, 40)
    let evaluator = AttackEvaluator(attack, for: model)
    #expect(evaluator.findings.map(\.kind) == [.fewClasses])
    #expect(try robust(evaluator, model, Fixture.linearData()) == expected)
  }

  @Test("its versions run the attacks that they name") func versions() {
    let model = Fixture.convolutional()
    func names(_ version: AutoAttack.Version) -> [String] {
      AutoAttack(version).attacks(for: model).attacks.map(\.name)
    }
    #expect(names(.standard) == ["apgd-ce", "apgd-t", "fab-t", "square"])
    #expect(names(.plus) == ["apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"])
    #expect(names(.rand) == ["apgd-ce", "apgd-dlr"])
    #expect(names(.individual) == names(.standard))
  }

  @Test("replaces the targeted loss for two and three classes, and says so", arguments: [2, 3])
  func fewClasses(_ classes: Int) throws {
    let weight = Fixture.fill([classes, 8], 37, 11, 64, 32)
    let model = AttackedModel(name: "few", inputShape: [1, 2, 4], classes: classes) {
      $0.flattened(from: 1).linear(weight)
    }
    let images = Fixture.linearInputs()
    let labels = model.score(images).argmax(1)
    var attack = AutoAttack(.standard, epsilon: 0.5)
    attack.queries = 20
    let (attacks, findings) = attack.attacks(for: model)
    #expect(attacks.map(\.name) == ["apgd-ce", classes == 3 ? "apgd-dlr" : "apgd-ce", "fab-t", "square"])
    #expect(findings.map(\.kind) == [.fewClasses])
    let report = try AttackEvaluator(attack, for: model).run(on: model, AttackData(images: images, labels: labels))
    #expect(report.robust.correct == 0)
    let error = inputError { try TargetedAPGD().check(model) }
    #expect(error?.description.contains("needs more classes (expected 4 or more, found \(classes))") == true)
  }

  @Test("individual runs each attack on all samples and reports the worst case a sample") func individual() throws {
    let model = Fixture.convolutional()
    var attack = AutoAttack(.individual, epsilon: 2.0 / 255)
    (attack.queries, attack.steps) = (100, 50)
    let report = try AttackEvaluator(attack, for: model).run(on: model, Fixture.convolutionalData())
    #expect(report.shares.map(\.tried) == [8, 8, 8, 8])
    #expect(report.shares[0].robustAfter == 4)
    #expect(report.shares[1].robustAfter == 3)
    #expect(report.robust.correct == 3)
  }
}
