import QuenchSupport

/// The best-fitting probability that does not grow as the prediction gets worse: a step function, by pooling adjacent
/// violators.
public struct IsotonicCalibration: Hashable, Sendable {
  /// The worst ``Prediction/rank`` of each step, ascending, and its probability.
  public private(set) var steps: [Step]

  public struct Step: Hashable, Sendable {
    public var rank: Double
    public var probability: Double
  }

  /// Least squares on the measured and predicted holes of `survey`. One good and one bad hole are added to each step, so
  /// that no probability is 0 or 1.
  /// - Throws: `InputError` if there is too little to learn from.
  public init(fitting survey: Survey, threshold: Double) throws(InputError) {
    let samples = try CalibrationSample.all(in: survey, threshold: threshold)
      .sorted { $0.prediction.rank < $1.prediction.rank }
    var blocks: [(rank: Double, good: Double, count: Double)] = []
    for sample in samples {
      let good = sample.isGood ? 1.0 : 0
      if let last = blocks.last, last.rank == sample.prediction.rank {
        blocks[blocks.count - 1].good += good
        blocks[blocks.count - 1].count += 1
      } else {
        blocks.append((sample.prediction.rank, good, 1))
      }
    }
    var pooled: [(rank: Double, good: Double, count: Double)] = []
    for block in blocks {
      pooled.append(block)
      while pooled.count > 1 {
        let (a, b) = (pooled[pooled.count - 2], pooled[pooled.count - 1])
        guard a.good * b.count <= b.good * a.count else { break }
        pooled.removeLast(2)
        pooled.append((b.rank, a.good + b.good, a.count + b.count))
      }
    }
    steps = pooled.map { Step(rank: $0.rank, probability: ($0.good + 1) / ($0.count + 2)) }
    for index in steps.indices.dropFirst() {
      steps[index].probability = min(steps[index].probability, steps[index - 1].probability)
    }
  }

  public func probability(_ prediction: Prediction) -> Double {
    var (low, high) = (0, steps.count - 1)
    while low < high {
      let middle = (low + high) / 2
      if steps[middle].rank >= prediction.rank { high = middle } else { low = middle + 1 }
    }
    return steps[low].probability
  }
}
