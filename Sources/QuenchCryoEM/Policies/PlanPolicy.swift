/// Follows the tree planner's plan for given values, made once: the oracle with the truth for values, the open-loop planner
/// with probabilities.
public struct PlanPolicy: Policy, Sendable {
  /// What each hole is worth.
  public let values: [Double]

  private var plan: [Int] = []
  private var position = 0

  public init(values: [Double]) { self.values = values }

  /// The exact best: it knows the truth.
  public static func oracle(_ environment: Environment) -> PlanPolicy {
    PlanPolicy(values: environment.isGood.map { $0 ? 1 : 0 })
  }

  /// The best plan by calibrated predictions.
  public static func treeDP(_ survey: Survey, _ calibration: Calibration, threshold: Double) -> PlanPolicy {
    PlanPolicy(values: calibration.probabilities(of: survey, threshold: threshold))
  }

  public var dependsOnBudget: Bool { true }

  public mutating func begin(_ acquisition: Acquisition) {
    plan =
      TreePlanner(acquisition.survey, minutes: acquisition.rules.minutes)
      .plan(
        values: values, from: acquisition.current, isVisited: acquisition.isVisited,
        budget: max(acquisition.timeLeft, 0)
      ).holes
    position = 0
  }

  /// When the plan is done, one more visit counts under the reference rule: the hole of the largest value.
  public mutating func next(_ acquisition: Acquisition) -> Int? {
    while position < plan.count, acquisition.isVisited[plan[position]] { position += 1 }
    if position < plan.count { return plan[position] }
    return acquisition.rules.rule == .reference ? acquisition.bestUnvisited(values) : nil
  }
}
