import QuenchReporting
import QuenchSupport

/// What is known about the smoothed classifier's answer for an image.
public enum Certificate: Hashable, Sendable {
  /// No class is shown to be the answer.
  case abstained
  /// The answer stays `label` for every change of the image whose L2 norm is below `radius`, in the pixel units of the
  /// noise's standard deviation.
  case certified(label: Int, radius: Double)

  public var label: Int? { if case .certified(let label, _) = self { label } else { nil } }
  /// 0 where it abstained.
  public var radius: Double { if case .certified(_, let radius) = self { radius } else { 0 } }
}

/// The smoothed classifier's answer for an image without a radius.
public enum SmoothedPrediction: Hashable, Sendable {
  case abstained
  case label(Int)

  /// Nil where it abstained.
  public var label: Int? { if case .label(let label) = self { label } else { nil } }
}

/// PREDICT (Cohen et al. 2019): the class that a classifier under noise gives most often, or no answer.
public struct Predict: InlineGroup, Hashable, Sendable {
  /// n, noisy copies that vote.
  public var votes = 1000
  /// α: the answer is not the smoothed classifier's with at most this probability.
  public var failureProbability = 0.001

  enum CodingKeys: String, CodingKey {
    case votes = "n"
    case failureProbability = "alpha"
  }

  public init(votes: Int = 1000, failureProbability: Double = 0.001) {
    self.votes = votes
    self.failureProbability = failureProbability
  }

  /// - Throws: `InputError` for values out of range, or where n is too small for α to predict anything.
  public func validate() throws(InputError) {
    try requireSetting((1...1_000_000).contains(votes), "n", "1 to 1,000,000", votes)
    try requireSetting(
      failureProbability > 0 && failureProbability < 0.5, "alpha", "above 0 and below 0.5", failureProbability)
    var fewest = 1
    while Binomial.twoSidedTest(fewest, 0) > failureProbability { fewest += 1 }
    guard votes >= fewest else {
      throw InputError(
        "so few noisy copies predict nothing at this error probability", at: "n", expected: "at least \(fewest)",
        found: "\(votes)", remedy: "raise it, or alpha")
    }
  }

  /// - Parameter counts: How many of the n noisy copies got each class.
  public func callAsFunction(counts: [Int]) -> SmoothedPrediction {
    let order = counts.indices.sorted { (-counts[$0], $0) < (-counts[$1], $1) }
    guard let first = order.first else { return .abstained }
    let second = order.count > 1 ? counts[order[1]] : 0
    return Binomial.twoSidedTest(counts[first], second) > failureProbability ? .abstained : .label(first)
  }
}
