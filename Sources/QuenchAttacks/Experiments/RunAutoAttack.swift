import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// What a network's accuracy is worth by AutoAttack.
public struct RunAutoAttack: AttackExperiment {
  public static let kind = "attack-autoattack"

  public var version = AutoAttack.Version.standard
  /// Nil: L∞.
  public var norm: Norm?
  /// In units in which a pixel goes from 0 to 1; nil: 8/255 in L∞, 0.5 in L2.
  public var epsilon: PixelBudget?
  /// Of APGD and FAB; nil: the published number.
  public var steps: Int?
  /// Of Square, which ``AutoAttack/Version/rand`` does without; nil: the published number.
  public var queries: Int?
  public var target = AttackedNetwork()

  public init() {}

  /// The attack that these settings make.
  public var attack: AutoAttack {
    let norm = norm ?? .linf
    var attack = AutoAttack(version, norm: norm, epsilon: epsilon?.value ?? norm.usualBudget)
    (attack.steps, attack.queries) = (steps ?? attack.steps, queries ?? attack.queries)
    return attack
  }

  public var attackTitle: String { attack.name }

  public func checked() throws(InputError) -> RunAutoAttack {
    guard norm != .l1 else { throw InputError("AutoAttack knows linf and l2", at: "norm", found: "l1") }
    try requireSetting(steps ?? 1 > 0, "steps", "at least 1", steps ?? 0)
    try requireSetting(queries ?? 1 > 0, "queries", "at least 1", queries ?? 0)
    if queries != nil, !version.takesQueries {
      try InputError.require(["queries"], takenBy: "AutoAttack \(version.rawValue)", which: ["steps"])
    }
    var experiment = self
    let attack = attack
    (experiment.norm, experiment.epsilon) = (attack.norm, epsilon ?? PixelBudget(attack.budget))
    try experiment.epsilon?.validate(for: attack.norm, at: "epsilon")
    (experiment.steps, experiment.queries) = (attack.steps, version.takesQueries ? attack.queries : nil)
    experiment.target = try target.checked()
    return experiment
  }

  public func run(in context: RunContext) throws -> AttackOutcome {
    try target.attack(in: context, as: attack.name) { model, _, _ in
      if version == .rand { model.gradientSamples = AutoAttack.randomisedSamples }
      return AttackEvaluator(attack, for: model)
    }
  }
}
