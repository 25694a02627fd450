import ArgumentParser
import QuenchAttacks
import QuenchReporting
import QuenchSupport

struct AutoAttackCommand: ExperimentCommand {
  typealias Work = RunAutoAttack

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

  var runOptions: RunOptions { options.run }

  func run() throws {
    let name = try Work(settings: settings, name: "flags").attack.name
    try runOptions.perform(Work.self, settings, named: "attack-\(name)", in: lab)
  }
}
