import Foundation
import QuenchSupport
import QuenchTorch
import QuenchVision
import Testing

@testable import QuenchSmoothing

@Suite("Image reconstruction") struct ReconstructionTests {
  private func images(_ count: Int) -> Tensor { .uniform([count, 1, 28, 28], using: Generator(seed: 3)) }

  private func dataset(_ count: Int) throws -> ImageDataset {
    var synthetic = Synthetic()
    (synthetic.trainCount, synthetic.side, synthetic.channels) = (count, 28, 1)
    let block = try synthetic.make(.train)
    return ImageDataset(
      name: "made", block: block, classNames: (0..<10).map { "\($0)" }, statistics: block.statistics(),
      fingerprint: "none")
  }

  @Test("The reconstructor has the published size and gives back an image of the measurement's size")
  func reconstructor() throws {
    let architecture = Architecture.reconstructor
    #expect(architecture.parameterCount == 14_993)
    #expect(architecture.outputShape == [1, 28, 28])
    let shapes = try Network(architecture, seed: 1).trace().shapes
    #expect(shapes.contains([1, 8, 2, 2]) && shapes.contains([1, 8, 15, 15]))
  }

  @Test("Measurements are scaled so that -2 becomes 0 and 3 becomes 1")
  func scale() {
    #expect(Measurement.scaled(Tensor([-2.0, 3.0])).array(Double.self) == [0, 1])
  }

  @Test("A measurement is linear, symmetric, and the same for the same seed alone")
  func measurement() {
    let (a, b) = (images(2)[0..<1], images(2)[1..<2])
    func projected(_ x: Tensor, seed: UInt64 = 0) -> Tensor {
      Measurement(shape: [1, 28, 28], count: 100, seed: seed)(x) * 5 - 2
    }
    #expect((projected(a + 2 * b) - projected(a) - 2 * projected(b)).abs().max().item() < 1e-3)
    let (ab, ba): (Double, Double) = ((a * projected(b)).sum().item(), (b * projected(a)).sum().item())
    #expect(abs(ab - ba) < 1e-3 * abs(ab))
    #expect(projected(a).isEqual(to: projected(a)))
    #expect(!projected(a).isEqual(to: projected(a, seed: 1)))
    // E[A Aᵀ] is the identity: a length is kept but for the measurement's noise.
    let kept: Double = ((a * projected(a)).sum() / a.square().sum()).item()
    #expect(abs(kept - 1) < 0.5)
  }

  @Test("Errors and similarities are those of the reference formulas")
  func quality() {
    let k = Array(0..<784)
    let a = Tensor(k.map { Float($0 * 7 % 11) / 10 }, shape: [1, 1, 28, 28])
    let b = Tensor(k.map { Float($0 * 3 % 7) / 6 }, shape: [1, 1, 28, 28])
    func similarity(_ a: Tensor, _ b: Tensor) -> Double { ImageQuality.structuralSimilarity(a, b).item() }
    #expect(abs(similarity(a, b) - 0.117_990_865) < 1e-5)
    #expect(abs(similarity(a, (a + b) / 2) - 0.704_614_240) < 1e-5)
    #expect(abs(similarity(a, a) - 1) < 1e-5)
    #expect(abs(ImageQuality.rootMeanSquaredError(a, b).item() - 0.459_048_153) < 1e-6)
  }

