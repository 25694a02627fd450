import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The accuracy of a network under an attack.
public struct RunAttack: AttackExperiment {
  public static let kind = "attack"

  public var attack = AttackName.pgd
  /// The budget, in units in which a pixel goes from 0 to 1; nil: the norm's usual one.
  public var epsilon: PixelBudget?
  /// Look for the smallest perturbation, with attacks that can.
  public var smallest = false
  public var parameters = AttackSettings()
  public var target = AttackedNetwork()

  public init() {}

  public var attackTitle: String { attack.rawValue }

  public func checked() throws(InputError) -> RunAttack {
    var experiment = self
    let made = try parameters.make(attack, epsilon: epsilon, smallest: smallest)
    guard !smallest || epsilon == nil else {
      throw InputError("smallest and epsilon exclude each other", at: "epsilon", remedy: "leave one of them out")
    }
    experiment.target = try target.checked()
    experiment.parameters = parameters.completed(by: made, attack)
    experiment.epsilon = epsilon ?? made.epsilon.map { PixelBudget($0) }
    return experiment
  }

  public func run(in context: RunContext) throws -> AttackOutcome {
    let made = try parameters.make(attack, epsilon: epsilon, smallest: smallest)
    return try target.attack(
      in: context, as: attack.rawValue, parameters: made.settings, from: parameters.from
    ) { _, test, device in try parameters.evaluator(of: made, target, test, device, context.console) }
  }
}

/// The accuracy of a network under an attack with growing budgets.
public struct SweepAttack: AttackExperiment {
  public static let kind = "attack-sweep"

  public var attack = AttackName.pgd
  /// In units in which a pixel goes from 0 to 1.
  public var epsilons = [0.0, 1, 2, 4, 8, 16].map { PixelBudget($0 / 255) }
  public var parameters = AttackSettings()
  public var target = AttackedNetwork()

  public init() {}

  public var attackTitle: String { attack.rawValue }

  /// The attack at a budget. One without a budget runs once for all of them.
  private func made(at epsilon: PixelBudget?) throws(InputError) -> any Attack {
    try parameters.make(attack, epsilon: epsilon, smallest: !attack.declaration.isBounded)
  }

  public func checked() throws(InputError) -> SweepAttack {
    try requireSetting(!epsilons.isEmpty, "epsilons", "at least one budget", "none")
    var experiment = self
    experiment.epsilons.sort { $0.value < $1.value }
    for epsilon in experiment.epsilons { _ = try made(at: epsilon) }
    experiment.target = try target.checked()
    experiment.parameters = parameters.completed(by: try made(at: experiment.epsilons.last), attack)
    return experiment
  }

  public func run(in context: RunContext) throws -> AttackOutcome {
    let made = try made(at: epsilons.last)
    return try target.attack(
      in: context, as: "sweep-\(attack.rawValue)", parameters: made.settings, from: parameters.from
    ) { _, test, device in
      var evaluator = try parameters.evaluator(of: made, target, test, device, context.console)
      evaluator.epsilons = epsilons.map(\.value)
      return evaluator
    }
  }
}

extension AttackSettings {
  /// The evaluator of one attack, made on another network where ``from`` names one.
  fileprivate func evaluator(
    of attack: any Attack, _ target: AttackedNetwork, _ test: ImageDataset, _ device: Device, _ console: RunConsole
  ) throws -> AttackEvaluator {
    var attack = attack
    if var feature = attack as? FeatureAdversary {
      let guides = test.prefix(200)
      feature.guides = (guides.images.to(.float32) * (1.0 / 255), guides.labels)
      attack = feature
    }
    if let from {
      let source = try ModelFile(path: from, model: target.model, for: test, on: device, console).network
      attack = attack.made(on: AttackedModel(source, precision: target.precision))
    }
    var evaluator = AttackEvaluator([attack])
    evaluator.aim = aim
    return evaluator
  }
}

extension Attack {
  fileprivate func made(on source: AttackedModel) -> any Attack { Transfer(self, from: source) }
}
