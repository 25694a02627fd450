import Foundation
import QuenchSupport

/// How near predictions come to what was measured.
public struct PredictionQuality: Hashable, Sendable {
  public let count: Int
  /// Holes that are called good or bad rightly.
  public let accuracy: Accuracy
  /// The probability that a good hole is ranked before a bad one (area under the ROC curve); nil if all are of one kind.
  public let auc: Double?
  /// In Å, measured and predicted clipped at ``CTFFit/clip``; nil for a classifier.
  public let meanAbsoluteError: Double?
  public let rootMeanSquareError: Double?
  /// Correlation of ranks; nil for a classifier.
  public let spearman: Double?

  /// - Parameters:
  ///   - predictions: One a hole.
  ///   - fits: What was measured; holes that were not are left out.
  ///   - threshold: Å up to which a hole is good.
  public init(_ predictions: [Prediction], fits: [CTFFit], threshold: Double) {
    let pairs = zip(predictions, fits).filter { $1.isMeasured }
    count = pairs.count
    let good = pairs.map { $1.isGood(threshold: threshold) }
    let called = pairs.map { $0.0.isGood(threshold: threshold) }
    accuracy = Accuracy(correct: zip(good, called).count { $0 == $1 }, count: pairs.count)
    let ranks = Self.ranks(pairs.map(\.0.rank))
    let positives = Double(good.count { $0 })
    let negatives = Double(pairs.count) - positives
    let sum = zip(ranks, good).reduce(0) { $0 + ($1.1 ? $1.0 : 0) }
    auc =
      positives > 0 && negatives > 0
      ? 1 - (sum - positives * (positives + 1) / 2) / (positives * negatives) : nil

    let values = pairs.compactMap { pair -> (predicted: Double, measured: Double)? in
      guard let predicted = pair.0.resolution, let measured = pair.1.clippedResolution else { return nil }
      return (min(predicted, CTFFit.clip), measured)
    }
    guard values.count == pairs.count, !values.isEmpty else {
      (meanAbsoluteError, rootMeanSquareError, spearman) = (nil, nil, nil)
      return
    }
    let errors = values.map { $0.predicted - $0.measured }
    meanAbsoluteError = errors.reduce(0) { $0 + abs($1) } / Double(errors.count)
    rootMeanSquareError = (errors.reduce(0) { $0 + $1 * $1 } / Double(errors.count)).squareRoot()
    spearman = Self.correlation(Self.ranks(values.map(\.predicted)), Self.ranks(values.map(\.measured)))
  }

  /// Places from 1; equal values share the mean of theirs.
  private static func ranks(_ values: [Double]) -> [Double] {
    let order = values.indices.sorted { values[$0] < values[$1] }
    var ranks = [Double](repeating: 0, count: values.count)
    var start = 0
    while start < order.count {
      var end = start + 1
      while end < order.count, values[order[end]] == values[order[start]] { end += 1 }
      for index in start..<end { ranks[order[index]] = Double(start + end + 1) / 2 }
      start = end
    }
    return ranks
  }

  private static func correlation(_ a: [Double], _ b: [Double]) -> Double? {
    let n = Double(a.count)
    let (meanA, meanB) = (a.reduce(0, +) / n, b.reduce(0, +) / n)
    let products = zip(a, b).reduce(into: (ab: 0.0, aa: 0.0, bb: 0.0)) { sums, pair in
      let (x, y) = (pair.0 - meanA, pair.1 - meanB)
      sums.ab += x * y
      sums.aa += x * x
      sums.bb += y * y
    }
    guard products.aa > 0, products.bb > 0 else { return nil }
    return products.ab / (products.aa * products.bb).squareRoot()
  }
}

extension PredictionFile {
  /// Predictions as text, a line a hole, with two decimals. Probabilities are rounded so that they add up to 1.
  public static func text(_ holes: [String], _ predictions: [Prediction]) -> String {
    zip(holes, predictions).map { hole, prediction in
      let values: [Double] =
        switch prediction {
        case .resolution(let value): [value]
        case .classes(let scores): rounded(scores)
        }
      return ([DelimitedFile.field(hole, separatedBy: " ")] + values.map { String(format: "%.2f", $0) }).joined(
        separator: " ") + "\n"
    }.joined()
  }

  /// In hundredths, the last ones given to those that lost most by rounding down.
  private static func rounded(_ scores: [Double]) -> [Double] {
    var parts = scores.map { Int($0 * 100) }
    let left = 100 - parts.reduce(0, +)
    let order = scores.indices.sorted {
      scores[$0] * 100 - Double(parts[$0]) > scores[$1] * 100 - Double(parts[$1])
    }
    for index in order.prefix(max(0, min(left, scores.count))) { parts[index] += 1 }
    return parts.map { Double($0) / 100 }
  }
}
