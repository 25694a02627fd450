import Foundation
import QuenchSupport

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
        "the training survey cannot calibrate predictions",
        expected: "at least 10 measured and predicted holes, some good and some not",
        found: "\(samples.count) holes, \(good) of them good at \(threshold) Å",
        remedy: "use another training survey or threshold")
    }
    return samples
  }

  /// Whether every good hole's prediction is better than those of all others.
  static func areSeparated(_ samples: [CalibrationSample]) -> Bool {
    let worst = samples.lazy.filter(\.isGood).map(\.prediction.rank).max() ?? -.infinity
    return samples.allSatisfy { $0.isGood || $0.prediction.rank > worst }
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
