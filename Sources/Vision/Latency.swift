import Torch

/// How long a batch takes several networks, timed in turns, so that what else the machine does falls on all of them.
public struct Latency: Hashable, Sendable {
  public var batchSize: Int
  /// Seconds that a batch takes each network: medians over the rounds.
  public var seconds: [Double]

  /// Times `plans` on random pixels.
  /// - Parameters:
  ///   - plans: Of networks that take the same images, at least one.
  ///   - batchSize: Images in a batch; best the one that the plans are packed for.
  ///   - rounds: How many figures each median is taken of; at least 1.
  ///   - roundSeconds: What a round of one plan lasts about; it has at least one batch.
  public init(of plans: [InferencePlan], batchSize: Int, rounds: Int = 5, roundSeconds: Double = 0.3) {
    self.batchSize = batchSize
    let images = plans.first.map { plan in
      Tensor.uniform([batchSize] + plan.inputShape, using: Generator(seed: 0, for: "latency"))
        .to(plan.device).contiguous(.channelsLast)
    }
    guard let images else {
      seconds = []
      return
    }
    let steps = plans.map { plan in
      let once = Throughput.time(Throughput.warmUpSteps) { plan(images) }
      return max(1, Int((roundSeconds / max(once, 1e-6)).rounded()))
    }
    var times = plans.map { _ in Throughput(imagesPerStep: batchSize, rounds: []) }
    for _ in 0..<max(1, rounds) {
      for index in plans.indices {
        times[index].rounds.append(Throughput.time(steps[index]) { plans[index](images) })
      }
    }
    seconds = times.map(\.secondsPerStep)
  }

  /// How many times as fast as the first network the one at `index` is.
  public func speedUp(of index: Int) -> Double { seconds[0] / seconds[index] }
}