  @Test("The attack stays in its ball, raises the error, and comes out the same for the same seed")
  func attack() {
    let network = Network(.reconstructor, seed: 1)
    network.setTrainable(false)
    let truth = images(3)
    let shown = Measurement(shape: [1, 28, 28], count: 100)(truth)
    func error(_ x: Tensor) -> [Double] {
      withoutGradient { ImageQuality.rootMeanSquaredError(network(x), truth).array(Double.self) }
    }
    var attack = ReconstructionAttack(epsilon: 2)
    attack.steps = 10
    func attacked() -> Tensor { attack(shown, of: truth, using: Generator(seed: 9)) { network($0) } }
    let moved = attacked()
    #expect((moved - shown).norm(2, [1, 2, 3]).array(Double.self).allSatisfy { $0 <= 2 + 1e-4 && $0 > 0.1 })
    #expect(zip(error(moved), error(shown)).allSatisfy { $0 > $1 })
    #expect(moved.isEqual(to: attacked()))
    #expect(
      ReconstructionAttack(epsilon: 0)(shown, of: truth, using: Generator(seed: 9)) { network($0) }.isEqual(
        to: shown))
  }

  @Test("Where the gradient is 0 the attack walks at random, within its ball")
  func flatAttack() {
    let truth = images(2)
    let moved = ReconstructionAttack(epsilon: 1)(truth, of: truth, using: Generator(seed: 1)) { $0 * 0 + 0.5 }
    #expect(moved.isFinite().all())
    #expect((moved - truth).norm(2, [1, 2, 3]).array(Double.self).allSatisfy { $0 <= 1 + 1e-4 })
  }

  @Test("Training from queries takes the step that gradients take")
  func queriesAgreeWithGradients() throws {
    let network = Network(.reconstructor, seed: 4)
    let measured = try dataset(8).measured(by: Measurement(shape: [1, 28, 28]))
    var recipe = DefenseRecipe()
    (recipe.epochs, recipe.adamEpochs, recipe.batchSize, recipe.augmentation) = (1, 0, 8, false)
    (recipe.learningRate, recipe.momentum) = (1, 0)
    func step(_ slope: DefenseTraining.Slope) throws -> (Tensor, StepResult) {
      let defense = Defense(
        denoiser: Denoiser(depth: 3, width: 4).network(input: [1, 28, 28], seed: 1),
        autoencoder: .init(.mnist192, seed: 2))
      let before = defense.denoiser.parameters.map { $0.tensor.cloned() }
      let training = DefenseTraining(defense, of: slope, on: measured, recipe: recipe, seed: 5, precision: .float32)
      let result = try training.step(at: LoaderPosition())
      let moves = zip(defense.denoiser.parameters, before).map { ($0.tensor - $1).flattened() }
      return (withoutGradient { Tensor.concatenated(moves) }, result)
    }
    let (exact, exactResult) = try step(.network(network, .images))
    let box = LocalBlackBox(network, feedback: .images, version: "tiny")
    #expect(box.classes == 0 && box.answerShape == [1, 28, 28])
    let (estimated, result) = try step(
      .queries(MeteredBlackBox(box, ledger: nil, batchSize: 256), GradientEstimator(smoothingStep: 0.05)))
    let difference: Double = ((estimated - exact).norm() / exact.norm()).item()
    #expect(difference < 0.05, "\(difference)")
    #expect(abs(result.loss.item() - exactResult.loss.item()) < 1e-5)
    #expect(result.correct == nil && exactResult.correct == nil)
  }

  @Test("An evaluation tells the errors alone and defended, and the same again")
  func evaluation() throws {
    let dataset = try dataset(6)
    var evaluation = ReconstructionEvaluation()
    (evaluation.epsilons, evaluation.steps, evaluation.copies) = ([0, 2], 5, 2)
    let network = Network(.reconstructor, seed: 1)
    let defense = Defense(
      denoiser: Denoiser(depth: 3, width: 4).network(input: [1, 28, 28], seed: 1),
      autoencoder: .init(.mnist192, seed: 2))
    func rows(_ target: ReconstructionEvaluation.Target, _ defense: Defense?) -> [ReconstructionEvaluation.Row] {
      var evaluation = evaluation
      evaluation.target = target
      return evaluation(network, defense, on: dataset, measurement: Measurement(shape: [1, 28, 28]), seed: 1)
    }
    let transferred = rows(.undefended, defense)
    #expect(transferred == rows(.undefended, defense))
    #expect(transferred[1].error > transferred[0].error)
    #expect(rows(.undefended, nil).map(\.error) == transferred.map(\.error))
    #expect(rows(.undefended, nil).allSatisfy { $0.defendedError == nil })
    let adaptive = rows(.defended, defense)
    #expect(adaptive[0] == transferred[0])
    #expect(try #require(adaptive[1].defendedError) > #require(adaptive[0].defendedError))
    #expect(adaptive[1] != transferred[1])
  }
}
