import Foundation
import QuenchCryoEM
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Trains a ``QNetwork`` on a survey whose outcomes are known.
public final class DQNTraining {
  public let method: DQN
  public let seed: UInt64
  /// The network as it is now.
  public let network: QNetwork
  /// The network after the epoch whose validation episodes earned most.
  public let best: QNetwork
  public private(set) var bestReward = -Double.infinity
  public private(set) var bestEpoch = 0
  /// Iterations done, those that filled the replay memory included.
  public private(set) var iteration = 0

  private let environment: Environment
  private let validation: Environment
  private let encoder: FeatureEncoder
  private let target: QNetwork
  private let optimizer: Adam
  private var replay: ReplayBuffer
  private var episodes: [Episode]
  private var frames: [FeatureFrames]

  /// - Parameters:
  ///   - method: The settings.
  ///   - survey: With measurements and predictions.
  ///   - heldOut: The survey whose episodes choose the best epoch, with measurements and predictions; they are as long
  ///     for its holes as the method's budget is for those of `survey`. Nil: `survey`.
  ///   - rules: Costs and threshold; the budget is the method's.
  ///   - seed: Of everything random.
  ///   - device: Where the networks compute.
  /// - Throws: `InputError` if the survey lacks measurements or the settings make no sense.
  public init(
    _ method: DQN, on survey: Survey, validatedOn heldOut: Survey? = nil, rules: AcquisitionRules, seed: UInt64,
    device: Device = .cpu
  ) throws(InputError) {
    try method.validate()
    var rules = rules
    rules.budget = method.budget
    rules.rule = .reference
    self.method = method
    self.seed = seed
    environment = try Environment(survey, rules: rules, rewards: method.rewards)
    if let heldOut { rules.budget *= Double(heldOut.count) / Double(survey.count) }
    validation = try Environment(heldOut ?? survey, rules: rules, rewards: RewardRule(method.rewards.table))
    encoder = FeatureEncoder(environment, mode: method.features)
    func network(_ seed: UInt64) -> QNetwork {
      QNetwork(method.features, isDueling: method.isDueling, seed: seed, device: device)
    }
    self.network = network(seed)
    target = network(seed)
    best = network(seed)
    optimizer = Adam(parameters: self.network.parameters, learningRate: method.learningRate)
    replay = ReplayBuffer(
      encoder, capacity: method.replaySize / method.environments, rings: method.environments,
      priorityExponent: method.priorityExponent)
    episodes = []
    frames = []
    var generator = SplitMix64(seed, .max)
    for ring in 0..<method.environments { try begin(ring, &generator) }
  }

  /// Iterations that fill the replay memory before the first update: batch size x environments steps.
  public var fillingIterations: Int { method.batchSize }
  public var iterationsPerEpoch: Int { method.stepsPerEpoch / method.environments }
  public var totalIterations: Int { fillingIterations + method.epochs * iterationsPerEpoch }
  /// Minutes of a validation episode.
  public var validationMinutes: Double { validation.rules.budget }
  /// Updates done.
  public var updates: Int { max(0, iteration - fillingIterations) }
  public var isDone: Bool { iteration >= totalIterations }

  private func begin(_ ring: Int, _ generator: inout SplitMix64) throws(InputError) {
    let start = Int.random(in: 0..<max(environment.survey.count - 1, 1), using: &generator)
    var own = environment
    if method.variesBudget {
      own = try environment.with(budget: method.budget * Double.random(in: 0.25...1, using: &generator))
    }
    let episode = own.start(at: start)
    let first = FeatureFrames(encoder, episode.acquisition)
    if ring < episodes.count {
      episodes[ring] = episode
      frames[ring] = first
    } else {
      episodes.append(episode)
      frames.append(first)
    }
    replay.store(first, in: ring)
  }

  /// One step in every environment, and one update when the replay memory is filled.
  /// - Returns: The loss of the update.
  public func step() throws(InputError) -> Double? {
    var generator = SplitMix64(seed, UInt64(iteration))
    let isFilling = iteration < fillingIterations
    let exploration = isFilling ? 0 : method.exploration(iteration - fillingIterations)
    try act(exploration, &generator)
    iteration += 1
    return isFilling ? nil : update(&generator)
  }

