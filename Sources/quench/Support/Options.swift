import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// What every command that computes takes.
struct RunOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Folder for everything that the run writes; unless given, one in runs/ that is named after the command and numbered from the second run on.",
      valueName: "dir"), completion: .directory)
  var out: String?

  @Flag(help: "Continue the run in the --out folder, or the command's latest in runs/, from its last checkpoint.")
  var resume = false

  @Option(help: "Seed of every random choice.")
  var seed: Int = 1

  @OptionGroup var machine: MachineOptions
  @OptionGroup var output: OutputOptions

  /// The folder of the run: the one that the user names, or a new one called `name` in `runs`, or the latest of these
  /// where it is to go on. Then `--precision auto` is what it became when that run began.
  /// - Throws: `InputError` if the run cannot begin, or go on, there.
  func folder(named name: String) throws(InputError) -> URL {
    let url =
      out.map { URL(filePath: $0, directoryHint: .isDirectory) } ?? RunFolder.location(named: name, latest: resume)
    try RunFolder.check(url, resume: resume)
    if resume { try RunFolder(existing: url).record().settlePrecision() }
    return url
  }
}

/// Where and how tensors are computed.
struct MachineOptions: ParsableArguments {
  @Option(help: RankOptions.deviceHelp) var device = "auto"

  @Option(help: ArgumentHelp("CPU threads; all cores unless given.", valueName: "n"))
  var threads: Int?

  @Option(
    help: """
      auto is bfloat16 where the device is faster with it; int8 is for 'evaluate', 'certify' and 'serve' alone.
      """)
  var precision = InferencePrecision.automatic

  /// ``precision`` for commands that do not offer int8.
  /// - Throws: `ValidationError` for int8.
  var layerPrecision: Precision {
    get throws {
      guard let layers = Precision(rawValue: precision.rawValue) else {
        throw ValidationError("--precision \(precision.rawValue) is for 'evaluate', 'certify' and 'serve' alone.")
      }
      return layers
    }
  }

  @Option(
    help: ArgumentHelp("YAML file with the same keys as the flags; flags win.", valueName: "file"),
    completion: .file(extensions: ["yaml", "yml"]))
  var config: String?

  @Flag(help: RankOptions.standaloneHelp) var standalone = false
  @Option(help: RankOptions.timeoutHelp) var rankTimeout = 60.0

  var ranks: RankOptions { RankOptions(standalone: standalone, timeout: rankTimeout) }

  /// Applies the thread count and returns the device, for a command that shares its work with no other process.
  func prepare() throws -> Device {
    try ranks.requireAlone()
    return try apply()
  }

  /// Applies the thread count and returns the device.
  func apply() throws -> Device {
    if let threads { LibTorch.threads = threads }
    return try ranks.device(named: device)
  }

  func validate() throws {
    if let threads, threads < 1 { throw ValidationError("--threads must be at least 1.") }
    try ranks.validate()
    // Which one auto is only LibTorch knows, and help must not wait for it.
    if device != "auto" { try requireUsage { _ = try ranks.device(named: device) } }
  }
}

struct OutputOptions: ParsableArguments {
  @Flag(help: "Print the result as one JSON object.")
  var json = false

  @Flag(help: "Print nothing but results and errors.")
  var quiet = false
}

/// Which images.
struct DataOptions: ParsableArguments {
  @Option(help: "The data set; 'quench data list' describes them.")
  var data = DataName.fashionMNIST

  @Option(help: ArgumentHelp("Folder that holds the data set's files.", valueName: "dir"), completion: .directory)
  var dataDir: String?

  @Option(help: ArgumentHelp("Use n of the test images.", valueName: "n"))
  var limit: Int?

  @Option(help: ArgumentHelp("Use n of the training images.", valueName: "n"))
  var trainLimit: Int?

  @Option(
    help: """
      Which images --limit and --train-limit take: balanced draws them by the seed, as many of each class; first takes \
      them in the data set's own order.
      """)
  var limitOrder = DataSelection.Order.balanced

