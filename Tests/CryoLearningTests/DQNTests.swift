import CryoFixtures
import Foundation
import QuenchCryoEM
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import QuenchCryoLearning

@Suite("Deep Q-learning", .serialized) struct DQNTests {
  /// A small method for the hand-made grid.
  static func method(_ change: (inout DQN) -> Void = { _ in }) -> DQN {
    var method = DQN()
    method.environments = 2
    method.batchSize = 8
    method.replaySize = 40
    method.stepsPerEpoch = 20
    method.epochs = 1
    method.validationEpisodes = 2
    method.budget = 15
    method.targetInterval = 7
    change(&method)
    return method
  }

  static func training(_ method: DQN, seed: UInt64 = 1) throws -> DQNTraining {
    try DQNTraining(method, on: HandGrid.survey(), rules: AcquisitionRules(), seed: seed)
  }

  static func weights(_ network: QNetwork) -> [[Float]] { network.parameters.map { $0.tensor.array() } }

  @Test("has the published number of parameters") func parameters() {
    #expect(QNetwork(FeatureMode(), seed: 1).parameterCount == 82_561)
    #expect(QNetwork(FeatureMode(.classification), seed: 1).parameterCount == 74_881)
  }

  @Test("explores as published: 0.1 for an epoch, 0.01 from the fifth on") func exploration() {
    let method = DQN()
    #expect(method.exploration(0) == 0.1 && method.exploration(250) == 0.1)
    #expect(abs(method.exploration(750) - 0.055) < 1e-12)
    #expect([1250, 5000].allSatisfy { abs(method.exploration($0) - 0.01) < 1e-12 })
  }

  /// A replay memory of the hand-made grid that was filled by visiting `holes` from hole 0.
  static func replay(_ holes: [Int], rewards: [Double], endsAfter last: Int?, capacity: Int = 10) throws
    -> ReplayBuffer
  {
    let environment = try HandGrid.environment()
    let encoder = FeatureEncoder(environment, mode: FeatureMode())
    var replay = ReplayBuffer(encoder, capacity: capacity, rings: 1, priorityExponent: nil)
    var episode = environment.start(at: 0)
    var frames = FeatureFrames(encoder, episode.acquisition)
    replay.store(frames, in: 0)
    for (index, hole) in holes.enumerated() {
      episode.visit(hole)
      replay.store(action: hole, reward: rewards[index], isDone: index == last, in: 0)
      frames.visit(hole, episode.acquisition)
      replay.store(frames, in: 0)
    }
    return replay
  }

  @Test("adds up rewards over three steps, and stops at an episode's end") func returns() throws {
    let going = try Self.replay([1, 2, 3, 4], rewards: [1, 0, 0.9, 0], endsAfter: nil)
    let (sum, bootstrap) = going.window(from: .init(ring: 0, position: 0), steps: 3, discount: 0.9)
    #expect(abs(sum + (bootstrap?.discount ?? 0) * 2.5 - 3.5515) < 1e-6)
    #expect(bootstrap?.slot == .init(ring: 0, position: 3))
    let ended = try Self.replay([1, 2, 3], rewards: [1, 0.61, 5], endsAfter: 1)
    let (short, none) = ended.window(from: .init(ring: 0, position: 0), steps: 3, discount: 0.9)
    #expect(abs(short - 1.549) < 1e-6 && none == nil)
    let (cut, newest) = going.window(from: .init(ring: 0, position: 3), steps: 3, discount: 0.9)
    #expect(cut == 0 && newest?.slot.position == 4 && newest?.discount == 0.9)
  }

  @Test("gives observations back from the replay memory as they were, also when it has gone round") func replays()
    throws
  {
    let environment = try HandGrid.environment()
    let encoder = FeatureEncoder(environment, mode: FeatureMode())
    let holes = [1, 2, 4, 3, 9, 7, 11, 6, 5]
    var replay = ReplayBuffer(encoder, capacity: 3, rings: 1, priorityExponent: nil)
    var episode = environment.start(at: 0)
    var frames = FeatureFrames(encoder, episode.acquisition)
    replay.store(frames, in: 0)
    let all = Array(0..<12)
    var seen: [[Float]] = [frames.observations(of: all)]
    for (index, hole) in holes.enumerated() {
      episode.visit(hole)
      replay.store(action: hole, reward: 0, isDone: false, in: 0)
      frames.visit(hole, episode.acquisition)
      replay.store(frames, in: 0)
      seen.append(frames.observations(of: all))
      for back in 0...min(index + 1, 3) {
        let slot = ReplayBuffer.Slot(ring: 0, position: (index + 1 - back) % 7)
        var found = [Float](repeating: 0, count: 12 * 128)
        found.withUnsafeMutableBufferPointer { buffer in
          if let base = buffer.baseAddress { replay.write(slot, all, base) }
        }
        #expect(found == seen[index + 1 - back])
      }
    }
    #expect(replay.filled == [3])
  }

