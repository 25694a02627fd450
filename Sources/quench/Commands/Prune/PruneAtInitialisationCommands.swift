import ArgumentParser
import Pruning
import Reporting
import Vision

struct PruneSNIPCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "snip",
    abstract: "Keep what the loss of one batch is most sensitive to, then train (Lee et al. 2019).",
    discussion: """
      Examples:
        quench prune snip --model resnet20 --keep 0.1
        quench prune snip --keep 0.1 --samples-per-class 10 --seed 2
      """)

  @OptionGroup(title: "Pruning") var pruning: PruningOptions
  @OptionGroup(title: "Network") var initial: InitialOptions

  @Option(help: "Rank by this many images of each class instead of one batch of 128.")
  var samplesPerClass: Int?

  @OptionGroup(title: "Recipe") var recipe: RecipeOptions
  @OptionGroup(title: "Run") var options: LearningOptions

  func validate() throws { try requireAtLeastOne(samplesPerClass, "--samples-per-class") }

  func run() throws {
    var criterion = SNIP()
    criterion.samplesPerClass = samplesPerClass
    try initial.job("snip", criterion, ["samples-per-class": samplesPerClass.map { .int($0) }], pruning, recipe)
      .run(pruning, options)
  }
}

struct PruneGraSPCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "grasp",
    abstract: "Keep what preserves the gradient's flow, then train (Wang et al. 2020).",
    discussion: """
      Examples:
        quench prune grasp --model resnet20 --keep 0.1
        quench prune grasp --keep 0.1 --samples-per-class 25
      """)

  @OptionGroup(title: "Pruning") var pruning: PruningOptions
  @OptionGroup(title: "Network") var initial: InitialOptions

  @Option(help: "Images of each class to rank by.")
  var samplesPerClass = GraSP().samplesPerClass

  @Option(help: "What logits are divided by.")
  var temperature = GraSP().temperature

  @OptionGroup(title: "Recipe") var recipe: RecipeOptions
  @OptionGroup(title: "Run") var options: LearningOptions

  func validate() throws {
    try requireAtLeastOne(samplesPerClass, "--samples-per-class")
    guard temperature > 0, temperature.isFinite else { throw ValidationError("--temperature must be above 0.") }
  }

  func run() throws {
    var criterion = GraSP()
    criterion.samplesPerClass = samplesPerClass
    criterion.temperature = temperature
    try initial.job(
      "grasp", criterion, ["samples-per-class": .int(samplesPerClass), "temperature": .double(temperature)],
      pruning, recipe
    ).run(pruning, options)
  }
}

struct PruneSynFlowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "synflow",
    abstract: "Keep what carries synaptic flow, without data, then train (Tanaka et al. 2020).",
    discussion: """
      Examples:
        quench prune synflow --model resnet20 --keep 0.1
        quench prune synflow --model resnet18 --keep 0.01 --rounds 100
      """)

  @OptionGroup(title: "Pruning") var pruning: PruningOptions
  @OptionGroup(title: "Network") var initial: InitialOptions

  @Option(help: "Rounds over which the density falls to the keep ratio.")
  var rounds = 100

  @OptionGroup(title: "Recipe") var recipe: RecipeOptions
  @OptionGroup(title: "Run") var options: LearningOptions

  func validate() throws { try requireAtLeastOne(rounds, "--rounds") }

  func run() throws {
    var criterion = SynFlow(keepRatio: try pruning.keepRatio)
    criterion.rounds = rounds
    try initial.job("synflow", criterion, ["rounds": .int(rounds)], pruning, recipe).run(pruning, options)
  }
}

