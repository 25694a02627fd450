import ArgumentParser
import Foundation
import QuenchAttacks
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// An attack by name and what it can be given.
struct AttackChoice: ParsableArguments {
  @ArgumentParser.Argument(help: "The attack: \(AttackName.allCases.map(\.rawValue).joined(separator: ", ")).")
  var attack: AttackName

  @Option(
    help: "Step size in pixel units (pgd, bim, mi-fgsm: a quarter of the budget unless given; in l2 a fifth).")
  var stepSize: PixelBudget?

  @Option(help: "Iterations.")
  var steps: Int?

  @Option(help: "Independent attempts, each on the images that the ones before left.")
  var restarts: Int?

  @Option(help: "Forward passes an image.")
  var queries: Int?

  @Option(help: "Classes that are aimed at one after the other.")
  var targets: Int?

  @Option(help: "By how much the wrong logit must win.")
  var confidence: Double?

  @Option(help: "Aim at a class: random, runner-up, least-likely or next.")
  var aim: TargetPicker?

  @Flag(
    inversion: .prefixedNo,
    help: "Every image takes all steps, instead of leaving with its first success; with --from this is the default."
  )
  var allSteps: Bool?

  @Option(
    help: ArgumentHelp(
      "Make the perturbations on this network instead, and judge them on that of --weights.", valueName: "file"),
    completion: .file())
  var from: String?

  /// What each attack takes, for help.
  static let usage =
    AttackName.allCases.map { name in
      "\(name.rawValue.padding(toLength: 15, withPad: " ", startingAt: 0)) \(name.usage)"
    }.joined(separator: "\n")
}

struct AttackRunCommand: ExperimentCommand {
  typealias Work = RunAttack

  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Attack a network once: 'quench attack NAME' does the same.",
    discussion: """
      Examples:
        quench attack pgd --weights model.safetensors --epsilon 8/255 \\
          --norm linf --limit 1000
        quench attack run square --weights model.safetensors --queries 1000
        quench attack mi-fgsm --weights a.safetensors --from b.safetensors   a transfer

      Images that are misclassified from the start are not attacked and count as not
      robust. cw, deepfool and fab look for the smallest perturbation, stadv moves
      pixels: an image counts as broken if its perturbation is within --epsilon, and
      cw and fab let it go then; with --smallest at any size, as small as can be found.
      Of transfers cw with --confidence crosses best among those that look for the
      smallest.

      Each attack, its norms (the first is the default), and what it takes beside
      --norm and --epsilon, with its defaults:
      \(AttackChoice.usage)
      """)

  @OptionGroup(title: "Attack") var choice: AttackChoice

  @Option(help: "The budget in pixel units (default: 8/255 in linf, 0.5 in l2, 12 in l1).")
  var epsilon: PixelBudget?

  @Flag(help: "Look for the smallest perturbation, with cw, deepfool and fab; one of any size with stadv.")
  var smallest = false

  @OptionGroup var options: AttackedOptions

  var runOptions: RunOptions { options.run }

  func run() throws {
    try runOptions.perform(Work.self, settings, named: "attack-\(choice.attack.rawValue)", in: lab)
  }
}

struct AttackSweepCommand: ExperimentCommand {
  typealias Work = SweepAttack

  static let configuration = CommandConfiguration(
    commandName: "sweep",
    abstract: "Draw robust accuracy against the budget.",
    discussion: """
      Examples:
        quench attack sweep pgd --weights model.safetensors \\
          --epsilons 0,1/255,2/255,4/255,8/255
        quench attack sweep fab --norm l2 --weights model.safetensors \\
          --epsilons 0.1,0.25,0.5

      An image that is broken at one budget is broken at the larger ones. cw,
      deepfool and fab run once for all budgets. With --save-pictures a folder for
      each budget has the images that it is the smallest to break. What each attack
      takes is told by 'quench attack run --help'.
      """)

  @OptionGroup(title: "Attack") var choice: AttackChoice

  @Option(help: ArgumentHelp("Budgets in pixel units, separated by commas.", valueName: "list"))
  var epsilons = PixelBudgets(SweepAttack().epsilons)

  @OptionGroup var options: AttackedOptions

  var runOptions: RunOptions { options.run }

  func run() throws {
    try runOptions.perform(Work.self, settings, named: "attack-sweep-\(choice.attack.rawValue)", in: lab)
  }
}