  @Flag(
    inversion: .prefixedNo,
    help: "Leave out pictures that cannot be decoded, and say how many, or else stop at the first.")
  var skipCorrupt = true

  // A group of its own would be one more level, at each of which the parser's checks of debug builds multiply.
  @Option(help: PictureOptions.imageSizeHelp) var imageSize: PictureSides?
  @Option(help: PictureOptions.resizeHelp) var resize: Int?
  @Option(help: PictureOptions.cropHelp) var crop: PictureSides?
  @Option(help: PictureOptions.channelsHelp) var channels: Int?

  func validate() throws {
    if let limit, limit < 1 { throw ValidationError("--limit must be at least 1.") }
    if let trainLimit, trainLimit < 1 { throw ValidationError("--train-limit must be at least 1.") }
  }
}

/// What every command that trains a network takes: which images, and the run.
struct LearningOptions: ParsableArguments {
  @OptionGroup(title: "Data") var data: DataOptions

  @Option(
    help: ArgumentHelp("Validate on n images taken out of the training file, after every epoch.", valueName: "n"))
  var holdOut: Int?

  @Option(help: ArgumentHelp("Seconds between checkpoints inside an epoch.", valueName: "seconds"))
  var checkpointInterval = 60.0

  @Flag(help: "Also write the metrics as TensorBoard event files.")
  var tensorboard = false

  @OptionGroup var run: RunOptions

  func validate() throws {
    if let holdOut, holdOut < 1 { throw ValidationError("--hold-out must be at least 1.") }
    guard checkpointInterval >= 0 else { throw ValidationError("--checkpoint-interval must be 0 or more.") }
  }
}

/// How a classifier is trained.
struct RecipeOptions: ParsableArguments {
  private static let standard = TrainingRecipe()

  @Option(help: "Passes over the training images.")
  var epochs = standard.epochs

  @Option(help: "Images per step.")
  var batchSize = standard.batchSize

  @Option(help: "The highest learning rate.")
  var learningRate = standard.learningRate

  @Option(help: "Nesterov momentum.")
  var momentum = standard.momentum

  @Option(help: "L2 penalty on every parameter.")
  var weightDecay = standard.weightDecay

  @Option(help: "Probability that the loss moves from the right class to all classes alike.")
  var labelSmoothing = standard.labelSmoothing

  @Option(help: "Clip the gradients to this norm.")
  var clipNorm: Double?

  @Option(help: "The learning rate's course; step divides it by 10 after a half and three quarters of the epochs.")
  var schedule = standard.schedule

  @Option(
    help: ArgumentHelp(
      "Epochs over which the learning rate rises from a tenth (default: 1, or a fifth of a shorter run).",
      valueName: "epochs"))
  var warmUp: Double?

  @Flag(inversion: .prefixedNo, help: "Crop and mirror training images at random.")
  var augmentation = true
}

extension InferencePrecision: ExpressibleByArgument {}
extension DataName: ExpressibleByArgument {}
extension DataSelection.Order: ExpressibleByArgument {}
extension TrainingRecipe.Course: ExpressibleByArgument {}
extension ModelName: ExpressibleByArgument {}

/// A network that answers a class for each image, as a flag names it.
struct ClassifierName: RawRepresentable, CaseIterable, Encodable, ExpressibleByArgument {
  let model: ModelName

  static let resnet20 = ClassifierName(model: .resnet20)
  static let allCases = ModelName.allCases.filter(\.isClassifier).map { ClassifierName(model: $0) }

  init(model: ModelName) { self.model = model }

  init?(rawValue: String) {
    guard let model = ModelName(rawValue: rawValue), model.isClassifier else { return nil }
    self.init(model: model)
  }

  var rawValue: String { model.rawValue }
}

/// Checks values of flags: what `check` finds wrong is wrong usage.
func requireUsage(_ check: () throws -> Void) throws {
  do { try check() } catch let error as InputError { throw ValidationError("\(error.namingFlags)") }
}