  @Test("samples by priority where asked to") func priorities() {
    var tree = SumTree(count: 5)
    for (index, value) in [1.0, 0, 3, 0, 4].enumerated() { tree.set(index, value) }
    #expect([0, 0.12, 0.13, 0.49, 0.51, 0.999].map(tree.find) == [0, 0, 2, 2, 4, 4])
    #expect(tree.share(2) == 3.0 / 8)
    tree.set(4, 0)
    #expect(tree.find(0.9999) == 2 && tree.leaves == [1, 0, 3, 0, 0])
  }

  @Test(
    "goes on after a break with the same weights, bit for bit",
    arguments: [
      method(), method { $0.isDueling = true }, method { $0.priorityExponent = 0.6 },
      method {
        $0.features = FeatureMode(.feedback, smoothing: 0.5)
        $0.variesBudget = true
        $0.rewards.isDynamic = true
      }
    ])
  func resumes(_ method: DQN) throws {
    let whole = try Self.training(method)
    let first = try Self.training(method)
    while first.iteration < 13 { _ = try first.step() }
    let second = try Self.training(method)
    try second.restore(first.state, from: "checkpoint")
    while !whole.isDone { _ = try whole.step() }
    while !second.isDone { _ = try second.step() }
    #expect(Self.weights(whole.network) == Self.weights(second.network))
    #expect(Self.weights(whole.network) != Self.weights(try Self.training(method).network))
    #expect(
      Self.weights(try Self.training(method, seed: 2).network) != Self.weights(try Self.training(method).network))
  }

  @Test("learns where the good holes are") func learns() throws {
    // Two patches a square: one of good holes, one of bad; only the good ones earn anything.
    var entries: [Survey.Entry] = []
    for square in 0..<4 {
      for patch in 0..<2 {
        for hole in 0..<5 {
          let resolution = patch == 0 ? 12.0 : 3.5
          var entry = Survey.Entry(
            name: "\(square) \(patch) \(hole)", patch: "\(patch)", square: "\(square)", tile: "T",
            fit: .resolution(resolution))
          entry.prediction = .resolution(resolution)
          entries.append(entry)
        }
      }
    }
    let survey = try Survey(entries, from: "two kinds")
    var method = DQN()
    method.environments = 4
    method.batchSize = 32
    method.stepsPerEpoch = 200
    method.epochs = 2
    method.validationEpisodes = 2
    method.budget = 20
    method.learningRate = 3e-3
    method.targetInterval = 20
    let training = try DQNTraining(method, on: survey, rules: AcquisitionRules(), seed: 3)
    while !training.isDone {
      _ = try training.step()
      if training.updates > 0, training.updates % training.iterationsPerEpoch == 0 { _ = try training.validate() }
    }
    let environment = try Environment(survey, rules: AcquisitionRules(budget: 20, rule: .reference))
    let evaluation = try PolicyEvaluation(
      DQNPolicy(training.best), in: environment, starts: [0, 12, 25, 37], budgets: [20])
    let oracle = try PolicyEvaluation(
      PlanPolicy.oracle(environment), in: environment, starts: [0, 12, 25, 37], budgets: [20])
    func sum(_ evaluation: PolicyEvaluation) -> Double { evaluation.good(budget: 20).reduce(0, +) }
    #expect(sum(evaluation) >= 0.8 * sum(oracle), "\(sum(evaluation)) of \(sum(oracle))")
  }

  @Test("comes back from its file, and its policy acts the same") func files() throws {
    let folder = try TemporaryFolder()
    let url = folder / "q.safetensors"
    for isDueling in [false, true] {
      let network = QNetwork(FeatureMode(smoothing: 0.5), isDueling: isDueling, seed: 4)
      try network.write(to: url)
      let loaded = try QNetwork(contentsOf: url)
      #expect(Self.weights(loaded) == Self.weights(network))
      #expect(loaded.isDueling == isDueling && loaded.mode == network.mode)
      let environment = try HandGrid.environment(budget: 30)
      #expect(environment.run(DQNPolicy(loaded), from: 2) == environment.run(DQNPolicy(network), from: 2))
    }
  }

  @Test("refuses files of other weights and settings that make no sense") func mistakes() throws {
    let folder = try TemporaryFolder()
    let url = folder / "q.safetensors"
    try Safetensors.write(StateDictionary([("a", Tensor([Float(1)]))]), metadata: [:], to: url)
    #expect(inputError { try QNetwork(contentsOf: url) }?.problem == "these are not the weights of a Q network")
    let error = inputError { try Self.training(Self.method { $0.learningRate = 0 }) }
    #expect(error?.location == "learning-rate")
  }

  @Test("scores a dueling state by a value and advantages that average to zero") func dueling() {
    let network = QNetwork(FeatureMode(), isDueling: true, seed: 9)
    let rows = Tensor.uniform([7, 128], using: Generator(seed: 1))
    let states = Tensor([Int64(0), 0, 0, 1, 1, 1, 1])
    let together = withoutGradient { network(rows, states: states, count: 2) }.array(Float.self)
    let alone = withoutGradient {
      network(rows.selecting(Tensor([Int64(0), 1, 2])), states: Tensor([Int64(0), 0, 0]), count: 1)
    }.array(Float.self)
    for (a, b) in zip(together, alone) { #expect(abs(a - b) < 1e-5) }
    #expect(Set(together).count == 7)
  }
}
