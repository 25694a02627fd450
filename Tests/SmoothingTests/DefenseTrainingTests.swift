import Foundation
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestRanks
import TestSupport
import Testing

@testable import QuenchSmoothing

/// A small black box for 28×28 images, a defense for it, and few images.
private enum Tiny {
  static func dataset() throws -> ImageDataset {
    var synthetic = Synthetic()
    (synthetic.trainCount, synthetic.side, synthetic.channels) = (16, 28, 1)
    let block = try synthetic.make(.train)
    return ImageDataset(
      name: "made", block: block, classNames: (0..<10).map { "\($0)" }, statistics: block.statistics(),
      fingerprint: "none")
  }

  static func defense(autoencoder: Bool = true) -> Defense {
    Defense(
      denoiser: Denoiser(depth: 3, width: 4).network(input: [1, 28, 28], seed: 1),
      autoencoder: autoencoder ? .init(.mnist192, seed: 2) : nil)
  }

  static func network() -> Network { Network(.smallCNN(input: [1, 28, 28], classes: 10), seed: 7) }

  static var recipe: DefenseRecipe {
    var recipe = DefenseRecipe()
    (recipe.epochs, recipe.adamEpochs, recipe.batchSize, recipe.augmentation) = (2, 1, 8, false)
    return recipe
  }

  static func steps(_ learner: DefenseTraining, _ range: Range<Int>) throws {
    for step in range { _ = try learner.step(at: LoaderPosition(epoch: step / 2, batch: step % 2)) }
  }
}

private func equal(_ a: StateDictionary, _ b: StateDictionary) -> Bool {
  a.keys == b.keys && zip(a, b).allSatisfy { $0.tensor.isEqual(to: $1.tensor) }
}

/// Fails once, at the given request.
private final class FailingBox: BlackBox {
  private let model = LocalBlackBox(Tiny.network(), version: "tiny")
  private var requests = 0
  private let failing: Int

  init(failing: Int) { self.failing = failing }

  var feedback: Feedback { model.feedback }
  var classes: Int { model.classes }
  var version: String { model.version }
  var largestBatch: Int? { nil }

  func answer(_ images: Tensor) throws -> Tensor {
    requests += 1
    if requests == failing { throw InputError("the model is out of reach", at: "box") }
    return model.answer(images)
  }
}

/// Another model whose answers are changed.
private final class Answering: BlackBox {
  private let model: any BlackBox
  let classes: Int
  var change: (Tensor) -> Tensor = { $0 }

  init(_ model: any BlackBox, classes: Int) {
    self.model = model
    self.classes = classes
  }

  var feedback: Feedback { model.feedback }
  var version: String { model.version }
  var largestBatch: Int? { nil }
  var concurrency: Int { model.concurrency }

  func answer(_ images: Tensor) throws -> Tensor { change(try model.answer(images)) }
  func send(_ images: Tensor) -> PendingAnswer {
    let pending = model.send(images)
    return { self.change(try pending()) }
  }
}

