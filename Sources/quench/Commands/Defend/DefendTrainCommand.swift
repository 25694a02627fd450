import ArgumentParser
import QuenchSmoothing

struct DefendTrainCommand: BlackBoxCommand, LearningCommand {
  typealias Work = TrainDefense

  static let folderName = "defend"

  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a defense from a model's answers.",
    discussion: """
      Examples:
        quench defend train --weights box.safetensors --autoencoder runs/autoencoder
        quench defend train --weights box.safetensors \\
          --autoencoder runs/autoencoder \\
          --estimator rge --directions 192 --query-budget 20000000
        quench defend train --program 'python3 model.py' \\
          --autoencoder runs/autoencoder
        quench defend train --endpoint http://host:8000/v2/models/box \\
          --autoencoder runs/autoencoder --query-rate 500 --price-per-1000 0.5
        quench defend train --weights box.safetensors --method fo-ds
        quench defend train --task reconstruction --data mnist \\
          --weights runs/reconstructor/reconstructor.safetensors \\
          --autoencoder runs/autoencoder

      Methods: zo-ae-ds and zo-ds use queries only; fo-ae-ds and fo-ds use the
      model's gradients. Every image is entered in the ledger before it is sent. When
      the budget is spent, training stops with a checkpoint; --resume with a larger
      --query-budget continues it. A resumed run repeats no query. After an error or
      a timeout of an endpoint the same images are sent again, with growing pauses.

      Before training, an endpoint or a program is queried with 32 images to measure
      how its answers are rounded and how noisy they are; the step of the difference
      quotients is chosen accordingly. The findings are in black-box.json.
      """)

  @Option(help: "zo-ae-ds, zo-ds, fo-ae-ds or fo-ds.")
  var method = DefenseMethod.zoAEDS

  @Option(help: ArgumentHelp("A run of 'defend pretrain autoencoder'.", valueName: "dir"), completion: .directory)
  var autoencoder: String?

  @Option(
    help: ArgumentHelp("Start from the denoiser of this run ('defend pretrain denoiser').", valueName: "dir"),
    completion: .directory)
  var warmStart: String?

  @OptionGroup(title: "Task") var task: TaskOptions
  @OptionGroup(title: "Model") var box: BlackBoxOptions

  @Option(
    help: """
      Gradient estimator: cge (every coordinate), rge (random directions) or labels (random directions, for a model \
      that returns labels only).
      """)
  var estimator: TrainDefense.Estimator?

  @Option(help: ArgumentHelp("Random directions per image.", valueName: "q"))
  var directions = TrainDefense().directions

  @Option(help: "antithetic (two queries per direction) or forward (one).")
  var difference = TrainDefense().difference

  @Option(
    help: ArgumentHelp(
      "Step of the difference quotients (default: 0.005, longer if the answers are coarse; labels: 0.5).",
      valueName: "mu"))
  var smoothingStep: Double?

  @Flag(
    inversion: .prefixedNo,
    help: "First query an endpoint or a program with 32 images, to learn how precise its answers are.")
  var probe = true

  @Flag(
    inversion: .prefixedNo,
    help: "Skip queries for coordinates that a ReLU holds at 0; the gradient is the same.")
  var skipDead = true

  @OptionGroup(title: "Ledger") var book: LedgerOptions
  @OptionGroup(title: "Denoiser") var denoiser: DenoiserOptions
  @OptionGroup(title: "Recipe") var recipe: DefenseRecipeOptions
  @OptionGroup(title: "Run") var options: LearningOptions
}
