import QuenchPruning
import QuenchSupport
import QuenchTorch
import QuenchVision
import Testing

@Suite("Groups of filters") struct GroupPruningTests {
  /// With biases as after training: a ReLU passes no gradient at zero.
  private static func network() -> Network {
    let network = Network(.cifarResNet(depth: 8, input: [3, 16, 16], classes: 10), seed: 1)
    withoutGradient {
      for entry in network.parameters where entry.name.hasSuffix("bias") { entry.tensor.fill(with: 0.5) }
    }
    return network
  }

  private static func method(_ keep: Double = 0.5, epochs: Int = 1) throws -> BiP {
    var target = PruningTarget(keepRatio: try KeepRatio(keep))
    target.granularity = .group
    var method = BiP(target)
    method.epochs = epochs
    method.batchSize = 16
    method.upperLearningRate = 30
    return method
  }

  /// The filters that each layer keeps.
  private static func filters(_ mask: Mask) -> [[Bool]] {
    mask.layers.map { layer in
      let kept = layer.reshaped([layer.size(0), -1])
      #expect(kept.min([1]).isEqual(to: kept.max([1])), "a filter is masked in part")
      return kept.max([1]).array(Double.self).map { $0 == 1 }
    }
  }

  @Test("layers that add to one stream keep the same channels, each layer the fraction asked for")
  func coupled() throws {
    let target = try Self.method().target
    let network = Self.network()
    let layout = try target.layout(of: network)
    #expect(!layout.names.contains("fc.weight"))
    let mask = target.mask(layout.weights(of: network).abs(), layout)
    #expect(mask.keptCount == target.kept(of: layout))
    let kept = Dictionary(uniqueKeysWithValues: zip(layout.names, Self.filters(mask)))
    #expect(kept["conv1.weight"] == kept["layer1.0.conv2.weight"])
    // A shortcut pads channels in front: stage-1 channel c is stage-2 channel c + 8.
    #expect(kept["layer2.0.conv2.weight"]?[8..<24] == kept["conv1.weight"]?[...])
    for filters in kept.values { #expect(filters.count { $0 } * 2 == filters.count) }
  }

  @Test("an excluded layer keeps all filters, and so do those that share its channels")
  func excluded() throws {
    var target = try Self.method().target
    target.excluded = ["conv1"]
    let names = try target.layout(of: Self.network()).names
    #expect(names == ["layer1.0.conv1.weight", "layer2.0.conv1.weight", "layer3.0.conv1.weight"])
  }

  @Test("what BiP prunes is cut to the last channel, streams included, without a trace")
  func slims() throws {
    let network = Self.network()
    let learner = try Self.method().training(
      network, on: try TinyRun.images(), seed: 1, precision: .float32)
    let first = learner.mask.values.cloned()
    try TinyRun.steps(learner, 0..<learner.stepsPerEpoch)
    learner.finish()
    #expect(!learner.mask.values.isEqual(to: first))
    for policy in [Slimming.Policy.intersection, .groupScore] {
      let slimmed = try Slimming(policy: policy).slim(network, mask: learner.mask)
      #expect(slimmed.report.removedChannels == slimmed.report.maskedChannels)
      #expect(slimmed.report.achievedChannelRatio == 0.5)
      #expect(OutputDifference(of: slimmed.network, from: network).relative < 1e-5)
    }
  }

  @Test("what silences a channel for a look at the network is taken back before it learns on")
  func revives() throws {
    let images = try TinyRun.images()
    let (plain, watched) = try (
      Self.method().training(Self.network(), on: images, seed: 1, precision: .float32),
      Self.method().training(Self.network(), on: images, seed: 1, precision: .float32)
    )
    for step in 0..<plain.stepsPerEpoch {
      try TinyRun.steps(plain, step..<step + 1)
      try TinyRun.steps(watched, step..<step + 1)
      watched.finish()
    }
    plain.finish()
    #expect(watched.mask.values.isEqual(to: plain.mask.values))
    for (mine, theirs) in zip(watched.network.state, plain.network.state) {
      #expect(mine.tensor.isEqual(to: theirs.tensor), "\(mine.name)")
    }
  }

  @Test("goes on after a break as if there had been none, fine-tuning included")
  func resumes() throws {
    let images = try TinyRun.images()
    var method = try Self.method()
    method.finetuneEpochs = 1
    try TinyRun.expectResumes(
      { [method] in try method.training(Self.network(), on: images, seed: 1, precision: .float32) },
      breaks: [2, 4, 6])
  }

  @Test("counts two images of a batch for both of BiP's passes, and one in fine-tuning") func images() throws {
    var method = try Self.method()
    (method.epochs, method.batchSize, method.finetuneEpochs) = (2, 16, 3)
    let learner = try method.training(Self.network(), on: try TinyRun.images(), seed: 1, precision: .float32)
    let steps = learner.stepsPerEpoch
    let counts = [0, 1, 2 * steps, 2 * steps + 1, 5 * steps].map { learner.images(in: $0) }
    #expect(counts == [0, 32, 64 * steps, 64 * steps + 16, 112 * steps])
    try TinyRun.steps(learner, 0..<2 * steps + 1)
    #expect(learner.images(in: 5 * steps) == 112 * steps)
  }

  @Test("magnitude pruning holds pruned channels silent while the others learn")
  func magnitude() throws {
    var method = OMP(try Self.method(0.25).target)
    method.recipe = TinyRun.recipe(epochs: 1)
    let network = Self.network()
    let learner = try method.training(network, on: try TinyRun.images(), seed: 1, precision: .float32)
    try TinyRun.steps(learner, 0..<learner.stepsPerEpoch)
    let slimmed = try Slimming(policy: .intersection).slim(network, mask: learner.mask)
    #expect(slimmed.report.achievedChannelRatio == 0.25)
  }
}
