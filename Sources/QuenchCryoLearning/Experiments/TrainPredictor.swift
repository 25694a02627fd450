import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The training of a predictor on pictures of holes whose CTF was measured.
public struct TrainPredictor: Experiment {
  public static let kind = "cryo-predictor"

  /// The folder of pictures.
  public var images = ""
  /// Holes with their measured CTF.
  public var survey = ""
  /// Other holes, to choose the epoch by.
  public var validationSurvey: String?
  public var model = ModelName.resnet50ImageNet
  /// A file of weights to begin with, such as ImageNet's: all but the last layer.
  public var weights: String?
  /// Classes to tell apart instead of predicting resolutions: where they end, in Å.
  public var classes: [Double]?
  /// Height and width that the network sees.
  public var side = 224
  /// Å up to which a hole counts as good in the metrics.
  public var threshold = 6.0
  public var recipe = PredictorRecipe()
  /// Without a validation survey: parts that are predicted by networks trained on the others; 0: none.
  public var folds = 2
  public var seed = 1
  public var precision = Precision.automatic

  public static let predictionsFileName = "predictions.txt"
  /// Predictions of holes that the network was trained on.
  static let seenFileName = "predictions-of-training-holes.txt"

  public init() {}

  public struct Outcome: Codable, Sendable {
    public var model: String
    /// `regression` or `classification`.
    public var task: String
    public var synthetic: Bool
    public var judgedOn: String
    /// The file's name.
    public var predictions: String
    public var threshold: Double
    public var trainingHoles: Int
    public var n: Int
    /// Of calling holes good or bad.
    public var accuracy: AccuracyFigure
    public var auc: Double?
    public var mae: Double?
    public var rmse: Double?
    public var spearman: Double?
    public var bestEpoch: Int
    public var seconds: Double
    public var imagesPerSecond: Double
    public var predictionImagesPerSecond: Double
    public var peakMemoryMb: Double
    public var parameters: Int
    public var seed: Int
  }

  public func versions(on device: String) -> Record { tensorVersions(on: device, precision) }

  var task: CTFPredictor.Task { classes.map { .classification($0) } ?? .regression }
  private var seedBits: UInt64 { UInt64(bitPattern: Int64(seed)) }

  public func checked() throws(InputError) -> TrainPredictor {
    try requireSetting(!images.isEmpty, "images", "a folder", "nothing")
    try requireSetting(!survey.isEmpty, "survey", "a file", "nothing")
    try recipe.validate()
    try task.validate()
    try requireSetting(model.isClassifier, "model", "a network that answers classes", model.rawValue)
    try requireSetting((8...1024).contains(side), "side", "8 to 1024", side)
    try requireSetting(
      threshold > 0 && threshold < CTFFit.clip, "threshold", "above 0 and below \(Int(CTFFit.clip)) Å", threshold)
    try requireSetting(folds == 0 || (2...100).contains(folds), "folds", "0, or 2 to 100", folds)
    return self
  }

  /// Trains, keeps the best epoch where there is a validation survey, and predicts.
  public func run(in context: RunContext) throws -> Outcome {
    let device = try context.tensorDevice()
    let console = context.console
    let train = try SurveyFile(contentsOf: URL(filePath: survey)).survey
    let validation = try validationSurvey.map { try SurveyFile(contentsOf: URL(filePath: $0)).survey }
    let inputs = try Fingerprint.inputs([
      "survey": survey, "validation-survey": validationSurvey, "weights": weights
    ])
    let predictor = try newPredictor(on: device)
    let examples = try examples(train, predictor, console)
    let held = try validation.map { try self.examples($0, predictor, console) }
    let folder = try context.open(inputs: inputs)
    let learner = PredictorTraining(
      predictor, on: examples, recipe: recipe, threshold: threshold, seed: seedBits, precision: precision)
    let model = folder.artefact(ClassifierWork.modelFileName)
    let best = BestEpoch(url: folder.checkpoints.appending(path: "best.json"))

    var session = context.session("Training", in: folder)
    session.atEpochEnd = { epoch, _ in
      guard let held else { return [:] }
      let loss = held.loss(of: predictor, recipe: recipe)
      if try loss < best.loss(before: epoch) {
        try predictor.write(to: model)
        try best.write(epoch: epoch, loss: loss)
      }
      return ["validation_loss": .double(loss)]
    }
    let cost = try session.run(learner)
    if held == nil { try predictor.write(to: model) }

    let chosen = try CTFPredictor(contentsOf: model, device: device)
    let judged = held ?? examples
    let clock = ContinuousClock.now
    var predictions = chosen.predict(judged.images, precision: precision)
    let rate = Double(judged.count) / ((ContinuousClock.now - clock) / .seconds(1))
    let isCrossFitted = held == nil && folds > 0
    if isCrossFitted {
      predictions = try CrossFitting(folds: folds).predictions(examples, of: train, precision: precision) {
        try fold($0, $1, on: device, console)
      }
    } else if held == nil {
      console.note(
        "warning: the predictions are of holes that the network was trained on and better than those of others will be: "
          + "no calibration can be learned from them; `folds` 2 or `validation-survey` gives some that can be")
    }
    let fileName = held == nil && !isCrossFitted ? Self.seenFileName : Self.predictionsFileName
    try AtomicFile.write(
      Data(PredictionFile.text(judged.images.names, predictions).utf8), to: folder.artefact(fileName))
    let quality = PredictionQuality(predictions, fits: judged.fits, threshold: threshold)
    return Outcome(
      model: self.model.rawValue, task: classes == nil ? "regression" : "classification",
      synthetic: judged.images.names.allSatisfy { $0.hasPrefix("synthetic") },
      judgedOn: held != nil
        ? "validation survey"
        : isCrossFitted
          ? "training survey, each of \(folds) parts predicted by a network trained on the others"
          : "training survey, which the network was trained on",
      predictions: fileName, threshold: threshold, trainingHoles: examples.count, n: quality.count,
      accuracy: AccuracyFigure(quality.accuracy), auc: quality.auc, mae: quality.meanAbsoluteError,
      rmse: quality.rootMeanSquareError, spearman: quality.spearman, bestEpoch: try best.epoch ?? recipe.epochs,
      seconds: cost.seconds, imagesPerSecond: cost.imagesPerSecond, predictionImagesPerSecond: rate,
      peakMemoryMb: Double(ProcessMemory.peakBytes) / 1e6,
      parameters: chosen.network.architecture.parameterCount, seed: seed)
  }

