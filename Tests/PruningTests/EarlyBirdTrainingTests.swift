import QuenchPruning
import QuenchSupport
import QuenchTorch
import QuenchVision
import Testing

@Suite("Early-Bird training") struct EarlyBirdTrainingTests {
  private static func method(epochs: Int = 4, latest: Int? = nil, tolerance: Double = 0.1) throws
    -> EarlyBirdPruning
  {
    var method = EarlyBirdPruning(keepRatio: try KeepRatio(0.5))
    method.recipe = TinyRun.recipe(epochs: epochs)
    method.latestEpoch = latest
    method.method.window = 2
    method.method.tolerance = tolerance
    return method
  }

  private static func network() -> Network {
    Network(.cifarResNet(depth: 8, input: [3, 16, 16], classes: 10), seed: 1)
  }

  @Test("draws the ticket when masks agree, or at the latest epoch, and keeps the fraction of the filters")
  func draws() throws {
    let images = try TinyRun.images()
    let network = Self.network()
    let learner = try Self.method(latest: 3, tolerance: 1).training(network, on: images, seed: 1)
    let training = try #require(learner as? EarlyBirdTraining)
    try TinyRun.steps(training, 0..<2 * training.stepsPerEpoch)
    #expect(training.ticketEpoch == nil && training.mask.keptCount == training.mask.layout.count)
    try TinyRun.steps(training, 2 * training.stepsPerEpoch..<4 * training.stepsPerEpoch)
    #expect(training.ticketEpoch == 2, "two masks, any distance")
    let kept = training.mask.layers.map { $0.reshaped([$0.size(0), -1]).max([1]) }
    let filters = kept.reduce(0) { $0 + $1.count }
    #expect(kept.reduce(0) { $0 + $1.nonzeroCount() } == filters / 2)
    #expect(training.mask.keptCount == training.keptCount)

    let late = try Self.method(latest: 1, tolerance: -1).training(Self.network(), on: images, seed: 1)
    try TinyRun.steps(late, 0..<late.stepsPerEpoch + 1)
    #expect((late as? EarlyBirdTraining)?.ticketEpoch == 1)
  }

  @Test("trains the ticket with pruned filters silent, so that they can be cut")
  func slims() throws {
    let network = Self.network()
    let learner = try Self.method().training(network, on: try TinyRun.images(), seed: 1, precision: .float32)
    try TinyRun.steps(learner, 0..<4 * learner.stepsPerEpoch)
    learner.finish()
    let slimmed = try Slimming(policy: .intersection).slim(network, mask: learner.mask)
    #expect(slimmed.report.removedChannels > 0)
    #expect(OutputDifference(of: slimmed.network, from: network).relative < 1e-5)
  }

  @Test("goes on after a break before or after the ticket as if there had been none")
  func resumes() throws {
    let images = try TinyRun.images()
    let method = try Self.method(epochs: 3)
    try TinyRun.expectResumes(
      { try method.training(Self.network(), on: images, seed: 1, precision: .float32) }, breaks: [3, 6, 9])
  }

  @Test("refuses runs without an epoch for the ticket, and batch norms that follow no convolution")
  func refusals() throws {
    let images = try TinyRun.images()
    #expect(throws: InputError.self) {
      try Self.method(epochs: 1).training(Self.network(), on: images, seed: 1, precision: .float32)
    }
    let wide = Network(ModelName.wideResNet16x4.architecture(input: [3, 16, 16], classes: 10), seed: 1)
    let error = #expect(throws: InputError.self) {
      try Self.method().training(wide, on: images, seed: 1, precision: .float32)
    }
    #expect(error?.expected == "a batch norm that follows a convolution")
  }
}
