import QuenchSupport
import QuenchTorch
import QuenchVision
import Testing

@testable import QuenchAttacks

@Suite("Every attack") struct AttackContractTests {
  /// An attack in one norm, as a test's argument.
  struct Case: Sendable, CustomTestStringConvertible {
    var name: AttackName
    var norm: Norm

    static let all = AttackName.allCases.filter { $0 != .feature }
      .flatMap { name in name.declaration.norms.map { Case(name: name, norm: $0) } }
    static let bounded = all.filter { $0.name.declaration.isBounded }
    var testDescription: String { "\(name.rawValue) \(norm.rawValue)" }

    /// Short runs: what holds for ten steps holds for a hundred.
    func make(_ epsilon: Double, steps: Int = 10) throws -> any Attack {
      let takes = name.declaration.parameters
      var settings = AttackSettings()
      settings.norm = norm
      settings.steps = takes.contains(.steps) ? steps : nil
      settings.queries = takes.contains(.queries) ? 60 : nil
      settings.targets = takes.contains(.targets) ? 3 : nil
      return try settings.make(name, epsilon: PixelBudget(epsilon))
    }

    /// Breaks some samples of the convolutional model and not all.
    var epsilon: Double { [.linf: 3.0 / 255, .l2: 0.1, .l1: 0.4][norm] ?? 0 }
  }

  private func run(
    _ attack: any Attack, _ model: AttackedModel, _ data: AttackData, seed: UInt64 = 1, batchSize: Int = 250
  ) throws -> AttackReport {
    var evaluator = AttackEvaluator([attack])
    (evaluator.seed, evaluator.batchSize, evaluator.keepsImages) = (seed, batchSize, true)
    return try evaluator.run(on: model, data)
  }

  @Test("stays in the pixel range and, where it has one, in its budget", arguments: Case.all, [1.0, 8])
  func budget(_ case: Case, _ factor: Double) throws {
    let model = Fixture.convolutional()
    let epsilon = `case`.epsilon * factor
    let attack = try `case`.make(epsilon)
    let samples = Fixture.convolutionalSamples(seed: 3)
    let images = attack.perturb(samples, on: model)
    // The evaluator's own check throws where an attack leaves the range or its budget.
    try AttackEvaluator.check(images, samples, attack)
    let report = try run(attack, model, Fixture.convolutionalData())
    for row in report.points[0].rows where row.isBroken {
      #expect(row.size(`case`.norm) <= epsilon + `case`.norm.tolerance(epsilon))
      #expect(row.after != row.label)
    }
  }

  @Test("gives the same result for the same seed", arguments: Case.all) func seed(_ case: Case) throws {
    let model = Fixture.convolutional()
    let attack = try `case`.make(`case`.epsilon)
    let images = (0..<2).map { _ in attack.perturb(Fixture.convolutionalSamples(seed: 5), on: model) }
    #expect(images[0].isEqual(to: images[1]))
  }

  @Test("does not depend on batch size or order", arguments: Case.all) func batches(_ case: Case) throws {
    let model = Fixture.convolutional()
    let attack = try `case`.make(`case`.epsilon)
    let data = try Fixture.convolutionalData()
    let whole = try run(attack, model, data)
    let order = [3, 6, 0, 7, 1, 5, 2, 4]
    let shuffled = try AttackData(
      images: Fixture.convolutionalInputs().selecting(Tensor(order)),
      labels: Tensor(order.map { Fixture.convolutionalLabels[$0] }), indices: order)
    let other = try run(attack, model, shuffled, batchSize: 3)
    let images = try #require(other.images)
    #expect(images.isClose(to: try #require(whole.images).selecting(Tensor(order)), absolute: 2e-5))
    for (place, index) in order.enumerated() {
      let (mine, theirs) = (other.points[0].rows[place], whole.points[0].rows[index])
      #expect(mine.index == theirs.index && mine.isBroken == theirs.isBroken && mine.after == theirs.after)
      #expect(mine.queries == theirs.queries && mine.gradients == theirs.gradients)
    }
  }

  @Test("never beats the exact distances of a linear model", arguments: Case.all)
  func optimum(_ case: Case) throws {
    let model = Fixture.linear()
    for (place, distance) in (ReferenceMinimalTests.exact[`case`.norm] ?? []).enumerated() {
      let report = try run(try `case`.make(distance * 0.999), model, Fixture.linearData())
      #expect(report.clean.correct == 3)
      #expect(!report.points[0].rows[place].isBroken)
    }
  }

  @Test(
    "reaches the optimum of a linear model of five classes where it looks for the nearest boundary",
    arguments: Case.all.filter { [.apgdT, .fab, .fabT, .deepFool, .carliniWagner].contains($0.name) })
  func reachesNearest(_ case: Case) throws {
    for (place, distance) in (ReferenceMinimalTests.exact[`case`.norm] ?? []).enumerated() {
      var settings = AttackSettings()
      settings.norm = `case`.norm
      settings.targets = `case`.name.declaration.parameters.contains(.targets) ? 4 : nil
      settings.steps = `case`.name == .carliniWagner ? 200 : 60
      let report = try run(
        try settings.make(`case`.name, epsilon: PixelBudget(distance * 1.04)), Fixture.linear(),
        Fixture.linearData())
      #expect(report.points[0].rows[place].isBroken)
    }
  }

