import ArgumentParser
import Attacks
import Foundation
import Reporting
import Support
import Torch
import Vision

/// An attack by name and what it can be given.
struct AttackChoice: ParsableArguments {
  @ArgumentParser.Argument(help: "The attack: \(AttackName.allCases.map(\.rawValue).joined(separator: ", ")).")
  var name: AttackName

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

  /// The settings under the names of their flags.
  var settings: Record {
    var settings: Record = ["attack": .string(name.rawValue)]
    settings["step-size"] = stepSize.map { .string($0.description) }
    settings["steps"] = steps.map { .int($0) }
    settings["restarts"] = restarts.map { .int($0) }
    settings["queries"] = queries.map { .int($0) }
    settings["targets"] = targets.map { .int($0) }
    settings["confidence"] = confidence.map { .double($0) }
    settings["aim"] = aim.map { .string($0.rawValue) }
    settings["all-steps"] = allSteps.map { .bool($0) }
    settings["from"] = from.map { .string($0) }
    return settings
  }

  func attackSettings(norm: Norm?, epsilon: PixelBudget?, smallest: Bool) -> AttackSettings {
    var settings = AttackSettings()
    (settings.norm, settings.epsilon, settings.stepSize, settings.steps) = (norm, epsilon, stepSize, steps)
    (settings.restarts, settings.queries, settings.targets) = (restarts, queries, targets)
    (settings.confidence, settings.stopsAtSuccess, settings.searchesSmallest) = (
      confidence, allSteps.map { !$0 }, smallest
    )
    (settings.aims, settings.isTransfer) = (aim != nil, from != nil)
    return settings
  }

  /// The evaluator of one attack, made on another network where the user names one.
  func evaluator(
    _ settings: AttackSettings, _ target: AttackedModel, _ test: ImageDataset, _ options: AttackedOptions,
    _ device: Device
  ) throws -> AttackEvaluator {
    var attack = try settings.make(name)
    if var feature = attack as? FeatureAdversary {
      let guides = test.prefix(200)
      feature.guides = (guides.images.to(.float32) * (1.0 / 255), guides.labels)
      attack = feature
    }
    if let from {
      let source = try ModelFile(
        path: from, model: options.model?.model, for: test, on: device, options.run.output.console
      )
      .network
      attack = transfer(attack, from: AttackedModel(source, precision: options.precision))
    }
    var evaluator = AttackEvaluator([attack])
    evaluator.aim = aim
    return evaluator
  }

  private func transfer(_ attack: some Attack, from source: AttackedModel) -> any Attack {
    Transfer(attack, from: source)
  }
}

struct AttackRunCommand: ParsableCommand {
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
      pixels: an image counts as broken if its perturbation is within --epsilon; with
      --smallest at any size. Of transfers cw with --confidence crosses best among
      those that look for the smallest.

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

  private var attackSettings: AttackSettings {
    choice.attackSettings(norm: options.norm, epsilon: epsilon, smallest: smallest)
  }

  func validate() throws {
    try requireUsage { _ = try attackSettings.make(choice.name) }
    guard !smallest || epsilon == nil else { throw ValidationError("--smallest and --epsilon exclude each other.") }
  }

  func run() throws {
    let attack = try attackSettings.make(choice.name)
    var settings = choice.settings
    settings["norm"] = .string(attack.norm.rawValue)
    settings["epsilon"] = attack.epsilon.map { .string(PixelBudget($0).description) } ?? .null
    settings["parameters"] = .object(attack.settings)
    try options.perform(choice.name.rawValue, settings, inputs: try Fingerprint.inputs(["from": choice.from])) {
      try choice.evaluator(attackSettings, $0, $1, options, $2)
    }
  }
}

struct AttackSweepCommand: ParsableCommand {
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
  var epsilons = PixelBudgets([0, 1, 2, 4, 8, 16].map { PixelBudget($0 / 255) })

  @OptionGroup var options: AttackedOptions

  private func attackSettings(_ epsilon: PixelBudget?) -> AttackSettings {
    choice.attackSettings(
      norm: options.norm, epsilon: epsilon, smallest: !choice.name.declaration.isBounded)
  }

  func validate() throws {
    for budget in epsilons.values {
      try requireUsage { _ = try attackSettings(budget).make(choice.name) }
    }
  }

  func run() throws {
    let budgets = epsilons.values
    let attack = try attackSettings(budgets.last).make(choice.name)
    var settings = choice.settings
    settings["norm"] = .string(attack.norm.rawValue)
    settings["epsilons"] = .string(epsilons.text)
    settings["parameters"] = .object(attack.settings)
    let inputs = try Fingerprint.inputs(["from": choice.from])
    try options.perform("sweep-\(choice.name.rawValue)", settings, inputs: inputs) { model, test, device in
      var evaluator = try choice.evaluator(attackSettings(budgets.last), model, test, options, device)
      evaluator.epsilons = budgets.map(\.value)
      return evaluator
    }
  }
}
