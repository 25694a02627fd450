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

      For one that is served ('quench serve', KServe, Triton, TorchServe, MLServer):
        quench defend train --endpoint http://host:8000/v2/models/box \\
          --autoencoder runs/autoencoder --query-budget 1000000 --price-per-1000 0.5

      Zeroth-order denoised smoothing through an autoencoder (Zhang et al. 2022):
      the denoiser and the encoder learn, from the model's answers alone, to keep
      its answers under noise; 'evaluate' certifies the whole as 'quench certify'
      does. --method names the methods that it is compared with.
      """,
    subcommands: [
      DefendPretrainCommand.self, DefendTrainCommand.self, DefendEvaluateCommand.self, DefendReconstructCommand.self
    ])
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

extension Defense {
  /// The defence in a run's folder.
  /// - Throws: `InputError` if it is damaged or takes other images than the data set's.
  static func load(_ path: String, for dataset: ImageDataset, on device: Device) throws(InputError) -> Defense {
    let defense = try Defense(contentsOf: URL(filePath: path), device: device)
    guard defense.inputShape == dataset.imageShape else {
      throw InputError(
        "the defence takes other images than those of \(dataset.name)", at: path,
        expected: "\(dataset.imageShape)", found: "\(defense.inputShape)")
    }
    return defense
  }
}

extension Network {
  /// A model that gives back images from measurements of them: of a run of 'defend pretrain reconstructor'.
  /// - Throws: `InputError` if the file is damaged, or the model's images are not the data set's.
  static func reconstructor(
    at path: String, for dataset: ImageDataset, on device: Device
  ) throws(InputError) -> Network {
    let network = try ModelFile(contentsOf: URL(filePath: path), device: device).network
    let (input, output) = (network.architecture.inputShape, network.architecture.outputShape)
    guard input == dataset.imageShape, output == dataset.imageShape else {
      throw InputError(
        "the model is no reconstructor of \(dataset.name)", at: path,
        expected: "images \(dataset.imageShape) to images", found: "\(input) to \(output)",
        remedy: "name a run of 'quench defend pretrain reconstructor'")
    }
    return network
  }
}

/// The book of the queries that a run asks, and what they cost.
struct LedgerOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The most images that the model may be asked about in all.", valueName: "n"))
  var queryBudget: Int?

  @Option(help: ArgumentHelp("The query ledger (default: queries.sqlite in the run's folder).", valueName: "file"))
  var ledger: String?

  @Option(name: .customLong("price-per-1000"), help: ArgumentHelp("What 1,000 images cost.", valueName: "price"))
  var price: Double?

  func validate() throws {
    if let queryBudget, queryBudget < 1 { throw ValidationError("--query-budget must be at least 1.") }
    if let price, !(price >= 0) { throw ValidationError("--price-per-1000 must be 0 or more.") }
  }

  /// The model, with every query entered in the ledger.
  func meter(_ model: any BlackBox, _ box: BlackBoxOptions, in folder: RunFolder) throws -> MeteredBlackBox {
    let file = ledger.map { URL(filePath: $0) } ?? folder.artefact("queries.sqlite")
    return MeteredBlackBox(
      model, ledger: try QueryLedger(at: file, model: model.version, budget: queryBudget),
      batchSize: box.queryBatch,
      patience: box.patience)
  }

  /// What the ledger holds: images asked for, by purpose and in all, sent again, answered from the book, the price.
  func costs(_ ledger: QueryLedger?) throws -> Record {
    let counts = try ledger?.counts ?? [:]
    let total = counts.values.reduce(0, +)
    var costs: Record = [
      "ledger_queries": .int(total), "retries": .int(counts[.retry] ?? 0),
      "cached": .int(try ledger?.cached.values.reduce(0, +) ?? 0)
    ]
    costs["price"] = price.map { .double($0 * Double(total) / 1000) }
    for (purpose, count) in counts.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
      costs["ledger_\(purpose.rawValue)"] = .int(count)
    }
    return costs
  }

  /// One line about them.
  static func text(_ costs: Record) -> String {
    let price = costs["price"]?.number.map { ", price \(NumberText.plain($0))" } ?? ""
    return "\(Wording.count(costs["ledger_queries"]?.number)) in the ledger, of which "
      + "\(Wording.count(costs["retries"]?.number)) sent again; \(Wording.count(costs["cached"]?.number)) answered "
      + "from it" + price
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
extension GradientEstimator.Difference: ExpressibleByArgument {}
