import ArgumentParser
import QuenchPruning
import QuenchReporting
import QuenchVision

struct PruneSNIPCommand: PruneMethodCommand {
  typealias Work = Prune<PruningAtInitialisation<SNIP>>

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

  @Option(help: "Images in a batch of the ranking.")
  var criterionBatchSize = SNIP().batchSize

  @OptionGroup(title: "Recipe") var recipe: RecipeOptions
  @OptionGroup(title: "Run") var options: LearningOptions
}

struct PruneGraSPCommand: PruneMethodCommand {
  typealias Work = Prune<PruningAtInitialisation<GraSP>>

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

  @Flag(inversion: .prefixedNo, help: "Draw the linear layers anew for the ranking, on a copy.")
  var redrawLinear = true

  @OptionGroup(title: "Recipe") var recipe: RecipeOptions
  @OptionGroup(title: "Run") var options: LearningOptions
}

struct PruneSynFlowCommand: PruneMethodCommand {
  typealias Work = Prune<PruningAtInitialisation<SynFlow>>

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
}

struct PruneProsPrCommand: PruneMethodCommand {
  typealias Work = Prune<PruningAtInitialisation<ProsPr>>

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
}

struct PruneRandomCommand: PruneMethodCommand {
  typealias Work = Prune<PruningAtInitialisation<RandomPruning>>

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
}

struct PruneEarlyBirdCommand: LearningCommand {
  typealias Work = Prune<EarlyBirdPruning>

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

  @Option(help: "How many masks, the newest included, must agree before the ticket is drawn.")
  var window = 5

  @Option(help: "How far the newest mask may be from each of the others, as a fraction of the channels.")
  var tolerance = 0.1

  @OptionGroup(title: "Recipe") var recipe: RecipeOptions
  @OptionGroup(title: "Run") var options: LearningOptions
}
