import Foundation
import QuenchPruning
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

/// Small images and networks for whole runs.
enum TinyRun {
  static func network(seed: UInt64) -> Network {
    Network(.smallCNN(input: [3, 16, 16], classes: 10), seed: seed)
  }

  static func images() throws -> ImageDataset {
    var options = DataOptions()
    options.synthetic.trainCount = 64
    options.synthetic.side = 16
    return try Datasets.load(.synthetic, split: .train, options: options)
  }

  static func recipe(epochs: Int) -> TrainingRecipe {
    var recipe = TrainingRecipe()
    recipe.epochs = epochs
    recipe.batchSize = 16
    return recipe
  }

  /// The path of a file of the network's weights.
  static func file(of network: Network, in folder: TemporaryFolder) throws -> String {
    try ModelFile(network).write(to: folder / "early.safetensors")
    return (folder / "early.safetensors").path
  }

  /// Steps through a whole run, or from one position to another.
  static func steps(_ learner: any PruningLearner, _ range: Range<Int>) throws {
    for step in range {
      _ = try learner.step(
        at: LoaderPosition(epoch: step / learner.stepsPerEpoch, batch: step % learner.stepsPerEpoch))
    }
  }

  /// Runs to the end, and again with a break at every step of `breaks`, from state alone: both must end the same.
  static func expectResumes(_ make: () throws -> any PruningLearner, breaks: [Int]) throws {
    let whole = try make()
    let total = whole.epochs * whole.stepsPerEpoch
    try steps(whole, 0..<total)
    whole.finish()
    for position in breaks {
      let first = try make()
      try steps(first, 0..<position)
      let state = StateDictionary(first.state.map { ($0.name, $0.tensor.cloned()) })
      let second = try make()
      try second.restore(state, from: "memory")
      try steps(second, position..<total)
      second.finish()
      #expect(second.mask.values.isEqual(to: whole.mask.values), "broken at \(position)")
      if let scores = whole.learnedScores {
        #expect(second.learnedScores?.isEqual(to: scores) == true, "broken at \(position)")
      }
      for (mine, theirs) in zip(second.network.state, whole.network.state) {
        #expect(mine.tensor.isEqual(to: theirs.tensor), "\(mine.name), broken at \(position)")
      }
    }
  }
}

@Suite("HYDRA") struct HYDRATests {
  @Test("scaled scores span a range that a layer's fan-in sets")
  func scaledScores() throws {
    var builder = ArchitectureBuilder(input: [3])
    _ = builder.append("fc", .linear(Linear(inputs: 3, outputs: 2, bias: false)), builder.input)
    let network = Network(builder.build("fc"), seed: 0)
    network.convert(to: .float64)
    try network.load(
      StateDictionary([("fc.weight", Tensor([0.5, -1, 0.25, 2, 0.1, -0.4], shape: [2, 3]))]), from: "the test")
    var method = HYDRA(PruningTarget(keepRatio: try KeepRatio(0.5)))
    method.scoreStart = .scaled
    let training = try HYDRATraining(method, network, on: try TinyRun.images(), seed: 1, precision: .float32)
    expectClose(
      training.scores, [0.35355339, -0.70710678, 0.1767767, 1.41421356, 0.07071068, -0.28284271])
  }

  @Test("is BiP's upper step without the implicit part")
  func isLimitOfBiP() throws {
    var hydra = HYDRA(PruningTarget(keepRatio: try KeepRatio(0.5)))
    hydra.momentum = 0
    var bip = BiP(keepRatio: try KeepRatio(0.5))
    bip.mode = .noIG
    bip.momentum = 0
    bip.upperLearningRate = hydra.learningRate
    bip.scoreStepLimit = 0
    let upper = try BiPTraining(
      bip, try ReferenceNetwork.make(), on: try TinyRun.images(), seed: 1, precision: .float32)
    upper.upperStep(ReferenceNetwork.b)
    let training = try HYDRATraining(
      hydra, try ReferenceNetwork.make(), on: try TinyRun.images(), seed: 1, precision: .float32)
    training.step(ReferenceNetwork.b)
    #expect(training.scores.isEqual(to: upper.scores))
    #expect(training.mask.values.isEqual(to: upper.mask.values))
  }

  @Test(
    "lets the kept weights learn with the scores where that is asked, and goes on after a break with the same weights"
  )
  func learnsFromBoth() throws {
    var method = HYDRA(PruningTarget(keepRatio: try KeepRatio(0.3)))
    method.epochs = 1
    (method.learnsFromScoreBatch, method.finetuning) = (true, TinyRun.recipe(epochs: 1))
    let network = TinyRun.network(seed: 1)
    let before = WeightLayout(network).weights(of: network).cloned()
    let first = try HYDRATraining(method, network, on: try TinyRun.images(), seed: 1, precision: .float32)
    let kept = first.mask.values.cloned()
    try TinyRun.steps(first, 0..<1)
    let state = StateDictionary(first.state.map { ($0.name, $0.tensor.cloned()) })
    let after = try #require(state["weights"])
    #expect((after * kept).isEqual(to: before * kept) == false)
    #expect((after * (1 - kept)).isEqual(to: before * (1 - kept)), "what is dropped does not learn")
    try TinyRun.expectResumes(
      { try method.training(TinyRun.network(seed: 1), on: try TinyRun.images(), seed: 1, precision: .float32) },
      breaks: [1, 5])
  }

