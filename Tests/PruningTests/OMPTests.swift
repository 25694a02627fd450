import Pruning
import Support
import Testing
import Torch
import Vision

@Suite("One-shot magnitude pruning") struct OMPTests {
  private static func network(seed: UInt64) -> Network {
    Network(.smallCNN(input: [3, 16, 16], classes: 10), seed: seed)
  }

  private static func images() throws -> ImageDataset {
    var options = DataOptions()
    options.synthetic.trainCount = 64
    options.synthetic.side = 16
    return try Datasets.load(.synthetic, split: .train, options: options)
  }

  private static func recipe() -> TrainingRecipe {
    var recipe = TrainingRecipe()
    recipe.epochs = 1
    recipe.batchSize = 16
    return recipe
  }

  @Test("rewinds what the trained network's magnitudes keep to the early weights")
  func rewinds() throws {
    let trained = Self.network(seed: 1)
    let early = Self.network(seed: 2)
    let method = OMP(keepRatio: try KeepRatio(0.2), rewind: early.state)
    let expected = OMP(keepRatio: try KeepRatio(0.2)).mask(for: trained)
    let (_, mask) = try method.training(trained, on: try Self.images(), recipe: Self.recipe(), seed: 1)

    #expect(mask.values.isEqual(to: expected.values))
    let layout = mask.layout
    #expect(layout.weights(of: trained).isEqual(to: layout.weights(of: early) * mask.values))
    #expect(trained.state["fc.bias"]?.isEqual(to: try #require(early.state["fc.bias"])) == true)
  }

  @Test("refuses weights to rewind to that do not fit the network")
  func rewindsToFittingWeightsOnly() throws {
    let other = Network(.smallCNN(input: [3, 16, 16], classes: 7), seed: 1)
    let method = OMP(keepRatio: try KeepRatio(0.2), rewind: other.state)
    let error = #expect(throws: InputError.self) {
      _ = try method.training(
        Self.network(seed: 1), on: try Self.images(), recipe: Self.recipe(), seed: 1)
    }
    #expect(error.map { "\($0)" }?.contains("fc.") == true)
  }

  @Test("holds the mask while what stays is trained")
  func holdsTheMask() throws {
    let network = Self.network(seed: 1)
    let (learner, mask) = try OMP(keepRatio: try KeepRatio(0.2)).training(
      network, on: try Self.images(), recipe: Self.recipe(), seed: 1)
    let before = mask.layout.weights(of: network).cloned()
    _ = try TrainingSession().run(learner)
    let after = mask.layout.weights(of: network)
    #expect(after.nonzeroCount() == mask.keptCount)
    #expect((after * (mask.values * -1 + 1)).nonzeroCount() == 0)
    #expect(!after.isEqual(to: before))
  }
}
