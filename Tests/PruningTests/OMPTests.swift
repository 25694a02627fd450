import QuenchPruning
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@Suite("One-shot magnitude pruning") struct OMPTests {
  private static func method() throws -> OMP {
    var method = OMP(keepRatio: try KeepRatio(0.2))
    method.recipe = TinyRun.recipe(epochs: 1)
    return method
  }

  @Test("rewinds what the trained network's magnitudes keep to the early weights")
  func rewinds() throws {
    let trained = TinyRun.network(seed: 1)
    let early = TinyRun.network(seed: 2)
    var method = try Self.method()
    let folder = try TemporaryFolder()
    method.rewindFile = try TinyRun.file(of: early, in: folder)
    let expected = try Self.method().mask(for: trained)
    let mask = try method.training(trained, on: try TinyRun.images(), seed: 1).mask

    #expect(mask.values.isEqual(to: expected.values))
    let layout = mask.layout
    #expect(layout.weights(of: trained).isEqual(to: layout.weights(of: early) * mask.values))
    #expect(trained.state["fc.bias"]?.isEqual(to: try #require(early.state["fc.bias"])) == true)
  }

  @Test("refuses weights to rewind to that do not fit the network")
  func rewindsToFittingWeightsOnly() throws {
    let other = Network(.smallCNN(input: [3, 16, 16], classes: 7), seed: 1)
    var method = try Self.method()
    let folder = try TemporaryFolder()
    method.rewindFile = try TinyRun.file(of: other, in: folder)
    let error = #expect(throws: InputError.self) {
      _ = try method.training(TinyRun.network(seed: 1), on: try TinyRun.images(), seed: 1)
    }
    #expect(error.map { "\($0)" }?.contains("fc.") == true)
  }

  @Test("holds the mask while what stays is trained")
  func holdsTheMask() throws {
    let network = TinyRun.network(seed: 1)
    let learner = try Self.method().training(network, on: try TinyRun.images(), seed: 1)
    let mask = learner.mask
    let before = mask.layout.weights(of: network).cloned()
    _ = try TrainingSession().run(learner)
    let after = mask.layout.weights(of: network)
    #expect(after.nonzeroCount() == mask.keptCount)
    #expect((after * (mask.values * -1 + 1)).nonzeroCount() == 0)
    #expect(!after.isEqual(to: before))
  }
}
