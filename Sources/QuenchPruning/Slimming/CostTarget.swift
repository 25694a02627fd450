import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// A fraction of what a network costs, written `0.5`, `0.5x` or `50%`.
public struct CostFraction: Hashable, Sendable, TextSetting {
  public static let meaning = "a fraction of the network's cost"
  public static let expected = "a number above 0 and below 1, such as 0.5, 0.5x or 50%"

  public let value: Double

  public init?(_ description: String) {
    let isPercent = description.hasSuffix("%")
    let digits = isPercent || description.hasSuffix("x") ? description.dropLast() : description[...]
    guard let number = Double(digits) else { return nil }
    value = isPercent ? number / 100 : number
    guard value > 0, value < 1 else { return nil }
  }

  public var description: String { "\(value)" }

  /// Files may hold the number itself.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try (try? container.decode(Double.self)).map { "\($0)" } ?? container.decode(String.self)
    guard let fraction = Self(text) else {
      throw InputError("not \(Self.meaning)", expected: Self.expected, found: "'\(text)'")
    }
    self = fraction
  }
}

/// How small a network is to get, and by what the channels that go are chosen.
public struct CostTarget: InlineGroup, Hashable, Sendable {
  /// Of the multiply-adds for one image.
  public var targetMacs: CostFraction?
  /// Of the learned numbers.
  public var targetParameters: CostFraction?
  /// Of the time for a batch of ``latencyBatch`` on this machine.
  public var targetLatency: CostFraction?
  /// Images in a batch that is timed; nil: 1.
  public var latencyBatch: Int?
  /// What the ranking over all groups goes by; nil: magnitude.
  public var importance: GroupImportance?
  /// Scores that a pruning method learned of the weights, by which channels are ranked in place of the weights
  /// themselves: a file that such a run left.
  public var scores: String?
  /// The least fraction of every layer's channels that stays; nil: 0.1.
  public var layerFloor: Double?

  public init() {}

  /// A cost that can be bounded, as its setting is called.
  enum Measure: String {
    case macs = "target-macs"
    case parameters = "target-parameters"
    case latency = "target-latency"
  }

  /// What is bounded, and at which fraction of the whole network's; nil where nothing is.
  typealias Goal = (measure: Measure, fraction: CostFraction)
  var goal: Goal? {
    [(.macs, targetMacs), (.parameters, targetParameters), (.latency, targetLatency)]
      .compactMap { (measure: Measure, fraction: CostFraction?) in fraction.map { (measure, $0) } }.first
  }

  var ranking: GroupImportance { importance ?? .magnitude }

  /// - Throws: `InputError` for a setting out of its range, more than one target, or none beside what needs one.
  func validate() throws(InputError) {
    let targets = [targetMacs, targetParameters, targetLatency].compactMap(\.self)
    guard targets.count <= 1 else {
      throw InputError("one target at a time", at: "target-macs", remedy: "give the one that counts most")
    }
    let choices = [("importance", importance != nil), ("scores", scores != nil), ("layer-floor", layerFloor != nil)]
    if targets.isEmpty, let choice = choices.first(where: \.1) {
      throw InputError(
        "this chooses channels for a target", at: choice.0,
        remedy: "give `target-macs`, `target-parameters` or `target-latency`")
    }
    guard scores == nil || ranking == .magnitude else {
      throw InputError(
        "scores are ranked by their magnitude", at: "importance", expected: "magnitude, or nothing",
        found: ranking.rawValue)
    }
    guard latencyBatch == nil || targetLatency != nil else {
      throw InputError("this is for a target of latency", at: "latency-batch", remedy: "give `target-latency`")
    }
    try requireSetting((0...1).contains(layerFloor ?? 0), "layer-floor", "from 0 to 1", layerFloor ?? 0)
    try requireSetting((1...4096).contains(latencyBatch ?? 1), "latency-batch", "1 to 4096", latencyBatch ?? 1)
  }
}

extension CostTarget {
  /// What a pruning run calls the file of the scores that it learned.
  public static let scoresFileName = "scores.safetensors"

  /// The scores of ``scores``, `[n]` in the order of the network's weights; nil where no file is named.
  /// - Throws: `InputError` if the file is damaged or of another architecture. Weights that it does not tell of, because
  ///   the run pruned others, score by their own magnitude.
  func learnedScores(for network: Network) throws(InputError) -> Tensor? {
    guard let scores else { return nil }
    let state = try StateDictionary.weights(at: scores, for: network.architecture)
    let layout = WeightLayout(network)
    if let stranger = state.keys.first(where: { !layout.names.contains($0) }) ?? (state.isEmpty ? "" : nil) {
      throw InputError(
        "these are no scores of this network", at: scores, expected: "weights of \(network.architecture.name)",
        found: stranger.isEmpty ? "nothing" : "an unknown tensor '\(stranger)'")
    }
    let own = layout.split(layout.weights(of: network))
    var layers: [Tensor] = []
    for (layer, weight) in zip(layout.layers, own) {
      let known = state[layer.name] ?? weight
      guard known.shape == layer.shape, known.dtype.isFloatingPoint else {
        throw InputError(
          "these are no scores of this network", at: "\(scores), \(layer.name)", expected: "\(layer.shape)",
          found: known.summary)
      }
      layers.append(known.to(network.device).to(.float32))
    }
    return layout.joined(layers)
  }
}

