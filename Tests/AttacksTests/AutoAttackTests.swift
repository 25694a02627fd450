import QuenchTorch
import Testing

@testable import QuenchAttacks

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
    #expect(evaluator.findings.map(\.kind) == [.reduced, .fewClasses])
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
    let attack = AutoAttack(.standard, epsilon: 0.5)
    let (attacks, findings) = attack.attacks(for: model)
    #expect(attacks.map(\.name) == ["apgd-ce"] + (classes == 3 ? ["apgd-dlr"] : []) + ["fab-t", "square"])
    #expect(attacks[0].settings["restarts"] == .int(classes == 2 ? 5 : 1))
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

  @Test(
    "no version runs an attack twice, whatever the classes", arguments: AutoAttack.Version.allCases, [2, 3, 4, 10])
  func distinct(_ version: AutoAttack.Version, _ classes: Int) {
    let model = AttackedModel(name: "any", inputShape: [1, 2, 4], classes: classes) { $0 }
    let names = AutoAttack(version).attacks(for: model).attacks.map(\.name)
    #expect(Set(names).count == names.count)
  }

  @Test("five starts are five points") func starts() {
    let samples = Fixture.convolutionalSamples()
    let points = (0..<5).map { restart in
      var random = samples.random("apgd-ce", restart: restart)
      return random.uniform([4]).array(Float.self)
    }
    #expect(Set(points).count == 5)
  }

  @Test("with fewer steps, queries or targets than the published ones it has another name and says so")
  func reduced() {
    let model = Fixture.convolutional()
    func change(_ body: (inout AutoAttack) -> Void) -> AutoAttack {
      var attack = AutoAttack()
      body(&attack)
      return attack
    }
    #expect(AutoAttack().name == "autoattack" && AutoAttack().attacks(for: model).findings.isEmpty)
    let more = change { ($0.steps, $0.queries) = (200, 10_000) }
    #expect(more.name == "autoattack" && more.attacks(for: model).findings.isEmpty)
    for attack in [change { $0.steps = 99 }, change { $0.queries = 100 }, change { $0.targets = 3 }] {
      #expect(attack.name == "autoattack-reduced")
      #expect(attack.attacks(for: model).findings.map(\.kind) == [.reduced])
    }
    let message = change { ($0.steps, $0.queries) = (10, 500) }.attacks(for: model).findings[0].message
    #expect(message.contains("10 steps instead of 100, 500 queries instead of 5000"))
    #expect(change { ($0.version, $0.queries) = (.rand, 1) }.name == "autoattack")
  }
}