  @Test("leaves the weights as they are while it learns the scores, then trains those that stay")
  func phases() throws {
    let network = TinyRun.network(seed: 1)
    let before = WeightLayout(network).weights(of: network).cloned()
    var method = HYDRA(PruningTarget(keepRatio: try KeepRatio(0.3)))
    method.epochs = 1
    method.finetuning = TinyRun.recipe(epochs: 1)
    let learner = try method.training(network, on: try TinyRun.images(), seed: 1, precision: .float32)
    #expect(learner.epochs == 2)
    try TinyRun.steps(learner, 0..<4)
    learner.finish()
    #expect(learner.mask.layout.weights(of: network).isEqual(to: before * learner.mask.values))
    try TinyRun.steps(learner, 4..<8)
    learner.finish()
    let after = learner.mask.layout.weights(of: network)
    #expect(!after.isEqual(to: before * learner.mask.values))
    #expect(after.nonzeroCount() == learner.mask.keptCount)
  }

  @Test("goes on after a break in either phase as if there had been none")
  func resumes() throws {
    var method = HYDRA(PruningTarget(keepRatio: try KeepRatio(0.3)))
    method.epochs = 1
    method.finetuning = TinyRun.recipe(epochs: 1)
    let images = try TinyRun.images()
    try TinyRun.expectResumes(
      { [method] in try method.training(TinyRun.network(seed: 1), on: images, seed: 1, precision: .float32) },
      breaks: [2, 4, 6])
  }
}

@Suite("Iterative magnitude pruning") struct IMPTests {
  @Test("each round drops a fifth of what is left, rounded")
  func counts() throws {
    let method = IMP(PruningTarget(keepRatio: try KeepRatio(0.1)))
    let kept = method.schedule(count: 268_336).map { $0.kept(of: 268_336) }
    #expect(
      kept == [214_669, 171_735, 137_388, 109_910, 87_928, 70_342, 56_274, 45_019, 36_015, 28_812, 26_834])
    let convolutions = method.schedule(count: 267_696).map { $0.kept(of: 267_696) }
    #expect(
      convolutions.dropLast() == [
        214_157, 171_326, 137_061, 109_649, 87_719, 70_175, 56_140, 44_912, 35_930, 28_744
      ])
  }

  @Test("rounds end at the ratios that are asked for on the way")
  func stops() throws {
    var method = IMP(PruningTarget(keepRatio: try KeepRatio(0.168)))
    method.stops = [try KeepRatio(0.512), try KeepRatio(0.328), try KeepRatio(0.05)]
    let schedule = method.schedule(count: 268_336).map(\.value)
    #expect(schedule.count == 8)
    #expect(schedule[2] == 0.512)
    #expect(schedule[4] == 0.328)
    #expect(schedule[7] == 0.168)
    #expect(
      try IMP(PruningTarget(keepRatio: KeepRatio(1))).schedule(count: 10).count == 1)
  }

  private static func method(_ early: Network, in folder: TemporaryFolder) throws -> IMP {
    var method = IMP(PruningTarget(keepRatio: try KeepRatio(0.64)))
    method.rewindFile = try TinyRun.file(of: early, in: folder)
    method.recipe = TinyRun.recipe(epochs: 1)
    return method
  }

  @Test("a round rewinds what the round before kept, and its mask lies within the one before")
  func rounds() throws {
    let (network, early) = (TinyRun.network(seed: 1), TinyRun.network(seed: 2))
    let folder = try TemporaryFolder()
    let learner = try Self.method(early, in: folder).training(network, on: try TinyRun.images(), seed: 1)
    let training = try #require(learner as? IMPTraining)
    #expect(training.epochs == 2)
    let expected = try OMP(keepRatio: training.rounds[0]).mask(for: network)
    try TinyRun.steps(training, 0..<4)
    let first = training.mask
    #expect(first.values.isEqual(to: expected.values))
    try TinyRun.steps(training, 4..<8)
    let second = training.mask
    #expect(second.keptCount == training.rounds[1].kept(of: second.layout.count))
    #expect((second.values * (first.values .== 0).to(.float32)).nonzeroCount() == 0)
    #expect(second.layout.weights(of: network).nonzeroCount() == second.keptCount)
  }

  @Test("goes on after a break in any round as if there had been none")
  func resumes() throws {
    let images = try TinyRun.images()
    let folder = try TemporaryFolder()
    let method = try Self.method(TinyRun.network(seed: 2), in: folder)
    try TinyRun.expectResumes(
      { try method.training(TinyRun.network(seed: 1), on: images, seed: 1) }, breaks: [3, 4, 6])
  }
}

