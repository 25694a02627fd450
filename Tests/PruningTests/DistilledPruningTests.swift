import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import QuenchPruning

@Suite("Pruning that learns from the dense network") struct DistilledPruningTests {
  private static func methods(rewindingTo early: String) throws -> [any Pruner] {
    let target = PruningTarget(keepRatio: try KeepRatio(0.3))
    var bip = BiP(target)
    (bip.epochs, bip.finetuneEpochs, bip.batchSize) = (1, 1, 16)
    var hydra = HYDRA(target)
    (hydra.epochs, hydra.finetuning) = (1, TinyRun.recipe(epochs: 1))
    var omp = OMP(target)
    omp.recipe = TinyRun.recipe(epochs: 1)
    var gmp = GMP(target)
    gmp.recipe = TinyRun.recipe(epochs: 1)
    var imp = IMP(PruningTarget(keepRatio: try KeepRatio(0.8)))
    (imp.recipe, imp.rewindFile) = (TinyRun.recipe(epochs: 1), early)
    var synFlow = PruningAtInitialisation<SynFlow>(target)
    synFlow.recipe = TinyRun.recipe(epochs: 1)
    return [bip, hydra, omp, gmp, imp, synFlow]
  }

  @Test("no label matters where the teacher has the whole loss, and labels do where it has half", arguments: 0..<6)
  func labels(method: Int) throws {
    let folder = try TemporaryFolder()
    let early = try TinyRun.file(of: TinyRun.network(seed: 1), in: folder)
    let method = try Self.methods(rewindingTo: early)[method]
    let images = try TinyRun.images()
    var mislabeled = images
    mislabeled.labels = Tensor(images.labels.array(Int64.self).map { ($0 + 1) % 10 })
    func weights(_ data: ImageDataset, share: Double) throws -> Tensor {
      let network = TinyRun.network(seed: 1)
      let learner = try method.training(
        network, on: data, seed: 1, precision: .float32,
        distillation: Distillation(network.copy(), share: share, batchSize: 16, precision: .float32))
      try TinyRun.steps(learner, 0..<learner.epochs * learner.stepsPerEpoch)
      learner.finish()
      return learner.mask.layout.weights(of: network)
    }
    #expect(try weights(images, share: 1).isEqual(to: weights(mislabeled, share: 1)))
    #expect(try !weights(images, share: 0.5).isEqual(to: weights(mislabeled, share: 0.5)))
  }

  @Test("needs a dense network to learn from") func settings() throws {
    let new = try Prune<PruningAtInitialisation<SNIP>>(settings: ["keep": 0.5, "distillation": 0.5], name: "x")
    #expect { try new.checked() } throws: { "\($0)".contains("`dense`") }
    let trained = try Prune<BiP>(settings: ["keep": 0.5, "distillation": 0.5], name: "x").checked()
    #expect(trained.distillation == 0.5)
    let more = try Prune<BiP>(settings: ["keep": 0.5, "distillation": 1.5], name: "x")
    #expect(throws: InputError.self) { try more.checked() }
  }
}
