import ArgumentParser
import Attacks
import Reporting
import Support

struct AutoAttackCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "autoattack",
    abstract: "Run AutoAttack: four attacks without knobs, and what survives them.",
    discussion: """
      Examples:
        quench attack autoattack --weights model.safetensors --data cifar10 \\
          --limit 1000
        quench attack autoattack --norm l2 --epsilon 0.5 --weights model.safetensors
        quench attack autoattack --version plus --weights model.safetensors

      standard is APGD-CE, APGD-T, FAB-T and Square with 100 steps, nine targets and
      5,000 queries, as the reference has it. Fewer --steps or --queries are faster
      and give another, higher figure, which is recorded as autoattack-reduced.
      """)

  @Option(help: "standard, plus, rand (for randomised models) or individual (each attack on all images).")
  var version = AutoAttack.Version.standard

  @Option(help: "The budget in pixel units (default: 8/255 in linf, 0.5 in l2).")
  var epsilon: PixelBudget?

  @Option(help: "Steps of APGD and FAB (default: \(AutoAttack().steps)).")
  var steps: Int?

  @Option(help: "Forward passes an image for Square, which rand does without (default: \(AutoAttack().queries)).")
  var queries: Int?

  @OptionGroup var options: AttackedOptions

  private var attack: AutoAttack {
    let norm = options.norm ?? .linf
    var attack = AutoAttack(version, norm: norm, epsilon: epsilon?.value ?? norm.usualBudget)
    (attack.steps, attack.queries) = (steps ?? attack.steps, queries ?? attack.queries)
    return attack
  }

  func validate() throws {
    guard options.norm != .l1 else { throw ValidationError("--norm: AutoAttack knows linf and l2.") }
    guard attack.steps > 0, attack.queries > 0 else {
      throw ValidationError("--steps and --queries must be at least 1.")
    }
    guard version.takesQueries || queries == nil else {
      throw ValidationError("--queries: AutoAttack \(version.rawValue) does not take this; it takes --steps.")
    }
    try requireUsage { try PixelBudget(attack.budget).validate(for: attack.norm, at: "--epsilon") }
  }

  func run() throws {
    let attack = attack
    var settings: Record = [
      "attack": .string(attack.name), "version": .string(version.rawValue), "norm": .string(attack.norm.rawValue),
      "epsilon": .string(PixelBudget(attack.budget).description), "steps": .int(attack.steps)
    ]
    if version.takesQueries { settings["queries"] = .int(attack.queries) }
    try options.perform(attack.name, settings) { model, _, _ in
      if version == .rand { model.gradientSamples = AutoAttack.randomisedSamples }
      return AttackEvaluator(attack, for: model)
    }
  }
}