  @Test(
    "reaches the optimum of a linear model of two classes, where every loss leads to it",
    arguments: Case.all.filter { [.fgsm, .pgd, .bim, .momentumFGSM, .apgdCE].contains($0.name) })
  func reachesOptimum(_ case: Case) throws {
    let weight = Fixture.fill([1, 8], 37, 11, 64, 32)
    let model = AttackedModel(name: "two", inputShape: [1, 2, 4], classes: 2) { images in
      let z = images.flattened(from: 1).linear(weight)
      return .concatenated([z, -z], 1)
    }
    let images = Fixture.linearInputs()
    let logits = model.score(images)
    let data = try AttackData(images: images, labels: logits.argmax(1))
    // |z_0 - z_1| over the dual norm of 2w; these lie well inside the box.
    let distances = (logits[TensorIndex.all, 0].abs() / weight.norm(`case`.norm.dual.order)).values
    for (place, distance) in distances.enumerated() {
      for (factor, breaks) in [(1.02, true), (0.999, false)] {
        let report = try run(try `case`.make(distance * factor, steps: 60), model, data)
        #expect(report.points[0].rows[place].isBroken == breaks, "\(place) at \(factor)")
      }
    }
  }

  @Test("leaves the network's mode, weights and gradients alone", arguments: Case.all)
  func network(_ case: Case) throws {
    let network = Fixture.convolutionalNetwork()
    network.isTraining = true
    let loss = network(Fixture.convolutionalInputs()).sum()
    loss.backward()
    let before = network.parameters.map { ($0.tensor.detached().cloned(), $0.tensor.gradient?.cloned()) }
    _ = try run(try `case`.make(`case`.epsilon), AttackedModel(network), Fixture.convolutionalData())
    #expect(network.isTraining)
    for (entry, (weight, gradient)) in zip(network.parameters, before) {
      #expect(entry.tensor.isEqual(to: weight) && entry.tensor.requiresGrad)
      #expect(try #require(entry.tensor.gradient).isEqual(to: try #require(gradient)))
    }
  }

  @Test("returns the image itself at budget 0", arguments: Case.bounded) func zero(_ case: Case) throws {
    let report = try run(try `case`.make(0), Fixture.convolutional(), Fixture.convolutionalData())
    #expect(report.robust == report.clean)
    #expect(report.findings.contains { $0.kind == .emptyBudget })
    #expect(try #require(report.images).isClose(to: Fixture.convolutionalInputs(), absolute: 1e-6))
  }

  @Test("works on one sample", arguments: Case.all) func single(_ case: Case) throws {
    let data = try AttackData(images: Fixture.convolutionalInputs()[3..<4], labels: Tensor([0]), indices: [3])
    let alone = try run(try `case`.make(`case`.epsilon), Fixture.convolutional(), data).points[0].rows[0]
    let whole = try run(try `case`.make(`case`.epsilon), Fixture.convolutional(), Fixture.convolutionalData())
    #expect(alone.isBroken == whole.points[0].rows[3].isBroken)
  }

  @Test("never raises robust accuracy with more steps or restarts", arguments: [AttackName.pgd, .apgdCE])
  func more(_ name: AttackName) throws {
    let model = Fixture.convolutional()
    func robust(_ steps: Int, _ restarts: Int) throws -> Set<Int> {
      var settings = AttackSettings()
      (settings.steps, settings.restarts) = (steps, restarts)
      if name == .pgd { settings.stepSize = PixelBudget(0.5 / 255) }
      let rows = try run(
        try settings.make(name, epsilon: PixelBudget(2.0 / 255)), model, Fixture.convolutionalData()
      ).points[0].rows
      return Set(rows.filter(\.isRobust).map(\.index))
    }
    #expect(try robust(5, 2).isSubset(of: robust(5, 1)))
    #expect(try robust(5, 4).isSubset(of: robust(5, 2)))
    if name == .pgd { #expect(try robust(20, 1).isSubset(of: robust(5, 1))) }
  }

  @Test("finds the one example that is there") func planted() throws {
    // A read-out that flips in one corner of the ball about the first image.
    let image = Fixture.linearInputs()[..<1]
    let corner = Fixture.fill([1, 8], 37, 11, 64, 32).sign()
    let model = AttackedModel(name: "planted", inputShape: [1, 2, 4], classes: 2) { images in
      let along = ((images - image).flattened(from: 1) * corner).sum([1])
      return Tensor.stacked([0.39 - along, along - 0.39], 1)
    }
    let data = try AttackData(images: image, labels: Tensor([0]))
    for name in [AttackName.pgd, .apgdCE, .fab] {
      var settings = AttackSettings()
      settings.steps = 50
      #expect(
        try run(try settings.make(name, epsilon: PixelBudget(0.05)), model, data).robust.correct == 0, "\(name)")
    }
  }
}