  private func act(_ exploration: Double, _ generator: inout SplitMix64) throws(InputError) {
    let holes = frames.map { frames in encoder.candidates { frames.visitStep[$0] != .max } }
    let rows = zip(frames, holes).flatMap { $0.observations(of: $1) }
    let choices = network.choose(rows, holes)
    for ring in episodes.indices {
      var hole = holes[ring][choices[ring]]
      if Double.random(in: 0..<1, using: &generator) < exploration {
        let open = environment.survey.holes.indices.filter { frames[ring].visitStep[$0] == .max }
        hole = open[Int.random(in: open.indices, using: &generator)]
      }
      let reward = episodes[ring].visit(hole)
      let isDone = episodes[ring].isDone
      replay.store(action: hole, reward: reward, isDone: isDone, in: ring)
      if isDone {
        try begin(ring, &generator)
      } else {
        frames[ring].visit(hole, episodes[ring].acquisition)
        replay.store(frames[ring], in: ring)
      }
    }
  }

  /// Double DQN on one batch: r-sum + γ^m Q_target(s', argmax_a Q(s', a)).
  private func update(_ generator: inout SplitMix64) -> Double {
    if (updates - 1) % method.targetInterval == 0 { target.takeWeights(of: network) }
    let samples = replay.sample(method.batchSize, beta: method.importanceExponent, using: &generator)
    let slots = samples.map(\.slot)
    let windows = slots.map { replay.window(from: $0, steps: method.returnSteps, discount: method.discount) }
    var targets = windows.map { Float($0.sum) }
    let bootstraps = windows.indices.compactMap { index in windows[index].bootstrap.map { (index, $0) } }
    if !bootstraps.isEmpty {
      let states = bootstraps.map(\.1.slot)
      let holes = states.map(candidates)
      let choices = network.choose(rows(states, holes), holes)
      let next = values(target, states, choices.indices.map { holes[$0][choices[$0]] }, holes).array(Float.self)
      for (value, (index, bootstrap)) in zip(next, bootstraps) {
        targets[index] += Float(bootstrap.discount) * value
      }
    }
    let wanted = Tensor(targets).to(network.device)
    let weights = Tensor(samples.map { Float($0.weight) }).to(network.device)
    let found = withGradient {
      values(network, slots, slots.map(replay.action), method.isDueling ? slots.map(candidates) : [])
    }
    let loss = (found.meanSquaredError(wanted, reduction: .none) * weights).mean()
    loss.backward()
    optimizer.step()
    optimizer.zeroGradients()
    if method.priorityExponent != nil {
      replay.prioritize(slots, errors: (found.detached() - wanted).array(Float.self))
    }
    return loss.detached().item()
  }

  private func candidates(_ slot: ReplayBuffer.Slot) -> [Int] {
    let replay = replay
    return encoder.candidates { replay.isVisited(slot, $0) }
  }

  private func rows(_ slots: [ReplayBuffer.Slot], _ holes: [[Int]]) -> [Float] {
    let width = method.features.observationWidth
    let total = holes.reduce(0) { $0 + $1.count } * width
    return [Float](unsafeUninitializedCapacity: total) { buffer, count in
      var offset = 0
      if let base = buffer.baseAddress {
        for (slot, holes) in zip(slots, holes) {
          replay.write(slot, holes, base + offset)
          offset += holes.count * width
        }
      }
      count = total
    }
  }

  /// The Q value of one hole in each state. A dueling network also looks at the state's candidates.
  private func values(
    _ network: QNetwork, _ slots: [ReplayBuffer.Slot], _ chosen: [Int], _ candidates: [[Int]]
  ) -> Tensor {
    let width = method.features.observationWidth
    guard method.isDueling else {
      return network(
        Tensor(rows(slots, chosen.map { [$0] }), shape: [slots.count, width]), states: nil, count: slots.count)
    }
    let holes = zip(chosen, candidates).map { chosen, others in [chosen] + others.filter { $0 != chosen } }
    let states = holes.enumerated().flatMap { Array(repeating: Int64($0), count: $1.count) }
    var firsts: [Int64] = []
    for count in holes.map(\.count) { firsts.append((firsts.last ?? 0) + Int64(count)) }
    let starts = [0] + firsts.dropLast()
    let all = network(
      Tensor(rows(slots, holes), shape: [states.count, width]), states: Tensor(states), count: slots.count)
    return all.selecting(Tensor(starts).to(network.device))
  }

