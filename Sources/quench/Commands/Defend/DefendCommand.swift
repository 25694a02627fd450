import ArgumentParser
import QuenchReporting
import QuenchSmoothing
import QuenchSupport

struct DefendCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "defend",
    abstract: "Put a denoiser in front of a black-box model and certify the two together.",
    discussion: """
      Examples, for a model in black-box.safetensors:
        quench defend pretrain autoencoder --out runs/autoencoder
        quench defend train --weights black-box.safetensors \\
          --autoencoder runs/autoencoder
        quench defend evaluate --weights black-box.safetensors --defense runs/defend

      For a served model ('quench serve', KServe, Triton, TorchServe, MLServer):
        quench defend train --endpoint http://host:8000/v2/models/box \\
          --autoencoder runs/autoencoder --query-budget 1000000 --price-per-1000 0.5

      Zeroth-order denoised smoothing with an autoencoder (Zhang et al. 2022): the
      denoiser and the encoder are trained from queries alone to preserve the model's
      predictions under noise; 'evaluate' certifies the whole as 'quench certify'
      does. --method selects the methods that it is compared with.
      """,
    subcommands: [
      DefendPretrainCommand.self, DefendTrainCommand.self, DefendEvaluateCommand.self, DefendReconstructCommand.self
    ])
}

/// What the model does whose defense is built.
struct TaskOptions: ParsableArguments {
  @Option(help: "classification, or reconstruction of images from linear measurements of them.")
  var task = DefenseTask.Kind.classification

  @Option(help: ArgumentHelp("With --task reconstruction: measurements per image.", valueName: "n"))
  var measurements = DefenseTask().measurements
}

/// How a defense or a part of it is trained.
struct DefenseRecipeOptions: ParsableArguments {
  private static let standard = DefenseRecipe.ofRuns

  @Option(help: "Passes over the training images.")
  var epochs = standard.epochs

  @Option(help: "Epochs of Adam, followed by stochastic gradient descent (default: all).")
  var adamEpochs: Int?

  @Option(help: "Images per step.")
  var batchSize = standard.batchSize

  @Option(help: "Initial learning rate.")
  var learningRate = standard.learningRate

  @Option(help: "The learning rate's course: step, by --decay-every, or cosine, down to 0 over all epochs.")
  var schedule = standard.schedule

  @Option(help: "Epochs between reductions of the learning rate to a tenth.")
  var decayEvery = standard.decayEvery

  @Option(help: "Momentum of stochastic gradient descent.")
  var momentum = standard.momentum

  @Option(help: "L2 penalty on all parameters.")
  var weightDecay = standard.weightDecay

  @Option(help: "Standard deviation of the noise, for pixels in [0, 1].")
  var sigma = standard.sigma

  @Flag(inversion: .prefixedNo, help: "Randomly crop and mirror training images.")
  var augmentation = standard.augmentation
}

/// The denoiser of a defense.
struct DenoiserOptions: ParsableArguments {
  private static let standard = Denoiser()

  @Option(help: ArgumentHelp("Convolutional layers of the denoiser.", valueName: "n"))
  var denoiserDepth = standard.depth

  @Option(help: ArgumentHelp("Channels per layer.", valueName: "n"))
  var denoiserWidth = standard.width

  @Option(help: "Weight of the latest batch in the running statistics of batch norm.")
  var normMomentum = standard.normMomentum
}

/// The ledger of a run's queries, and what they cost.
struct LedgerOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Query the model with at most n images in total.", valueName: "n"))
  var queryBudget: Int?

  @Option(help: ArgumentHelp("The query ledger (default: queries.sqlite in the run's folder).", valueName: "file"))
  var ledger: String?

  @Option(name: .customLong("price-per-1000"), help: ArgumentHelp("Price of 1,000 images.", valueName: "price"))
  var price: Double?
}

/// A command that asks a black box.
protocol BlackBoxCommand: ExperimentCommand {}

extension BlackBoxCommand {
  var settings: Record {
    var settings = Flags.settings(of: self)
    // No Swift name is spelled like this flag.
    (settings["price-per-1000"], settings["price"]) = (settings["price"], nil)
    return settings
  }
}

extension Feedback: ExpressibleByArgument {
  public init?(argument: String) {
    guard let feedback = Self.ofClassifiers.first(where: { $0.rawValue == argument }) else { return nil }
    self = feedback
  }

  public static var allValueStrings: [String] { ofClassifiers.map(\.rawValue) }
}
extension AutoencoderName: ExpressibleByArgument {}
extension DefenseMethod: ExpressibleByArgument {}
extension DefenseRecipe.Course: ExpressibleByArgument {}
extension DefenseTask.Kind: ExpressibleByArgument {}
extension GradientEstimator.Difference: ExpressibleByArgument {}
extension PretrainDefense.Part: ExpressibleByArgument {}
extension ReconstructionEvaluation.Target: ExpressibleByArgument {}
extension TrainDefense.Estimator: ExpressibleByArgument {}