@Suite("BiP's runs") struct BiPRunTests {
  private static func method(_ configure: (inout BiP) -> Void = { _ in }) throws -> BiP {
    var method = BiP(keepRatio: try KeepRatio(0.2))
    method.epochs = 1
    method.batchSize = 16
    configure(&method)
    return method
  }

  @Test("without an upper learning rate the mask stays that of the magnitudes")
  func isOMP() throws {
    let network = TinyRun.network(seed: 1)
    let expected = try OMP(keepRatio: try KeepRatio(0.2)).mask(for: network)
    let learner = try Self.method { $0.upperLearningRate = 0 }
      .training(network, on: try TinyRun.images(), seed: 1)
    try TinyRun.steps(learner, 0..<4)
    #expect(learner.mask.values.isEqual(to: expected.values))
  }

  @Test("a step moves the scores by the limit's share of their norm where the gradient would throw them further")
  func limitsSteps() throws {
    /// The distance that one upper step moves the scores, as a share of their norm.
    func moved(limit: Double) throws -> Double {
      var method = try Self.method()
      (method.momentum, method.upperLearningRate, method.scoreStepLimit) = (0, 1000, limit)
      let training = try BiPTraining(
        method, TinyRun.network(seed: 1), on: try TinyRun.images(), seed: 1, precision: .float32)
      let before = training.scores.cloned()
      try TinyRun.steps(training, 0..<1)
      return ((training.scores - before).norm() / before.norm()).item()
    }
    #expect(try abs(moved(limit: 0.01) - 0.01) < 1e-6)
    let unlimited = try moved(limit: 0)
    #expect(unlimited > 0.01)
    #expect(try moved(limit: 2 * unlimited) == unlimited)
  }

  @Test("moves the mask and keeps the count, in every mode and granularity", arguments: BiP.Mode.allCases)
  func moves(_ mode: BiP.Mode) throws {
    for granularity in [Granularity.weight, .filter, .channel, .group, .pattern(kept: 2, group: 4)] {
      let network = TinyRun.network(seed: 1)
      // As in a trained network: a masked filter's batch norm gives its bias, and a ReLU passes no gradient at zero.
      withoutGradient {
        for entry in network.parameters where entry.name.hasSuffix("bias") { entry.tensor.fill(with: 0.5) }
      }
      var method = BiP(keepRatio: try KeepRatio(0.5))
      method.epochs = 1
      method.batchSize = 16
      method.mode = mode
      method.target.granularity = granularity
      method.upperLearningRate = 30
      let learner = try method.training(network, on: try TinyRun.images(), seed: 1)
      let first = learner.mask.values.cloned()
      try TinyRun.steps(learner, 0..<4)
      #expect(learner.mask.keptCount == method.target.kept(of: learner.mask.layout))
      #expect(!learner.mask.values.isEqual(to: first), "\(granularity)")
    }
  }

  @Test("learning from the upper batch too moves kept weights by its gradient and leaves the scores' step alone")
  func learnsFromBoth() throws {
    let published = try ReferenceNetwork.training()
    let shared = try ReferenceNetwork.training { $0.learnsFromUpperBatch = true }
    let mask = shared.mask.values.cloned()
    let before = shared.weights.cloned()
    for training in [published, shared] { training.upperStep(ReferenceNetwork.b) }
    #expect(shared.scores.isEqual(to: published.scores))
    #expect(shared.mask.values.isEqual(to: published.mask.values))
    #expect(published.weights.isEqual(to: before))
    // g of batch B at the first mask, C6's network before its lower step: only kept weights move, by lr · m⊙g.
    let moved = (shared.weights - before) * (1 / -0.01)
    #expect(((mask * -1 + 1) * moved).nonzeroCount() == 0)
    let lower = try ReferenceNetwork.training()
    lower.lowerStep(ReferenceNetwork.b)
    expectClose(shared.weights, lower.weights.array(Double.self), within: 1e-12)
  }

  @Test("in the tied mode scores and weights are one tensor")
  func tied() throws {
    let tied = try ReferenceNetwork.training { $0.mode = .repoTied }
    tied.lowerStep(ReferenceNetwork.a)
    #expect(tied.scores.isEqual(to: tied.weights))
    tied.upperStep(ReferenceNetwork.b)
    #expect(tied.scores.isEqual(to: tied.weights))
  }

  @Test("goes on after a break as if there had been none, fine-tuning included", arguments: BiP.Mode.allCases)
  func resumes(_ mode: BiP.Mode) throws {
    let images = try TinyRun.images()
    let method = try Self.method {
      $0.mode = mode
      $0.finetuneEpochs = 1
    }
    try TinyRun.expectResumes(
      { try method.training(TinyRun.network(seed: 1), on: images, seed: 1) }, breaks: [2, 4, 5])
  }
}