struct PruneProsPrCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prospr",
    abstract: "Keep what the loss after the first steps is most sensitive to, then train (Alizadeh et al. 2022).",
    discussion: """
      Examples:
        quench prune prospr --model resnet20 --keep 0.1
        quench prune prospr --keep 0.1 --steps 1 --first-order
      """)

  @OptionGroup(title: "Pruning") var pruning: PruningOptions
  @OptionGroup(title: "Network") var initial: InitialOptions

  @Option(help: "Training steps to look ahead.")
  var steps = ProsPr().steps

  @Option(help: "Learning rate of these steps.")
  var innerLearningRate = ProsPr().learningRate

  @Flag(help: "Treat the gradients of these steps as constants, which saves memory.")
  var firstOrder = false

  @OptionGroup(title: "Recipe") var recipe: RecipeOptions
  @OptionGroup(title: "Run") var options: LearningOptions

  func validate() throws {
    try requireAtLeastOne(steps, "--steps")
    guard innerLearningRate > 0, innerLearningRate.isFinite else {
      throw ValidationError("--inner-learning-rate must be above 0.")
    }
  }

  func run() throws {
    var criterion = ProsPr()
    criterion.steps = steps
    criterion.learningRate = innerLearningRate
    criterion.firstOrder = firstOrder
    try initial.job(
      "prospr", criterion,
      [
        "steps": .int(steps), "inner-learning-rate": .double(innerLearningRate), "first-order": .bool(firstOrder)
      ], pruning, recipe
    ).run(pruning, options)
  }
}

struct PruneRandomCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "random",
    abstract: "Keep random weights, then train: the baseline that every method must beat.",
    discussion: """
      Examples:
        quench prune random --model resnet20 --keep 0.1
        quench prune random --keep 0.1 --scope layer
      """)

  @OptionGroup(title: "Pruning") var pruning: PruningOptions
  @OptionGroup(title: "Network") var initial: InitialOptions
  @OptionGroup(title: "Recipe") var recipe: RecipeOptions
  @OptionGroup(title: "Run") var options: LearningOptions

  func run() throws {
    try initial.job("random", RandomPruning(), [:], pruning, recipe).run(pruning, options)
  }
}

struct PruneEarlyBirdCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "early-bird",
    abstract: "Train until batch norm's scales settle on the filters, then go on with those (You et al. 2020).",
    discussion: """
      Examples:
        quench prune early-bird --model resnet20 --keep 0.5 --epochs 30
        quench slim --weights runs/prune-early-bird/model.safetensors

      --keep is the fraction of filters, ranked over the whole network.
      """)

  @Option(help: ArgumentHelp("Fraction of the filters to keep, above 0 and at most 1.", valueName: "ratio"))
  var keep: Double

  @OptionGroup(title: "Network") var initial: InitialOptions

  @Option(help: "The epoch after which the ticket is drawn at the latest (default: half of --epochs).")
  var latestEpoch: Int?

  @Option(help: "Weight of the L1 penalty on batch norm's scales during the search for the ticket.")
  var penalty = 1e-4

  @OptionGroup(title: "Recipe") var recipe: RecipeOptions
  @OptionGroup(title: "Run") var options: LearningOptions

  func validate() throws {
    try requireUsage { _ = try KeepRatio(keep) }
    try requireAtLeastOne(latestEpoch, "--latest-epoch")
    guard recipe.epochs > 1, latestEpoch ?? 1 < recipe.epochs else {
      throw ValidationError("--epochs must be at least 2 and above --latest-epoch, to train the ticket.")
    }
    guard penalty >= 0, penalty.isFinite else { throw ValidationError("--penalty must be 0 or more.") }
  }

  func run() throws {
    var method = EarlyBirdPruning(keepRatio: try KeepRatio(keep))
    method.method.penalty = penalty
    method.recipe = recipe.recipe
    method.latestEpoch = latestEpoch
    var settings = recipe.settings
    settings["latest-epoch"] = latestEpoch.map { .int($0) }
    settings["penalty"] = .double(penalty)
    try PruneJob(method: "early-bird", settings: settings, start: .initial(initial)) { [method] _ in method }
      .run(try PruningOptions.parse(["--keep", "\(keep)", "--granularity", "filter"]), options)
  }
}

extension InitialOptions {
  /// A pruning of a new network by `criterion`.
  func job(
    _ method: String, _ criterion: any PruningCriterion, _ criterionSettings: [String: Value?],
    _ pruning: PruningOptions, _ recipe: RecipeOptions
  ) throws -> PruneJob {
    var pruner = PruningAtInitialisation(try pruning.target, by: criterion)
    pruner.recipe = recipe.recipe
    var settings = recipe.settings
    for (key, value) in criterionSettings.sorted(by: { $0.key < $1.key }) { settings[key] = value }
    return PruneJob(method: method, settings: settings, start: .initial(self)) { [pruner] _ in pruner }
  }
}

private func requireAtLeastOne(_ value: Int?, _ flag: String) throws {
  if let value, value < 1 { throw ValidationError("\(flag) must be at least 1.") }
}