/// One ranking over all channels of a network, from which the least important go until it is as cheap as asked.
struct CostSearch {
  private let network: Network
  private let groups: ChannelGroups
  private let target: CostTarget
  private let precision: Precision
  /// The sets that may go, the least important first.
  private let order: [Int]
  /// For each set that may go how many of its tier may.
  private let allowance: [Int: Int]
  private let tierOf: [Int: Int]
  private let tiers: [[Int]]
  private let roundTo: Int

  /// - Parameters:
  ///   - network: Whole.
  ///   - groups: Its groups.
  ///   - candidates: For each set whether it may go.
  ///   - scores: The importance of each set.
  ///   - target: What is asked for.
  ///   - roundTo: Widths are left at multiples of this.
  ///   - precision: What the network computes in when it is timed.
  init(
    _ network: Network, _ groups: ChannelGroups, candidates: [Bool], scores: [Double], target: CostTarget,
    roundTo: Int, precision: Precision
  ) {
    (self.network, self.groups, self.target, self.roundTo) = (network, groups, target, roundTo)
    self.precision = precision
    order = scores.indices.filter { candidates[$0] && scores[$0].isFinite }
      .sorted { (scores[$0], $0) < (scores[$1], $1) }
    tiers = groups.groups.flatMap(\.tiers)
    var tierOf: [Int: Int] = [:]
    var allowance: [Int: Int] = [:]
    let floor = target.layerFloor ?? 0.1
    for (index, tier) in tiers.enumerated() {
      let least = max(1, Int((floor * Double(tier.count)).rounded(.up)))
      for set in tier { tierOf[set] = index }
      allowance[index] = max(0, tier.count - least)
    }
    (self.tierOf, self.allowance) = (tierOf, allowance)
  }

  /// What goes when the first `count` of the order may.
  func removed(_ count: Int) -> Set<Int> {
    var byTier: [Int: [Int]] = [:]
    for set in order.prefix(count) {
      guard let tier = tierOf[set], byTier[tier, default: []].count < allowance[tier] ?? 0 else { continue }
      byTier[tier, default: []].append(set)
    }
    return Set(
      byTier.flatMap { tier, sets in
        let total = tiers[tier].count
        let width = Slimming.width(atLeast: total - sets.count, of: total, multipleOf: roundTo)
        return sets.prefix(total - width)
      })
  }

  /// The cost without some sets, as a fraction of the whole network's.
  private func cost(_ measure: CostTarget.Measure, without sets: Set<Int>) throws(InputError) -> Double {
    let smaller = try network.removing(sets, of: groups)
    switch measure {
    case .macs:
      return Double(smaller.architecture.multiplyAdds) / Double(max(network.architecture.multiplyAdds, 1))
    case .parameters:
      return Double(smaller.architecture.parameterCount) / Double(max(network.architecture.parameterCount, 1))
    case .latency:
      let batch = target.latencyBatch ?? 1
      let plans = [network, smaller].map { InferencePlan($0, batchSize: batch, dtype: precision.inference) }
      let latency = Latency(of: plans, batchSize: batch, rounds: 5, roundSeconds: 0.1)
      return latency.seconds[1] / latency.seconds[0]
    }
  }

  /// The sets that go: as few of the order as meet the target.
  /// - Throws: `InputError` if the target is out of reach.
  func sets(for goal: CostTarget.Goal) throws(InputError) -> Set<Int> {
    var (low, high) = (0, order.count)
    let best = try cost(goal.measure, without: removed(high))
    guard best <= goal.fraction.value else {
      throw InputError(
        "the network does not get so small by cutting channels", at: goal.measure.rawValue,
        expected: "at least \(NumberText.plain(best, digits: 3))",
        found: "\(goal.fraction.value)", remedy: "allow a larger fraction, or lower `layer-floor`")
    }
    while high - low > 1 {
      let middle = (low + high) / 2
      if try cost(goal.measure, without: removed(middle)) <= goal.fraction.value {
        high = middle
      } else {
        low = middle
      }
    }
    return removed(high)
  }
}

extension Slimming {
  /// The mask of the channels that go so that the network is as cheap as asked: the least important of all groups.
  /// - Parameters:
  ///   - network: Trained and whole.
  ///   - target: How cheap; everything stays without a goal.
  ///   - batches: Training images, for ``GroupImportance/taylor``.
  ///   - precision: What the network computes in when it is timed.
  /// - Throws: `InputError` if the target is out of reach, a layer to keep is unknown, or scores are of another network.
  func mask(
    of network: Network, meeting target: CostTarget, on batches: [Batch], precision: Precision
  ) throws(InputError) -> Mask {
    let masks = try GroupMasks(network)
    let groups = masks.groups
    let search = CostSearch(
      network, groups, candidates: try candidates(in: groups, of: policy),
      scores: target.ranking.scores(
        of: network, groups, on: batches, learned: try target.learnedScores(for: network)),
      target: target, roundTo: roundTo, precision: precision)
    let kept = Tensor.ones([groups.coupled.count])
    if let goal = target.goal {
      let removed = try search.sets(for: goal).sorted()
      if !removed.isEmpty { kept.put(.zeros([removed.count]), at: [Tensor(removed)]) }
    }
    let values = masks.values(keeping: kept.to(network.device), along: [.filters, .inputs])
    return Mask(layout: masks.layout, values: values)
  }
}
