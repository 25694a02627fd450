import Foundation
import Support

/// How a prediction becomes the probability that the hole is good.
public enum Calibration: Hashable, Sendable {
  case logistic(LogisticCalibration)
  case isotonic(IsotonicCalibration)
  /// A classifier's own probabilities.
  case scores
  /// 1 for a hole that is predicted good, 0 for another.
  case hard

  /// - Returns: A probability in [0, 1]; for a hole without a prediction, nil.
  public func probability(_ prediction: Prediction?, threshold: Double) -> Double? {
    guard let prediction else { return nil }
    switch self {
    case .logistic(let logistic): return logistic.probability(prediction)
    case .isotonic(let isotonic): return isotonic.probability(prediction)
    case .scores: return prediction.probabilityOfGood ?? (prediction.isGood(threshold: threshold) ? 1 : 0)
    case .hard: return prediction.isGood(threshold: threshold) ? 1 : 0
    }
  }

  /// The probabilities of all holes; those without a prediction get the mean of the others.
  public func probabilities(of survey: Survey, threshold: Double) -> [Double] {
    let known = survey.holes.map { probability($0.prediction, threshold: threshold) }
    let values = known.compactMap { $0 }
    let mean = values.isEmpty ? 0.5 : values.reduce(0, +) / Double(values.count)
    return known.map { $0 ?? mean }
  }
}

/// A hole's prediction and whether it turned out good.
struct CalibrationSample {
  var prediction: Prediction
  var isGood: Bool

  /// The measured and predicted holes of `survey`.
  /// - Throws: `InputError` if there are fewer than ten, or all or none are good.
  static func all(in survey: Survey, threshold: Double) throws(InputError) -> [CalibrationSample] {
    let samples = survey.holes.compactMap { hole -> CalibrationSample? in
      guard hole.fit.isMeasured, let prediction = hole.prediction else { return nil }
      return CalibrationSample(prediction: prediction, isGood: hole.fit.isGood(threshold: threshold))
    }
    let good = samples.count(where: \.isGood)
    guard samples.count >= 10, good > 0, good < samples.count else {
      throw InputError(
        "the training survey cannot calibrate predictions", at: "--train-survey",
        expected: "at least 10 measured and predicted holes, some good and some not",
        found: "\(samples.count) holes, \(good) of them good at \(threshold) Å",
        remedy: "use another training survey or threshold")
    }
    return samples
  }
}

/// P(good) = σ(a + b x), where x is the logarithm of the predicted resolution in Å, or the log-odds of a classifier.
public struct LogisticCalibration: Hashable, Sendable {
  /// a
  public var intercept: Double
  /// b; below 0 for resolutions, of which low ones are good.
  public var slope: Double

  public init(intercept: Double, slope: Double) {
    self.intercept = intercept
    self.slope = slope
  }

  /// Maximum likelihood on the measured and predicted holes of `survey`, by Newton's method.
  /// - Throws: `InputError` if there is too little to learn from.
  public init(fitting survey: Survey, threshold: Double) throws(InputError) {
    let samples = try CalibrationSample.all(in: survey, threshold: threshold)
    let xs = samples.map { Self.feature($0.prediction) }
    self.init(intercept: 0, slope: 0)
    for _ in 0..<100 {
      var (g0, g1, h00, h01, h11) = (0.0, 0.0, 1e-9, 0.0, 1e-9)
      for (x, sample) in zip(xs, samples) {
        let p = sigmoid(intercept + slope * x)
        let (residual, weight) = ((sample.isGood ? 1 : 0) - p, p * (1 - p))
        g0 += residual
        g1 += residual * x
        h00 += weight
        h01 += weight * x
        h11 += weight * x * x
      }
      let determinant = h00 * h11 - h01 * h01
      guard abs(determinant) > 1e-12 else { break }
      // Predictions that separate good from bad have no finite optimum: steps are bounded, and the walk ends.
      let step0 = max(-10, min(10, (h11 * g0 - h01 * g1) / determinant))
      let step1 = max(-10, min(10, (h00 * g1 - h01 * g0) / determinant))
      intercept += step0
      slope += step1
      if abs(step0) + abs(step1) < 1e-10 { break }
    }
  }

  /// A stand-in where nothing is known of the predictor: half good at the threshold, with the slope that a published
  /// ResNet-50 showed (-6.2).
  public init(assumingThreshold threshold: Double) {
    slope = -6.2
    intercept = 6.2 * log(threshold)
  }

  /// x of a prediction.
  static func feature(_ prediction: Prediction) -> Double {
    switch prediction {
    case .resolution(let resolution): return log(resolution)
    case .classes:
      let p = min(max(prediction.probabilityOfGood ?? 0.5, 0.005), 0.995)
      return log(p / (1 - p))
    }
  }

  /// a + b x
  public func logit(_ prediction: Prediction) -> Double { intercept + slope * Self.feature(prediction) }

  public func probability(_ prediction: Prediction) -> Double { sigmoid(logit(prediction)) }
}

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

/// How well probabilities say what happens.
public struct CalibrationScore: Hashable, Sendable {
  /// Mean negative log-likelihood in nat.
  public var logLoss: Double
  /// Mean squared error.
  public var brier: Double
  public var count: Int

  /// Over the measured holes of `survey`.
  public init(_ probabilities: [Double], of survey: Survey, threshold: Double) {
    (logLoss, brier, count) = (0, 0, 0)
    for (p, hole) in zip(probabilities, survey.holes) where hole.fit.isMeasured {
      let isGood = hole.fit.isGood(threshold: threshold)
      logLoss -= log(max(isGood ? p : 1 - p, 1e-12))
      brier += (p - (isGood ? 1 : 0)) * (p - (isGood ? 1 : 0))
      count += 1
    }
    logLoss /= Double(max(count, 1))
    brier /= Double(max(count, 1))
  }
}

/// 1 / (1 + exp(-x))
@inline(__always)
func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
