import QuenchSupport
import QuenchTorch
import QuenchVision
import TestRanks
import Testing

@testable import QuenchDeception

@Suite("A denoiser's training over ranks") struct SharedRedTrainingTests {
  /// What two steps and a validation come to.
  private struct Learned: Sendable {
    var weights: [Double]
    var figures: [Double]

    init(_ world: World, _ transformations: [Transformation]) throws {
      let generator = Generator(seed: 4)
      let clean = Tensor.randint([20, 3, 8, 8], in: 0..<256, using: generator).to(.uint8)
      let labels = Tensor.zeros([20], dtype: .int64)
      let cell = PairCell(
        key: .init(part: .train, victim: "v", attack: .fgsm, level: .medium), clean: clean,
        adversarial: clean.flipped([2]), labels: labels, indices: Tensor.arange(to: 20), before: labels,
        after: labels + 1, successUnrounded: labels + 1, success: labels + 1)
      var second = cell
      second.key.attack = .pgd
      let victim = Network(.smallCNN(input: [3, 8, 8], classes: 4), seed: 2)
      victim.isTraining = false
      var recipe = RedRecipe()
      (recipe.epochs, recipe.batchSize, recipe.objective.transformations) = (1, 7, transformations)
      let network = DenoiserDesign(depth: 3, width: 4).network(input: [3, 8, 8], seed: 1)
      let training = try RedTraining(
        network, on: [cell, second], surrogates: [Victim("v", victim)], recipe: recipe, seed: 3,
        precision: .float32,
        world: world)
      for batch in 0..<2 { _ = training.step(at: LoaderPosition(epoch: 0, batch: batch)) }
      let found = training.validate()
      weights = network.state.flatMap { $0.tensor.to(.float64).array(Double.self) }
      figures = [found?.benign ?? -1, found?.adversarial ?? -1]
    }
  }

  @Test("learns what one process learns, also where transformations mix images of a batch and filters drop some")
  func shared() async throws {
    for moves in [[Transformation.cutmix, .rotate], []] {
      let whole = try Learned(.alone, moves)
      let all = try await Crew.run(2) { world in Result { try Learned(world, moves) } }.map { try $0.get() }
      #expect(all[0].weights == all[1].weights)
      let distance = zip(all[0].weights, whole.weights).map { abs($0 - $1) }.max() ?? 1
      #expect(distance < 1e-5)
      #expect(all.allSatisfy { $0.figures == whole.figures })
    }
  }

  @Test("refuses more ranks than a batch has pairs") func refusal() async throws {
    let all = try await Crew.run(8) { world in (try? Learned(world, [])) == nil }
    #expect(all.allSatisfy { $0 })
  }
}