  /// At an epoch's end: plays episodes with predictions on the held-out survey, or else on the training survey, and keeps
  /// the network if it is the best.
  /// - Returns: Mean reward and good holes of the episodes.
  public func validate() throws(InputError) -> (reward: Double, good: Double) {
    var generator = SplitMix64(seed, .max - 1)
    var (reward, good) = (0.0, 0.0)
    let policy = DQNPolicy(network)
    for _ in 0..<method.validationEpisodes {
      let start = Int.random(in: 0..<max(validation.survey.count - 1, 1), using: &generator)
      let result = validation.run(policy, from: start).result(budget: validationMinutes, rule: .reference)
      reward += result.reward / Double(method.validationEpisodes)
      good += Double(result.good) / Double(method.validationEpisodes)
    }
    if reward > bestReward {
      bestReward = reward
      bestEpoch = updates / iterationsPerEpoch
      best.takeWeights(of: network)
    }
    return (reward, good)
  }

  // MARK: - Checkpoints

  /// Everything that the next step depends on.
  public var state: StateDictionary {
    var state = replay.state
    for (prefix, network) in [("network.", network), ("target.", target), ("best.", best)] {
      state.add(network.state, prefix: prefix)
    }
    state.add(optimizer.state, prefix: "optimizer.")
    state["progress"] = Tensor([Double(iteration), bestReward.isFinite ? bestReward : -1e9, Double(bestEpoch)])
    for (ring, episode) in episodes.enumerated() {
      state["episode.\(ring)"] = Tensor(episode.acquisition.visits.map(Int64.init))
      state["budget.\(ring)"] = Tensor([episode.acquisition.rules.budget])
    }
    return state
  }

  /// Continues from a stored ``state``.
  /// - Throws: `InputError` if it is of another survey or other settings.
  public func restore(_ state: StateDictionary, from location: String) throws(InputError) {
    func misfit(_ what: String) -> InputError {
      InputError(
        "the checkpoint does not fit this run: \(what)", at: location,
        remedy: "start the run anew in another folder")
    }
    try replay.restore(state, from: location)
    for (prefix, network) in [("network.", network), ("target.", target), ("best.", best)] {
      try network.load(state.partitioned(byPrefix: prefix).matching, from: location)
    }
    try optimizer.restore(
      state.partitioned(byPrefix: "optimizer.").matching.map { ($0.name, $0.tensor) }, from: location)
    guard let progress = state["progress"]?.array(Double.self), progress.count == 3 else {
      throw misfit("progress")
    }
    iteration = Int(progress[0])
    bestReward = progress[1] == -1e9 ? -.infinity : progress[1]
    bestEpoch = Int(progress[2])
    for ring in episodes.indices {
      guard let visits = state["episode.\(ring)"]?.array(Int64.self).map(Int.init), let start = visits.first,
        let budget = state["budget.\(ring)"]?.item(), Set(visits).count == visits.count,
        visits.allSatisfy(environment.survey.holes.indices.contains)
      else { throw misfit("episode \(ring)") }
      var episode = try environment.with(budget: budget).start(at: start)
      frames[ring] = FeatureFrames(encoder, episode.acquisition)
      for hole in visits.dropFirst() {
        episode.visit(hole)
        frames[ring].visit(hole, episode.acquisition)
      }
      episodes[ring] = episode
    }
  }
}

/// Acts greedily by a Q network.
public struct DQNPolicy: Policy {
  public let network: QNetwork
  /// Whether every unvisited hole is scored, instead of three candidates a patch.
  public var scoresAllHoles = false

  private var frames: FeatureFrames?
  private var seen = 0

  public init(_ network: QNetwork, scoresAllHoles: Bool = false) {
    self.network = network
    self.scoresAllHoles = scoresAllHoles
  }

  public var dependsOnBudget: Bool { network.mode.kind == .feedback }

  public mutating func begin(_ acquisition: Acquisition) {
    var mode = network.mode
    mode.usesPredictions = true
    let encoder = FeatureEncoder(
      acquisition.survey, mode: mode, threshold: acquisition.rules.threshold,
      truth: acquisition.survey.holes.map(\.fit))
    frames = FeatureFrames(encoder, acquisition)
    seen = acquisition.visits.count
  }

  public mutating func next(_ acquisition: Acquisition) -> Int? {
    while seen < acquisition.visits.count {
      frames?.visit(acquisition.visits[seen], acquisition)
      seen += 1
    }
    guard let frames else { return nil }
    let holes =
      scoresAllHoles
      ? acquisition.survey.holes.indices.filter { !acquisition.isVisited[$0] }
      : frames.encoder.candidates { acquisition.isVisited[$0] }
    guard !holes.isEmpty else { return nil }
    return holes[network.choose(frames.observations(of: holes), [holes])[0]]
  }
}