  private func newPredictor(on device: Device) throws(InputError) -> CTFPredictor {
    let predictor = try CTFPredictor(model, task: task, side: side, seed: seedBits, device: device)
    if let weights {
      try predictor.begin(
        with: StateDictionary.weights(at: weights, for: predictor.network.architecture), from: weights)
    }
    return predictor
  }

  /// A predictor as the run's own, trained on other holes.
  private func fold(
    _ examples: HoleExamples, _ fold: Int, on device: Device, _ console: RunConsole
  ) throws -> CTFPredictor {
    let predictor = try newPredictor(on: device)
    var session = TrainingSession()
    session.task = "Part \(fold + 1) of \(folds)"
    session.progress = console.progress
    _ = try session.run(
      PredictorTraining(
        predictor, on: examples, recipe: recipe, threshold: threshold, seed: seedBits, precision: precision))
    return predictor
  }

  private func examples(
    _ survey: Survey, _ predictor: CTFPredictor, _ console: RunConsole
  ) throws(InputError) -> HoleExamples {
    let measured = survey.holes.filter { $0.fit.isMeasured }
    let images = try HoleImages.read(
      URL(filePath: images, directoryHint: .isDirectory), holes: measured.map(\.name),
      side: predictor.pictureSide, console)
    return try HoleExamples(images, fits: measured.map(\.fit), task: predictor.task)
  }
}

extension HoleImages {
  /// Reads pictures and tells how that goes.
  /// - Throws: `InputError` that names a file that is missing or damaged.
  public static func read(
    _ folder: URL, holes: [String]?, side: Int, _ console: RunConsole
  ) throws(InputError) -> HoleImages {
    var line: ProgressLine?
    let images = try read(folder, holes: holes, side: side) { done, total in
      if line == nil { line = ProgressLine("Reading", total: total, unit: "pictures", style: console.progress) }
      line?.update(done)
    }
    line?.finish()
    for warning in images.warnings.prefix(5) { console.note("warning: \(warning)") }
    if images.warnings.count > 5 { console.note("and \(images.warnings.count - 5) more warnings") }
    return images
  }
}

/// The epoch of the lowest validation loss, noted in a file beside the checkpoints.
private struct BestEpoch {
  let url: URL

  var epoch: Int? { get throws(InputError) { try note?["epoch"]?.integer } }

  /// The lowest loss of earlier epochs.
  func loss(before epoch: Int) throws(InputError) -> Double {
    guard let note = try note, let earlier = note["epoch"]?.integer, earlier < epoch else { return .infinity }
    return note["loss"]?.number ?? .infinity
  }

  func write(epoch: Int, loss: Double) throws(InputError) {
    let note: Record = ["epoch": .int(epoch), "loss": .double(loss)]
    try AtomicFile.write(Data(Value.object(note).json().utf8), to: url)
  }

  private var note: Record? {
    get throws(InputError) {
      guard let data = try? Data(contentsOf: url) else { return nil }
      return try Value(json: data, name: url.path).record
    }
  }
}
