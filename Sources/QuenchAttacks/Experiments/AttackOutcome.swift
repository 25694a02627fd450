import QuenchReporting
import QuenchSupport
import QuenchVision

/// What came of attacking a network.
public struct AttackOutcome: Codable, Sendable {
  /// What one attack did at one budget.
  public struct Share: Codable, Hashable, Sendable {
    public var attack: String
    /// In pixel units; nil: any distance.
    public var epsilon: Double?
    /// Images that it worked on.
    public var tried: Int
    public var broken: Int
    /// Of all images, after it and, in an ensemble, those before it.
    public var robustAccuracy: Double
    /// Forward and backward passes.
    public var queries: Int
    public var gradients: Int
    public var seconds: Double
  }

  /// Broken images, and those that still are with pixels rounded to 8 bits: at any distance, and within the budget.
  public struct Rounding: InlineGroup, Hashable, Sendable {
    enum CodingKeys: String, CodingKey {
      case broken
      case deceiving = "broken_8bit"
      case withinBudget = "broken_8bit_within_budget"
    }

    public var broken: Int
    public var deceiving: Int
    public var withinBudget: Int
  }

  /// A point of a curve over budgets.
  public struct Point: Codable, Hashable, Sendable {
    /// In pixel units; nil: any distance.
    public var epsilon: Double?
    /// Nil where the network answers NaN or infinity.
    public var robustAccuracy: AccuracyFigure?
    public var rounding: Rounding
  }

  /// The name by which the attack was asked for; an AutoAttack of fewer steps has another than AutoAttack itself.
  public var attack: String
  public var model: String
  public var norm: Norm
  public var cleanAccuracy: Double
  /// At the largest budget; nil where the network answers NaN or infinity.
  public var robustAccuracy: AccuracyFigure?
  /// Images.
  public var n: Int
  /// Images that the network answers with NaN or infinity when they are attacked.
  public var undefined: Int
  /// Of attack, over all of the run's processes.
  public var seconds: Double
  /// The largest budget, in pixel units; nil: any distance.
  public var epsilon: Double?
  /// Images that were broken at it, of those that were right before.
  public var successRate: Double
  public var rounding: Rounding
  /// The median of the perturbations' sizes in ``norm`` over images that were right before; nil where half withstood.
  public var medianLinf: Double?
  public var medianL2: Double?
  public var medianL1: Double?
  /// Forward and backward passes an image.
  public var meanQueries: Double
  public var meanGradients: Double
  /// In the order in which they ran.
  public var attacks: [Share]
  /// A short attack on what was left, and the accuracy that it left of that.
  public var probe: String?
  public var probeRobustAccuracy: AccuracyFigure?
  /// Where there are several budgets.
  public var curve: [Point]?
  public var findings: [Finding]
  /// The attack's hyper-parameters beside norm and budget; nil for an ensemble.
  public var parameters: Value?

  /// - Parameters:
  ///   - report: The evaluator's.
  ///   - attack: The name by which the attack was asked for.
  ///   - parameters: The attack's hyper-parameters beside norm and budget.
  public init(_ report: AttackReport, attack: String, parameters: Record? = nil) {
    let count = max(1, report.clean.count)
    self.attack = attack
    (model, norm) = (report.model, report.norm)
    (cleanAccuracy, robustAccuracy) = (report.clean.fraction, report.figure(of: report.robust))
    (n, undefined, seconds) = (report.clean.count, report.undefined, report.seconds)
    let last = report.points.last ?? .init(epsilon: nil, rows: [])
    epsilon = last.epsilon
    successRate = last.success.fraction
    rounding = last.rounding(norm)
    let median = last.medianSize(norm)
    if median.isFinite {
      switch norm {
      case .linf: medianLinf = median
      case .l2: medianL2 = median
      case .l1: medianL1 = median
      }
    }
    meanQueries = Double(last.rows.reduce(0) { $0 + $1.queries }) / Double(max(1, last.rows.count))
    meanGradients = Double(last.rows.reduce(0) { $0 + $1.gradients }) / Double(max(1, last.rows.count))
    attacks = report.shares.map { share in
      Share(
        attack: share.attack, epsilon: share.epsilon, tried: share.tried, broken: share.broken,
        robustAccuracy: Double(share.robustAfter) / Double(count), queries: share.queries,
        gradients: share.gradients, seconds: share.seconds)
    }
    if let probe = report.probes.last, probe.epsilon == last.epsilon {
      (self.probe, probeRobustAccuracy) = (probe.attack, report.figure(of: probe.robust))
    }
    if report.points.count > 1 {
      curve = report.points.map {
        Point(
          epsilon: $0.epsilon, robustAccuracy: report.figure(of: $0.robust), rounding: $0.rounding(report.norm))
      }
    }
    findings = report.findings
    self.parameters = parameters.map { .object($0) }
  }
}

extension AttackReport {
  /// An accuracy under attack as an outcome has it: none where the model answers NaN or infinity.
  public func figure(of robust: Accuracy) -> AccuracyFigure? { undefined == 0 ? AccuracyFigure(robust) : nil }
}
