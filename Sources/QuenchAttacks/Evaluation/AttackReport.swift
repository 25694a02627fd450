import QuenchSupport
import QuenchTorch
import QuenchVision

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
    /// Samples that were broken, and how many of them still are with pixels rounded to 8 bits: at any distance, and
    /// within the budget.
    public func rounding(_ norm: Norm) -> AttackOutcome.Rounding {
      let broken = rows.filter(\.isBroken)
      let deceiving = broken.filter(\.isBrokenRounded)
      let within = deceiving.count { row in
        epsilon.map { (row.sizeRounded ?? .infinity) <= $0 + norm.tolerance($0) } ?? true
      }
      return .init(broken: broken.count, deceiving: deceiving.count, withinBudget: within)
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
    public var attack = ""
    public var usesGradients = true
    public var epsilon: Double?
    /// Samples that it worked on.
    public var tried = 0
    public var broken = 0
    /// Samples of the whole data set that were robust to it and, in an ensemble, to those before it.
    public var robustAfter = 0
    public var queries = 0
    public var gradients = 0
    public var seconds = 0.0
  }

  /// What a short attack of another loss left of the samples that the attacks left, at one budget.
  public struct Probe: Sendable {
    public var attack: String
    public var epsilon: Double?
    /// Of all samples.
    public var robust: Accuracy
  }

  public var model: String
  public var norm: Norm
  public var clean: Accuracy
  /// By ascending budget.
  public var points: [Point]
  public var shares: [Share]
  public var probes: [Probe]
  /// Samples that the model answered with NaN or infinity when they were attacked: if there are any, the robust accuracy
  /// is none.
  public var undefined: Int
  public var findings: [Finding]
  /// Seconds of attack over all of the run's processes.
  public var seconds: Double
  /// The returned images, `[N, C, H, W]`, at the last budget; nil unless asked for.
  public var images: Tensor?

  /// The robust accuracy at the largest budget.
  public var robust: Accuracy { points.last?.robust ?? Accuracy(correct: 0, count: 0) }
}
