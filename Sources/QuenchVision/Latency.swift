import QuenchReporting
import QuenchTorch

/// How long a batch takes several networks, timed in turns, so that what else the machine does falls on all of them.
public struct Latency: Hashable, Sendable {
  public var batchSize: Int
  /// Seconds that a batch took each network, one figure a round: `rounds[network][round]`.
  public var rounds: [[Double]]

  /// - Parameters:
  ///   - batchSize: Images in a batch.
  ///   - rounds: Seconds that a batch took, by network and round; each network has as many rounds, one at least.
  public init(batchSize: Int, rounds: [[Double]]) {
    self.batchSize = batchSize
    self.rounds = rounds
  }

  /// Times `plans` on random pixels.
  /// - Parameters:
  ///   - plans: Of networks that take the same images, at least one.
  ///   - batchSize: Images in a batch; best the one that the plans are packed for.
  ///   - rounds: How many figures each median is taken of; at least 1.
  ///   - roundSeconds: What a round of one plan lasts about; it has at least one batch.
  public init(of plans: [InferencePlan], batchSize: Int, rounds: Int = 9, roundSeconds: Double = 0.2) {
    self.init(batchSize: batchSize, rounds: plans.map { _ in [] })
    guard let first = plans.first else { return }
    let images = Tensor.uniform([batchSize] + first.inputShape, using: Generator(seed: 0, for: "latency"))
      .to(first.device).contiguous(.channelsLast)
    let steps = plans.map { plan in
      let once = Throughput.time(Throughput.warmUpSteps) { plan(images) }
      return max(1, Int((roundSeconds / max(once, 1e-6)).rounded()))
    }
    for round in 0..<max(1, rounds) {
      // Each goes first as often as last: what one leaves behind in caches and clocks falls on all.
      for index in round.isMultiple(of: 2) ? Array(plans.indices) : plans.indices.reversed() {
        self.rounds[index].append(Throughput.time(steps[index]) { plans[index](images) })
      }
    }
  }

  /// Seconds that a batch takes each network: medians over the rounds.
  public var seconds: [Double] { rounds.map { Throughput.median($0) } }

  /// How many times as fast as the first network another one is.
  public struct SpeedUp: PrefixedGroup, Hashable, Sendable {
    /// The ratio of the medians.
    public var value: Double
    /// The least and the largest ratio in one round.
    public var low: Double
    public var high: Double

    /// Whether the rounds agree which of the two is faster. Of equal networks nine rounds do so by chance once in 256.
    public var isDifference: Bool { low > 1 || high < 1 }
  }

  /// The speed-up of the network at `index`.
  public func speedUp(of index: Int) -> SpeedUp {
    let ratios = zip(rounds[0], rounds[index]).map { $0 / $1 }
    return SpeedUp(value: seconds[0] / seconds[index], low: ratios.min() ?? 1, high: ratios.max() ?? 1)
  }
}
