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
      and give another, higher figure: then the name AutoAttack is not yours to use.
      """)

  @Option(help: "standard, plus, rand (for randomised models) or individual (each attack on all images).")
  var version = AutoAttack.Version.standard

  @Option(help: "The budget in pixel units (default: 8/255 in linf, 0.5 in l2).")
  var epsilon: PixelBudget?

  @Option(help: "Steps of APGD and FAB.")
  var steps = 100

  @Option(help: "Forward passes an image for Square.")
  var queries = 5000

  @OptionGroup var options: AttackedOptions

  private var attack: AutoAttack {
    let norm = options.norm ?? .linf
    let budget = epsilon?.value ?? (norm == .linf ? 8.0 / 255 : 0.5)
    var attack = AutoAttack(version, norm: norm, epsilon: budget)
    (attack.steps, attack.queries) = (steps, queries)
    return attack
  }

  func validate() throws {
    guard options.norm != .l1 else { throw ValidationError("--norm: AutoAttack knows linf and l2.") }
    guard steps > 0, queries > 0 else { throw ValidationError("--steps and --queries must be at least 1.") }
    try requireUsage { try PixelBudget(attack.budget).validate(for: attack.norm, at: "--epsilon") }
  }

  func run() throws {
    let attack = attack
    let settings: Record = [
      "attack": "autoattack", "version": .string(version.rawValue), "norm": .string(attack.norm.rawValue),
      "epsilon": .string(PixelBudget(attack.budget).description), "steps": .int(steps), "queries": .int(queries)
    ]
    try options.perform("autoattack", settings) { model, _, _ in
      if version == .rand { model.gradientSamples = AutoAttack.randomisedSamples }
      return AttackEvaluator(attack, for: model)
    }
  }
}
