import ArgumentParser
import Foundation
import Reporting
import Smoothing
import Support
import Torch
import Vision

struct DefendCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "defend",
    abstract: "Put a denoiser in front of a model that can only be asked, and certify the two together.",
    discussion: """
      Examples, for a model in black-box.safetensors:
        quench defend pretrain autoencoder --out runs/autoencoder
        quench defend train --weights black-box.safetensors \\
          --autoencoder runs/autoencoder
        quench defend evaluate --weights black-box.safetensors --defense runs/defend

      Zeroth-order denoised smoothing through an autoencoder (Zhang et al. 2022):
      the denoiser and the encoder learn, from the model's answers alone, to keep
      its answers under noise; 'evaluate' certifies the whole as 'quench certify'
      does. --method names the methods that it is compared with.
      """,
    subcommands: [DefendPretrainCommand.self, DefendTrainCommand.self, DefendEvaluateCommand.self])
}

/// How a defence or a part of it is trained.
struct DefenseRecipeOptions: ParsableArguments {
  @Option(help: "Times that every training image is seen.")
  var epochs = 20

  @Option(help: "Epochs of Adam; stochastic gradient descent does the rest (default: all).")
  var adamEpochs: Int?

  @Option(help: "Images a step.")
  var batchSize = 256

  @Option(help: "The first learning rate.")
  var learningRate = 1e-3

  @Option(help: "Epochs after which the learning rate falls to a tenth.")
  var decayEvery = 200

  @Option(help: "L2 penalty on every parameter.")
  var weightDecay = 1e-5

  @Option(help: "Standard deviation of the noise, pixels in [0, 1].")
  var sigma = 0.25

  @Flag(inversion: .prefixedNo, help: "Crop and mirror training images at random.")
  var augmentation = true

  func validate() throws { try requireUsage { try recipe.validate() } }

  var recipe: DefenseRecipe {
    var recipe = DefenseRecipe()
    recipe.epochs = epochs
    recipe.adamEpochs = adamEpochs ?? epochs
    recipe.batchSize = batchSize
    recipe.learningRate = learningRate
    recipe.decayEvery = decayEvery
    recipe.weightDecay = weightDecay
    recipe.sigma = sigma
    recipe.augmentation = augmentation ? Augmentation() : nil
    return recipe
  }

  /// The settings under the names of their flags.
  var settings: Record {
    [
      "epochs": .int(epochs), "adam-epochs": .int(adamEpochs ?? epochs), "batch-size": .int(batchSize),
      "learning-rate": .double(learningRate), "decay-every": .int(decayEvery), "weight-decay": .double(weightDecay),
      "sigma": .double(sigma), "augmentation": .bool(augmentation)
    ]
  }
}

/// The denoiser of a defence.
struct DenoiserOptions: ParsableArguments {
  private static let standard = Denoiser()

  @Option(help: ArgumentHelp("Convolutions of the denoiser.", valueName: "n"))
  var denoiserDepth = standard.depth

  @Option(help: ArgumentHelp("Channels between them.", valueName: "n"))
  var denoiserWidth = standard.width

  @Option(help: "How much of a batch norm's running statistics comes from the last batch.")
  var normMomentum = standard.normMomentum

  func validate() throws {
    guard (3...100).contains(denoiserDepth) else { throw ValidationError("--denoiser-depth must be 3 to 100.") }
    guard (1...1024).contains(denoiserWidth) else { throw ValidationError("--denoiser-width must be 1 to 1024.") }
    guard normMomentum > 0, normMomentum <= 1 else {
      throw ValidationError("--norm-momentum must be above 0 and at most 1.")
    }
  }

  var denoiser: Denoiser { Denoiser(depth: denoiserDepth, width: denoiserWidth, normMomentum: normMomentum) }

  /// The settings under the names of their flags.
  var settings: Record {
    [
      "denoiser-depth": .int(denoiserDepth), "denoiser-width": .int(denoiserWidth),
      "norm-momentum": .double(normMomentum)
    ]
  }
}

/// The model that is defended.
struct BlackBoxOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The model's weights: safetensors, or what torch.save wrote. It is only asked, but by fo-ds and fo-ae-ds.",
      valueName: "file"), completion: .file())
  var weights: String?

  @Option(help: "The network that the weights belong to, where their file does not say.")
  var model: ModelName?

  @Option(
    help: ArgumentHelp(
      "A program that reads images and writes answers, in place of weights: 'python3 model.py'.",
      valueName: "command"))
  var program: String?

  @Option(help: "What the model shall answer: logits, probabilities or labels; a program says itself.")
  var feedback = Feedback.logits

  @Option(help: ArgumentHelp("Images a request.", valueName: "n"))
  var queryBatch = 512

  func validate() throws {
    guard (weights == nil) != (program == nil) else {
      throw ValidationError("Name the model with either --weights or --program.")
    }
    guard queryBatch > 0 else { throw ValidationError("--query-batch must be at least 1.") }
  }

  /// The settings under the names of their flags.
  var settings: Record {
    var settings: Record = [:]
    settings["weights"] = weights.map { .string($0) }
    settings["model"] = model.map { .string($0.rawValue) }
    settings["program"] = program.map { .string($0) }
    settings["feedback"] = .string(feedback.rawValue)
    settings["query-batch"] = .int(queryBatch)
    return settings
  }

  /// The fingerprint of the weights, for the run's record.
  func inputs() throws -> Record {
    guard let weights else { return [:] }
    return ["weights": .string(try Fingerprint.sha256(ofFile: URL(filePath: weights)))]
  }

  /// The network whose weights are at hand.
  func network(for dataset: ImageDataset, on device: Device) throws -> Network {
    guard let weights else {
      throw InputError(
        "a first-order method needs the model's weights", at: "--program", remedy: "choose zo-ds or zo-ae-ds")
    }
    return try WeightsFile.load(weights, model: model, for: dataset, on: device).network
  }

  /// The model as a black box.
  /// - Parameter dtype: float32 for training: differences of 16-bit answers say little about a slope.
  func blackBox(
    for dataset: ImageDataset, dtype: DType?, batchSize: Int, on device: Device
  ) throws -> any BlackBox {
    if let weights {
      let version = try Fingerprint.sha256(ofFile: URL(filePath: weights))
      return LocalBlackBox(
        try network(for: dataset, on: device), feedback: feedback, version: String(version.prefix(12)),
        batchSize: batchSize, dtype: dtype ?? InferencePlan.fastest(on: device))
    }
    let model = try ProgramBlackBox((program ?? "").split(separator: " ").map(String.init))
    guard model.classes == dataset.classNames.count else {
      throw InputError(
        "the model knows another number of classes than \(dataset.name)", at: program,
        expected: "\(dataset.classNames.count)", found: "\(model.classes)",
        remedy: "name the data set that it was trained on with --data")
    }
    return model
  }
}

extension Feedback: ExpressibleByArgument {}
extension AutoencoderName: ExpressibleByArgument {}
extension DefenseMethod: ExpressibleByArgument {}
extension GradientEstimator.Difference: ExpressibleByArgument {}
