import ArgumentParser
import QuenchPruning
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

struct PruneBiPCommand: PruneMethodCommand {
  typealias Work = Prune<BiP>

  static let configuration = CommandConfiguration(
    commandName: "bip",
    abstract: "Bi-level pruning: learn which weights to keep while training them (Zhang et al. 2022).",
    discussion: """
      Examples:
        quench prune bip --weights runs/train/model.safetensors --keep 0.1
        quench prune bip --weights runs/train/model.safetensors --keep 0.1 --resume
        quench prune bip --data cifar10 --data-dir ~/cifar --sparsity 0.98 \\
          --epochs 50
        quench prune bip --keep 0.05 --rise 0.3          gradually: for small ratios
        quench prune bip --keep 0.1 --no-learn-from-both --mask-learning-rate 0.1 \\
          --mask-step-limit 0 --weight-decay 0.0001          as published
      """)

  @OptionGroup(title: "Pruning") var pruning: PruningOptions
  @OptionGroup(title: "Network") var dense: DenseOptions

  @Option(help: "Passes over the training images.")
  var epochs = 100

  @Option(help: "Images per step.")
  var batchSize = 128

  @Option(help: "Learning rate of the weights, the lower level.")
  var learningRate = 0.1

  @Option(
    help: ArgumentHelp(
      "Learning rate of the scores, the upper level: 1 for single weights, 0.1 for filters, groups and the like unless given.",
      valueName: "rate"))
  var maskLearningRate: Double?

  @Option(
    help: ArgumentHelp(
      "Largest change of the scores in a step, as a fraction of their norm, 0 for no limit: 0.01 for single weights, none for the rest unless given.",
      valueName: "fraction"))
  var maskStepLimit: Double?

  @Option(help: "Ridge penalty of the lower level; the smaller it is, the less the mask changes.")
  var gamma = 1.0

  @Option(help: "Steps of the weights for each step of the mask.")
  var lowerSteps = 1

  @Flag(
    inversion: .prefixedNo,
    help: "Also update the weights by the gradient of the mask's step: twice the steps in the same time.")
  var learnFromBoth = true

  @Option(
    help:
      "How the mask's gradient is formed: as published, without its implicit part, or by the rule of the released code, with scores of their own or as it runs."
  )
  var mode = BiP.Mode.formula

  @Option(
    help: ArgumentHelp(
      "Raise the sparsity from 0 to the target's over this fraction of the steps; 0: the target's from the start.",
      valueName: "fraction"))
  var rise = 0.0

  @Option(help: "Momentum of both levels.")
  var momentum = 0.9

  @Option(
    help: ArgumentHelp(
      "L2 penalty on kept weights, batch norm and biases: 0.0005 for single weights, 0.0001 for the rest unless given.",
      valueName: "penalty"))
  var weightDecay: Double?

  @Flag(inversion: .prefixedNo, help: "Crop and mirror training images at random.")
  var augmentation = true

  @Option(help: "Epochs of training with the last mask held, after the pruning.")
  var finetuneEpochs = 0

  @OptionGroup(title: "Run") var options: LearningOptions
}

struct PruneHYDRACommand: PruneMethodCommand {
  typealias Work = Prune<HYDRA>

  static let configuration = CommandConfiguration(
    commandName: "hydra",
    abstract: "Learn scores over frozen weights, then train what stays (Sehwag et al. 2020).",
    discussion: """
      Examples:
        quench prune hydra --weights runs/train/model.safetensors --keep 0.1
        quench prune hydra --weights dense.safetensors --keep 0.1 --scope layer \\
          --scores scaled
      """)

  @OptionGroup(title: "Pruning") var pruning: PruningOptions
  @OptionGroup(title: "Network") var dense: DenseOptions

  @Option(help: "Passes over the training images while the scores are learned.")
  var scoreEpochs = 100

  @Option(help: "Learning rate of the scores.")
  var scoreLearningRate = 0.1

  @Option(help: "Momentum of the scores.")
  var scoreMomentum = 0.9

  @Option(help: "L2 penalty on batch norm and biases while the scores are learned.")
  var scoreWeightDecay = 5e-4

  @Flag(
    inversion: .prefixedNo,
    help:
      "Also update the kept weights while the scores are learned, by the same gradient; as published they are frozen."
  )
  var learnFromBoth = false

  @Option(help: "What the scores begin with: the weights, or the weights scaled layer by layer.")
  var scores = ScoreStart.weights

  @OptionGroup(title: "Recipe of the fine-tuning") var recipe: RecipeOptions
  @OptionGroup(title: "Run") var options: LearningOptions
}

extension BiP.Mode: ExpressibleByArgument {}
extension ScoreStart: ExpressibleByArgument {}