@Suite("A defense's training") struct DefenseTrainingTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func learner(
    _ estimator: GradientEstimator, ledger: URL? = nil,
    box: any BlackBox = LocalBlackBox(Tiny.network(), version: "tiny"), budget: Int? = nil
  ) throws -> (training: DefenseTraining, ledger: QueryLedger) {
    let ledger = try QueryLedger(
      at: ledger ?? folder / "\(UUID().uuidString).sqlite", model: "tiny", budget: budget)
    let training = DefenseTraining(
      Tiny.defense(), of: .queries(MeteredBlackBox(box, ledger: ledger, batchSize: 256), estimator),
      on: try Tiny.dataset(), recipe: Tiny.recipe, seed: 5, precision: .float32)
    return (training, ledger)
  }

  private let estimator = GradientEstimator(.random(directions: 3))

  @Test("Queries are those that the model evaluates: targets, points and differences")
  func queries() throws {
    let (training, ledger) = try learner(estimator)
    try Tiny.steps(training, 0..<2)
    #expect(training.queries == 16 * (1 + 1 + 2 * 3))
    #expect(try ledger.counts == [.target: 16, .base: 16, .perturbation: 96])
    #expect(training.mostQueries == 2 * training.queries)
  }

  @Test("It learns the denoiser and the encoder, never the decoder")
  func learns() throws {
    let (training, _) = try learner(estimator)
    let decoder = try #require(training.defense.autoencoder?.decoder)
    let before = training.defense.trained.map { $0.network.copy().state } + [decoder.copy().state]
    try Tiny.steps(training, 0..<2)
    let after = training.defense.trained.map(\.network.state) + [decoder.state]
    #expect(zip(before, after).map(equal) == [false, false, true])
  }

  @Test("Stopped anywhere and resumed from its state it ends the same, and asks no question twice")
  func resumes() throws {
    let (whole, ledger) = try learner(estimator)
    try Tiny.steps(whole, 0..<4)
    for stop in 1..<4 {
      let file = folder / "\(stop).sqlite"
      let first = try learner(estimator, ledger: file).training
      try Tiny.steps(first, 0..<stop - 1)
      let saved = StateDictionary(first.state.map { ($0.name, $0.tensor.cloned()) })
      // This step is lost with the process, but its answers are not.
      try Tiny.steps(first, stop - 1..<stop)
      let (second, book) = try learner(estimator, ledger: file)
      try second.restore(saved, from: "here")
      try Tiny.steps(second, stop - 1..<4)
      #expect(equal(second.state, whole.state))
      #expect(try book.total == ledger.total)
      #expect(second.queries == whole.queries)
    }
  }

  @Test("A step that fails changes nothing, so that a remote error costs no more than the batch in flight")
  func failure() throws {
    for failing in [1, 2, 3] {
      let training = try learner(estimator, box: FailingBox(failing: failing)).training
      let before = StateDictionary(training.state.map { ($0.name, $0.tensor.cloned()) })
      #expect(throws: InputError.self) { try Tiny.steps(training, 0..<1) }
      #expect(equal(training.state, before))
      try Tiny.steps(training, 0..<4)
      let undisturbed = try learner(estimator).training
      try Tiny.steps(undisturbed, 0..<4)
      #expect(equal(training.state, undisturbed.state))
    }
  }

  @Test("At the budget it stops before a query too many, and more budget goes on to the same end")
  func budget() throws {
    let file = folder / "q.sqlite"
    let (training, ledger) = try learner(estimator, ledger: file, budget: 200)
    #expect { try Tiny.steps(training, 0..<4) } throws: { "\($0)".contains("the query budget is spent") }
    #expect(try ledger.total <= 200)
    let (more, _) = try learner(estimator, ledger: file, budget: 10_000)
    try Tiny.steps(more, 0..<4)
    let (whole, book) = try learner(estimator)
    try Tiny.steps(whole, 0..<4)
    #expect(try equal(more.state, whole.state) && more.queries == book.total)
  }

  @Test("A step's queries are one stream: eight connections take at most a sixth of the time of one")
  func connections() throws {
    func seconds(_ concurrency: Int, _ estimator: GradientEstimator) throws -> (Double, StateDictionary) {
      let model = LocalBlackBox(Tiny.network(), version: "slow", batchSize: 8)
      let slow = SlowBox(concurrency) { model.answer($0) }
      let training = DefenseTraining(
        Tiny.defense(),
        of: .queries(MeteredBlackBox(Answering(slow, classes: 10), ledger: nil, batchSize: 8), estimator),
        on: try Tiny.dataset(), recipe: Tiny.recipe, seed: 5, precision: .float32)
      try Tiny.steps(training, 0..<2)
      return (slow.now, training.state)
    }
    for estimator in [GradientEstimator(.random(directions: 12)), GradientEstimator(difference: .forward)] {
      let (one, eight) = (try seconds(1, estimator), try seconds(8, estimator))
      #expect(one.0 >= 6 * eight.0, "\(one.0) and \(eight.0) seconds")
      #expect(equal(one.1, eight.1))
    }
  }

  @Test("Images that the model twice answers with NaN are left out, and are told; too many of them end it")
  func leavesOut() throws {
    let broken = Answering(LocalBlackBox(Tiny.network(), version: "tiny"), classes: 10)
    broken.change = { answers in
      let answers = answers.cloned()
      if answers.size(0) > 0 { answers[0].fill(with: .nan) }
      return answers
    }
    // One request a step holds the clean images; its first is never answered.
    let training = try learner(estimator, box: broken).training
    var findings: [String] = []
    training.onFinding = { findings.append($0) }
    _ = try training.step(at: LoaderPosition())
    #expect(training.tally.leftOut >= 1 && training.tally.images == 8)
    #expect(findings.contains { $0.contains("NaN or infinity") })
    #expect(training.state.allSatisfy { $0.tensor.isFinite().all() })
    broken.change = { $0 * .nan }
    #expect { _ = try training.step(at: LoaderPosition(batch: 1)) } throws: {
      "\($0)".contains("the model answers NaN or infinity, also when it is asked again")
    }
  }

  @Test("Answers so coarse that differences are zero are told, and stop what learns nothing")
  func coarse() throws {
    let box = Answering(LocalBlackBox(Tiny.network(), version: "tiny"), classes: 10)
    box.change = { ($0 * 10).rounded() / 10 }
    let training = try learner(GradientEstimator(.random(directions: 40)), box: box).training
    var findings: [String] = []
    training.onFinding = { findings.append($0) }
    #expect { try Tiny.steps(training, 0..<40) } throws: {
      "\($0)".contains("too coarse for this step") && "\($0)".contains("smoothing-step")
    }
    #expect(findings.count == 1 && findings[0].contains("% of the differences are exactly 0"), "\(findings)")
  }

  @Test("Skipping dead coordinates saves queries and changes no weight, bit for bit")
  func deadCoordinates() throws {
    let sparing = try learner(GradientEstimator()).training
    let whole = try learner(GradientEstimator(skipsDeadCoordinates: false)).training
    try Tiny.steps(sparing, 0..<1)
    try Tiny.steps(whole, 0..<1)
    #expect(sparing.queries < whole.queries)
    for (a, b) in zip(sparing.defense.trained, whole.defense.trained) {
      #expect(equal(a.network.state, b.network.state))
    }
  }

  @Test("Queries of every coordinate teach what a ResNet's own gradient teaches, to three per cent")
  func firstOrder() throws {
    func network() -> Network { Network(.cifarResNet(depth: 20, input: [1, 28, 28], classes: 10), seed: 7) }
    /// One step of plain descent: the change of the weights is the gradient.
    func change(_ slope: DefenseTraining.Slope) throws -> Tensor {
      var recipe = Tiny.recipe
      (recipe.adamEpochs, recipe.weightDecay, recipe.momentum, recipe.batchSize) = (0, 0, 0, 4)
      let training = DefenseTraining(
        Tiny.defense(), of: slope, on: try Tiny.dataset(), recipe: recipe, seed: 5, precision: .float32)
      func weights() -> Tensor {
        Tensor.concatenated(
          training.defense.trained.flatMap {
            $0.network.parameters.map { $0.tensor.detached().cloned().reshaped([-1]) }
          })
      }
      let before = weights()
      _ = try training.step(at: LoaderPosition())
      return weights() - before
    }
    let exact = try change(.network(network(), .logits))
    let ledger = try QueryLedger(at: folder / "q.sqlite", model: "tiny", budget: nil)
    let box = MeteredBlackBox(LocalBlackBox(network(), version: "tiny"), ledger: ledger)
    let estimated = try change(.queries(box, GradientEstimator()))
    #expect(exact.norm().item() > 0)
    #expect((estimated - exact).norm().item() / exact.norm().item() < 0.03)
  }

  /// What a step from queries comes to, and what the book says where there is one.
  private struct Learned: Sendable {
    var weights: [Double]
    var queries: Int
    var book: [QueryLedger.Purpose: Int]

    init(_ world: World, _ estimator: GradientEstimator, autoencoder: Bool, ledger url: URL) throws {
      var dataset = try Tiny.dataset()
      dataset.world = world
      let defense = Tiny.defense(autoencoder: autoencoder)
      for (_, network) in defense.trained { network.world = world }
      let ledger = try world.rank == 0 ? QueryLedger(at: url, model: "tiny", budget: nil) : nil
      let box = MeteredBlackBox(LocalBlackBox(Tiny.network(), version: "tiny"), ledger: ledger)
      var recipe = Tiny.recipe
      recipe.adamEpochs = 0
      let training = DefenseTraining(
        defense, of: .queries(box, estimator), on: dataset, recipe: recipe, seed: 5, precision: .float32)
      _ = try training.step(at: LoaderPosition())
      weights = defense.trained.flatMap { $0.network.state.flatMap { $0.tensor.to(.float64).array(Double.self) } }
      queries = training.queries
      book = try ledger?.counts ?? [:]
    }
  }

  @Test("Ranks ask as many queries as one process, enter them in one book and learn the same") func ranks()
    async throws
  {
    let coordinates = GradientEstimator(difference: .forward, smoothingStep: 0.05)
    let directions = GradientEstimator(.random(directions: 5), smoothingStep: 0.05)
    for (estimator, usesCode, sizes) in [(coordinates, true, [2, 4]), (directions, false, [2])] {
      let (one, folder) = (folder / "\(usesCode)-1", folder)
      let whole = try Learned(.alone, estimator, autoencoder: usesCode, ledger: one)
      for size in sizes {
        let all = try await Crew.run(size) { world in
          Result { try Learned(world, estimator, autoencoder: usesCode, ledger: folder / "\(usesCode)-\(size)") }
        }.map { try $0.get() }
        #expect(all.allSatisfy { $0.queries == whole.queries && $0.weights == all[0].weights })
        #expect(all[0].book == whole.book && whole.book.values.reduce(0, +) == whole.queries)
        let distance = zip(all[0].weights, whole.weights).map { abs($0 - $1) }.max() ?? 1
        #expect(distance < 1e-5)
      }
    }
  }

  @Test("Labels alone suffice to learn from")
  func labels() throws {
    let box = LocalBlackBox(Tiny.network(), feedback: .labels, version: "tiny")
    let training = try learner(.init(.smoothed(directions: 8, deviation: 0.5)), box: box).training
    let result = try training.step(at: LoaderPosition())
    #expect((0...1).contains(result.loss.item()) && training.queries == 8 * (1 + 1 + 8))
  }

  @Test("Pretraining brings an autoencoder's error down")
  func pretraining() throws {
    let (dataset, autoencoder) = (try Tiny.dataset(), Defense.Autoencoder(.mnist192, seed: 2))
    var recipe = Tiny.recipe
    (recipe.epochs, recipe.adamEpochs, recipe.learningRate) = (20, 20, 5e-3)
    let learner = Pretraining(
      [("encoder", autoencoder.encoder), ("decoder", autoencoder.decoder)], on: dataset, recipe: recipe, noise: 0,
      seed: 1, precision: .float32)
    let before = learner.error(on: dataset)
    for step in 0..<40 { _ = try learner.step(at: LoaderPosition(epoch: step / 2, batch: step % 2)) }
    #expect(learner.error(on: dataset) < 0.9 * before)
  }
}
