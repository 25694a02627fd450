import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import Testing

@testable import QuenchAttacks

@Suite("Adversarial training") struct AdversarialTrainingTests {
  private func learner(_ method: AdversarialTraining.Method, epsilon: Double = 8.0 / 255, epochs: Int = 2) throws
    -> AdversarialTraining
  {
    var options = DataOptions()
    (options.synthetic.trainCount, options.synthetic.side, options.synthetic.classes) = (64, 8, 4)
    let data = try Datasets.load(.synthetic, split: .train, options: options)
    var recipe = TrainingRecipe()
    (recipe.epochs, recipe.batchSize, recipe.augmentation) = (epochs, 16, false)
    var settings = AdversarialTraining.Settings()
    (settings.method, settings.epsilon, settings.steps) = (method, epsilon, 2)
    return AdversarialTraining(
      Network(.smallCNN(input: [3, 8, 8], classes: 4), seed: 1), on: data, recipe: recipe, settings: settings,
      seed: 4,
      precision: .float32)
  }

  @Test("makes a network more robust than plain training does") func robust() throws {
    let (plain, hardened) = (try learner(.pgd, epsilon: 0, epochs: 12), try learner(.pgd, epsilon: 0.1, epochs: 12))
    for learner in [plain, hardened] { _ = try TrainingSession().run(learner) }
    let data = try AttackData(plain.loader.dataset)
    func robust(_ network: Network) throws -> Double {
      let attack = PGD().bounded(by: 0.1)
      return try AttackEvaluator([attack]).run(on: AttackedModel(network), data).robust.fraction
    }
    #expect(try robust(hardened.network) > robust(plain.network) + 0.1)
  }

  @Test("resumes from a checkpoint to the same weights", arguments: AdversarialTraining.Method.allCases)
  func resume(_ method: AdversarialTraining.Method) throws {
    let whole = try learner(method)
    _ = try TrainingSession().run(whole)
    let (first, second) = (try learner(method), try learner(method))
    for step in 0..<5 { _ = first.step(at: LoaderPosition(epoch: step / 4, batch: step % 4)) }
    try second.restore(first.state, from: "test")
    for step in 5..<8 { _ = second.step(at: LoaderPosition(epoch: step / 4, batch: step % 4)) }
    for (a, b) in zip(whole.network.state, second.network.state) {
      #expect(a.tensor.isEqual(to: b.tensor), "\(a.name)")
    }
  }

  @Test("keeps the weights from before a collapse and learns nothing after it") func collapse() throws {
    let learner = try learner(.fgsmRS, epochs: 3)
    for batch in 0..<4 { _ = learner.step(at: LoaderPosition(epoch: 0, batch: batch)) }
    let sound = learner.network.state.map { $0.tensor.cloned() }
    // As if the epoch before had been perfectly robust.
    var state = learner.state
    state["robustness"] = Tensor([Float(2), 0])
    try learner.restore(state, from: "test")
    for batch in 0..<4 { _ = learner.step(at: LoaderPosition(epoch: 1, batch: batch)) }
    #expect(learner.collapsedAfterEpoch == 2)
    for batch in 0..<4 { _ = learner.step(at: LoaderPosition(epoch: 2, batch: batch)) }
    for (kept, entry) in zip(sound, learner.network.state) {
      #expect(kept.isEqual(to: entry.tensor), "\(entry.name)")
    }
  }
}
