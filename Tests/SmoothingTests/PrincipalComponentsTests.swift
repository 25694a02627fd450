import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import QuenchSmoothing

@Suite("Principal components as an autoencoder") struct PrincipalComponentsTests {
  /// 400 gray images of 4×5 pixels: a mean, and 20 patterns of which each has half the size of the one before.
  private static var images: ImageDataset {
    let generator = Generator(seed: 1)
    let patterns = Tensor.orthogonal([20, 20], using: generator)
    let sizes = Tensor((0..<20).map { Float(120 * pow(0.5, Double($0))) })
    let pixels = ((Tensor.normal([400, 20], using: generator) * sizes / 4).matmul(patterns) + 128).rounded()
    return ImageDataset(
      name: "patterns",
      block: PixelBlock(
        shape: [400, 1, 4, 5], pixels: Data(pixels.clamped(to: 0...255).array(Float.self).map { UInt8($0) }),
        labels: (0..<400).map { Int64($0 % 2) }),
      classNames: ["even", "odd"], statistics: ChannelStatistics(mean: [0], standardDeviation: [1]), fingerprint: ""
    )
  }

  private static func learner(_ components: Int, epochs: Int = 6) throws -> PrincipalComponents {
    var recipe = DefenseRecipe()
    (recipe.epochs, recipe.batchSize, recipe.augmentation) = (epochs, 40, false)
    return try PrincipalComponents(components, of: images, recipe: recipe, seed: 1)
  }

  private static func run(_ learner: PrincipalComponents, epochs: Range<Int>) {
    for epoch in epochs {
      for batch in 0..<learner.stepsPerEpoch { _ = learner.step(at: LoaderPosition(epoch: epoch, batch: batch)) }
    }
  }

  @Test("the error is the sum of the eigenvalues of the covariance that are left out", arguments: [1, 3, 8])
  func error(components: Int) throws {
    let learner = try Self.learner(components)
    Self.run(learner, epochs: 0..<6)
    let pixels = BatchLoader.evaluation(Self.images, batchSize: 400).batch(at: LoaderPosition()).images
    let given = withoutGradient { learner.autoencoder.decoder(learner.autoencoder.encoder(pixels)) }
    let flat = pixels.flattened(from: 1).to(.float64)
    let centered = flat - flat.mean([0])
    let values = Operator("aten::linalg_eigvalsh")(centered.transposed(0, 1).matmul(centered) / 400, "L")
    let left = values[..<(20 - components)].sum().item() / 20
    #expect(abs(given.meanSquaredError(pixels).item() / left - 1) < 1e-3)
    #expect(given.min().item() >= 0 && given.max().item() <= 1)
  }

  @Test("codes are uncorrelated coordinates along orthonormal patterns, the largest first") func codes() throws {
    let learner = try Self.learner(4)
    Self.run(learner, epochs: 0..<6)
    let pixels = BatchLoader.evaluation(Self.images, batchSize: 400).batch(at: LoaderPosition()).images
    let codes = withoutGradient { learner.autoencoder.encoder(pixels).flattened(from: 1) }
    let directions = learner.autoencoder.decoder.parameters[0].tensor
    let products = directions.transposed(0, 1).matmul(directions)
    for row in 0..<4 {
      for column in 0..<4 { #expect(abs(products[row, column].item() - (row == column ? 1 : 0)) < 1e-5) }
    }
    #expect(codes.mean([0]).abs().max().item() < 1e-4)
    let covariance = codes.transposed(0, 1).matmul(codes) / 400
    let variances = (0..<4).map { covariance[$0, $0].item() }
    #expect(variances == variances.sorted(by: >))
    for row in 0..<4 {
      for column in 0..<row { #expect(abs(covariance[row, column].item()) < 0.01 * variances[row]) }
    }
  }

  @Test("goes on after a break as if there had been none") func resumes() throws {
    let whole = try Self.learner(3, epochs: 2)
    Self.run(whole, epochs: 0..<1)
    let stored = StateDictionary(whole.state.map { ($0.name, $0.tensor.cloned()) })
    Self.run(whole, epochs: 1..<2)
    let resumed = try Self.learner(3, epochs: 2)
    try resumed.restore(stored, from: "the test")
    Self.run(resumed, epochs: 1..<2)
    let parts = [whole, resumed].map { $0.autoencoder.decoder.parameters.map(\.tensor) }
    for (a, b) in zip(parts[0], parts[1]) { #expect(a.isEqual(to: b)) }
    #expect(throws: InputError.self) { try resumed.restore(StateDictionary(), from: "the test") }
  }

  @Test("a defense is trained and judged through components; what has no part in them is refused")
  func asExperiment() throws {
    let folder = try TemporaryFolder()
    try ModelFile(Network(.smallCNN(input: [3, 32, 32], classes: 10), seed: 1)).write(
      to: folder / "box.safetensors")
    let box = (folder / "box.safetensors").path
    var learning = LearningSettings()
    (learning.selection.data, learning.precision) = (.synthetic, .float32)
    (learning.selection.limit, learning.selection.trainLimit) = (16, 64)
    var pretraining = PretrainDefense()
    (pretraining.components, pretraining.learning, pretraining.weights) = (12, learning, box)
    (pretraining.recipe.epochs, pretraining.recipe.batchSize) = (3, 16)
    let run = try Lab().perform(pretraining, in: folder / "components")
    #expect(run.outcome?.parameters == 2 * 12 * 3072 + 12 + 3072 && run.outcome?.modelAccuracy != nil)
    pretraining.learning.precision = .automatic
    #expect(pretraining.versions(on: "cpu")["precision"] == .string("float32"))
    let images = BatchLoader.evaluation(try learning.load(on: .cpu, RunConsole()).test, batchSize: 16)
    let spread = images.batch(at: LoaderPosition()).images.flattened(from: 1).variance([0]).mean().item()
    #expect(try #require(run.outcome?.testMse) < spread)

    var training = TrainDefense()
    (training.method, training.learning, training.box.weights) = (.zoAEDS, learning, box)
    (training.autoencoder, training.estimator) = ((folder / "components").path, .cge)
    (training.denoiser.depth, training.denoiser.width) = (3, 2)
    (training.recipe.epochs, training.recipe.batchSize) = (1, 16)
    let trained = try Lab().perform(training, in: folder / "defense")
    #expect(trained.outcome?.codeSize == 12)

    for (change, location) in [
      ({ $0.components = 3073 }, "components"), ({ $0.components = 0 }, "components"),
      ({ $0.architecture = .cifar48 }, "architecture"), ({ $0.part = .denoiser }, "components"),
      ({ $0.denoisedBy = "somewhere" }, "denoised-by"), ({ $0.recipe.learningRate = 0.01 }, "components"),
      ({ $0.learning.precision = .bfloat16 }, "precision")
    ] as [((inout PretrainDefense) -> Void, String)] {
      var wrong = pretraining
      change(&wrong)
      let error = #expect(throws: InputError.self) { try Lab().perform(wrong.checked(), in: folder / "wrong") }
      #expect(error?.location == location)
    }
  }
}
