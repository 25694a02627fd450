import Foundation
import Reporting
import Torch
import Vision

/// What an evaluation came to: computed from its rows alone.
public struct AttackReport {
  /// The figures at one budget.
  public struct Point: Sendable {
    /// In pixel units; nil: any distance.
    public var epsilon: Double?
    /// One a sample, in the data set's order.
    public var rows: [AttackRow]

    /// Samples that were right before and are right still, of all.
    public var robust: Accuracy { Accuracy(correct: rows.count { $0.isRobust }, count: rows.count) }
    /// Samples that were broken, of those that were right before.
    public var success: Accuracy {
      Accuracy(correct: rows.count { $0.isBroken }, count: rows.count { $0.wasCorrect })
    }
    /// The median norm over the samples that were right before; a sample that was not broken counts as infinitely far.
    public func medianSize(_ norm: Norm) -> Double {
      let sizes = rows.filter(\.wasCorrect).map { $0.isBroken ? $0.size(norm) : .infinity }.sorted()
      guard !sizes.isEmpty else { return .nan }
      return sizes[(sizes.count - 1) / 2]
    }
  }

  /// What one attack did at one budget.
  public struct Share: Sendable {
    public var attack: String
    public var epsilon: Double?
    /// Samples that it worked on.
    public var tried: Int
    public var broken: Int
    /// Samples of the whole data set that were robust to it and, in an ensemble, to those before it.
    public var robustAfter: Int
    public var queries: Int
    public var gradients: Int
    public var seconds: Double
  }

  public var model: String
  public var norm: Norm
  public var clean: Accuracy
  /// By ascending budget.
  public var points: [Point]
  public var shares: [Share]
  public var findings: [Finding]
  /// Seconds of attack over all of the run's processes.
  public var seconds: Double
  /// The returned images, `[N, C, H, W]`, at the last budget; nil unless asked for.
  public var images: Tensor?

  /// The robust accuracy at the largest budget.
  public var robust: Accuracy { points.last?.robust ?? Accuracy(correct: 0, count: 0) }

  /// `summary.json`: flat keys.
  public var summary: Record {
    var summary: Record = [
      "model": .string(model), "norm": .string(norm.rawValue), "clean_accuracy": .double(clean.fraction),
      "robust_accuracy": .double(robust.fraction), "n": .int(clean.count),
      "interval": [.double(robust.interval.lowerBound), .double(robust.interval.upperBound)],
      "seconds": .double(seconds)
    ]
    if let last = points.last {
      summary["epsilon"] = last.epsilon.map { .double($0) } ?? .null
      summary["success_rate"] = .double(last.success.fraction)
      let median = last.medianSize(norm)
      summary["median_\(norm.rawValue)"] = median.isFinite ? .double(median) : .null
      summary["mean_queries"] = .double(
        Double(last.rows.reduce(0) { $0 + $1.queries }) / Double(max(1, last.rows.count)))
      summary["mean_gradients"] = .double(
        Double(last.rows.reduce(0) { $0 + $1.gradients }) / Double(max(1, last.rows.count)))
    }
    summary["attacks"] = .array(shares.map { .object($0.record(of: clean.count)) })
    if points.count > 1 {
      summary["curve"] = .array(
        points.map { point in
          [
            "epsilon": point.epsilon.map { .double($0) } ?? .null,
            "robust_accuracy": .double(point.robust.fraction),
            "interval": [.double(point.robust.interval.lowerBound), .double(point.robust.interval.upperBound)]
          ]
        })
    }
    summary["findings"] = .array(findings.map(\.value))
    return summary
  }
}

extension AttackReport.Share {
  func record(of count: Int) -> Record {
    [
      "attack": .string(attack), "epsilon": epsilon.map { .double($0) } ?? .null, "tried": .int(tried),
      "broken": .int(broken), "robust_accuracy": .double(Double(robustAfter) / Double(max(1, count))),
      "queries": .int(queries), "gradients": .int(gradients), "seconds": .double(seconds)
    ]
  }
}
