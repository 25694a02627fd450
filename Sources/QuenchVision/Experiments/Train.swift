import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch

/// The training of a classifier, plain or under noise.
public struct Train: ClassifierTrainingExperiment {
  public static let kind = "train"
  public static let isShared = true

  public var work = ClassifierWork()
  /// The standard deviation of Gaussian noise on training images, whose pixels lie in [0, 1]; 0: none.
  public var noise = 0.0
  public var distillation = Distillation.Settings()

  public init() {}

  public func checked() throws(InputError) -> Train {
    var experiment = self
    experiment.work = try work.checked()
    try distillation.validate()
    return experiment
  }

  public func run(in context: RunContext) throws -> TrainOutcome {
    var recipe = work.recipe
    recipe.noise = noise
    try recipe.validate()
    return try work.train(in: context, files: ["teacher": distillation.teacher]) {
      [recipe] network, data, session in
      let learner = ClassifierTraining(
        network, on: data.train, recipe: recipe, seed: work.learning.seedBits, precision: work.learning.precision,
        distillation: try teacher(for: data.train, in: context))
      return (try session.run(learner), nil)
    }
  }

  private func teacher(
    for data: ImageDataset, in context: RunContext
  ) throws(InputError) -> Distillation? {
    guard let path = distillation.teacher else { return nil }
    let file = try ModelFile(path: path, model: nil, for: data, on: try context.tensorDevice(), context.console)
    return Distillation(
      file.network, share: distillation.share, temperature: distillation.softening,
      batchSize: work.recipe.batchSize, precision: work.learning.precision)
  }
}

/// An experiment that trains a classifier.
public protocol ClassifierTrainingExperiment: Experiment where Outcome == TrainOutcome {
  var work: ClassifierWork { get set }
}

/// What a training of a classifier depends on, whichever way it learns.
public struct ClassifierWork: InlineGroup, Hashable, Sendable {
  /// The network to train, or what the weights of ``initial`` belong to; nil: resnet20, or what their file says.
  public var model: ModelName?
  /// A file of weights to go on from; nil: a new network's.
  public var initial: String?
  /// Of the weights of ``initial``.
  public var pixels = PixelNormalization()
  public var recipe = TrainingRecipe()
  /// The epoch after which the weights are kept beside the last ones; 0: the new network's.
  public var snapshotEpoch: Int?
  public var learning = LearningSettings()

  public static let modelFileName = "model.safetensors"
  public static func snapshotFileName(_ epoch: Int) -> String { "epoch-\(epoch).safetensors" }

  public init() {}

  /// - Throws: `InputError` for a setting out of its range.
  public func checked() throws(InputError) -> ClassifierWork {
    try recipe.validate()
    try learning.validate()
    if let model {
      try requireSetting(model.isClassifier, "model", "a network that answers classes", model.rawValue)
    }
    if let snapshotEpoch {
      try requireSetting(
        (0...recipe.epochs).contains(snapshotEpoch), "snapshot-epoch", "from 0 to the number of epochs",
        snapshotEpoch)
    }
    if let setting = pixels.said, initial == nil {
      throw InputError(
        "this describes the weights of `initial`", at: setting,
        remedy: "name these too: a new network normalizes by its data")
    }
    var work = self
    if initial == nil { work.model = model ?? .resnet20 }
    return work
  }

  /// Trains, tests and writes the model into the run's folder.
  /// - Parameters:
  ///   - context: Of the run.
  ///   - files: What else the training reads, by settings.
  ///   - learn: Teaches the network; returns what that cost, and the epoch after which robustness collapsed.
  /// - Returns: What came of it.
  /// - Throws: `InputError` if the images or the weights cannot be used; what `learn` throws.
  public func train(
    in context: RunContext, files: KeyValuePairs<String, String?> = [:],
    _ learn: (Network, LearningData, TrainingSession) throws -> (TrainingSession.Outcome, collapse: Int?)
  ) throws -> TrainOutcome {
    let device = try context.tensorDevice()
    let wanted = try WantedPictures(initial, model: model, pixels: pixels, learning.selection)
    let data = try learning.load(for: wanted, on: device, context.console)
      .shared(in: context.world, batchSize: recipe.batchSize)
    let network =
      try initial.map { path throws(InputError) in
        try ModelFile(path: path, model: model, pixels: pixels, for: data.train, on: device, context.console)
          .network
      } ?? Network(data.train.architecture(of: model ?? .resnet20), seed: learning.seedBits, device: device)
    try network.requireTrainable()
    network.world = context.world
    let folder = try context.open(
      inputs: data.inputs.merging(try Fingerprint.inputs(["initial": initial])).merging(
        try Fingerprint.inputs(files)))
    let leftOut = data.leftOutPerEpoch(batchSize: recipe.batchSize)
    if let leftOut { context.console.note("note: \(Wording.leftOut(leftOut, of: data.train.count))") }

    func write(_ name: String) throws(InputError) {
      try ModelFile(
        network, classNames: data.train.classNames, resize: learning.selection.pictures.resize ?? wanted?.resize
      ).write(to: folder.artefact(name))
    }
    if snapshotEpoch == 0 { try write(Self.snapshotFileName(0)) }
    var session = context.session("Training", in: folder)
    session.divergenceRemedy = "use a lower learning rate, or bound the gradients with a clip norm of 1"
    session.atEpochEnd = { epoch, _ in
      if epoch == snapshotEpoch { try write(Self.snapshotFileName(epoch)) }
      return try data.validation(of: network, learning.precision)
    }
    let (cost, collapse) = try learn(network, data, session)
    try write(Self.modelFileName)

    let plan = InferencePlan(network, dtype: learning.precision.inference)
    let evaluation = try Evaluation(of: plan, on: data.test, progress: context.console.progress)
    try evaluation.write(to: folder.artefact(Evaluation.fileName))
    let architecture = network.architecture
    return TrainOutcome(
      model: architecture.name, data: data.test.name, epochs: recipe.epochs,
      accuracy: AccuracyFigure(evaluation.accuracy), n: evaluation.accuracy.count, leftOutPerEpoch: leftOut,
      collapsedAfterEpoch: collapse,
      validationAccuracy: try data.validationAccuracy(of: network, learning.precision), seconds: cost.seconds,
      imagesPerSecond: cost.imagesPerSecond, testImagesPerSecond: evaluation.imagesPerSecond,
      peakMemoryMb: Double(ProcessMemory.peakBytes) / 1e6, parameters: architecture.parameterCount,
      multiplyAdds: architecture.multiplyAdds, trainingImages: data.train.count,
      skippedPictures: data.skippedCount, seed: learning.seed)
  }
}

/// What came of a training.
public struct TrainOutcome: Codable, Sendable {
  public var model: String
  public var data: String
  public var epochs: Int
  /// On the test images.
  public var accuracy: AccuracyFigure
  /// Test images.
  public var n: Int
  public var leftOutPerEpoch: Int?
  public var collapsedAfterEpoch: Int?
  public var validationAccuracy: Double?
  /// Of training.
  public var seconds: Double
  public var imagesPerSecond: Double
  public var testImagesPerSecond: Double
  public var peakMemoryMb: Double
  public var parameters: Int
  public var multiplyAdds: Int
  public var trainingImages: Int
  public var skippedPictures: Int
  public var seed: Int
}

extension ClassifierTrainingExperiment {
  public func versions(on device: String) -> Record { tensorVersions(on: device, work.learning.precision) }

  public func checked() throws(InputError) -> Self {
    var experiment = self
    experiment.work = try work.checked()
    return experiment
  }

  public static func text(of run: PerformedRun<Self>) -> String {
    guard let outcome = run.outcome else { return "" }
    return Wording.lines([
      "test accuracy": "\(Wording.accuracy(outcome.accuracy.value)) of \(NumberText.count(outcome.n, "image")) "
        + "(95 %: \(outcome.accuracy.interval))",
      "training": "\(Wording.duration(outcome.seconds)), \(Wording.count(outcome.imagesPerSecond)) images a second",
      "weights": run.folder.artefact(ClassifierWork.modelFileName).relativePath,
      "report": run.folder.report.relativePath
    ])
  }

  public static func report(of run: PerformedRun<Self>) -> Report {
    let work = run.experiment.work
    let model = run.outcome?.model ?? work.model?.rawValue ?? "network"
    let data = work.learning.selection.data.rawValue
    let start = work.initial.map { ", starting from the weights in `\($0)`," } ?? ""
    var lead = "The network `\(model)`\(start) was trained on `\(data)` for "
    lead += NumberText.count(work.recipe.epochs, "epoch")
    var figures: [Report.KeyFigure] = []
    if let outcome = run.outcome {
      lead += " and classifies \(Wording.accuracy(outcome.accuracy.value)) of the test images correctly"
      figures = [
        outcome.accuracy.keyFigure("Test accuracy", of: outcome.n),
        .init("Training time", Wording.duration(outcome.seconds)),
        .init("Training speed", Wording.count(outcome.imagesPerSecond), detail: "images a second"),
        .init("Peak memory", "\(Wording.count(outcome.peakMemoryMb)) MB"),
        .init(
          "Parameters", Wording.count(Double(outcome.parameters)),
          detail: "\(Wording.count(Double(outcome.multiplyAdds))) multiply-adds an image")
      ]
    }
    return Report(
      title: "\(model) on \(data)", summary: lead + ".", keyFigures: figures,
      sections: [
        LearningSection.make(
          run.metrics, run.record.settings, leftOut: run.outcome?.leftOutPerEpoch,
          of: run.outcome?.trainingImages)
      ] + TestSections.make(Evaluation(of: run), of: "`\(model)`"),
      record: run.record)
  }
}

extension Evaluation {
  /// The evaluation among a run's files; nil where there is none that can be read.
  public init?<Work>(of run: PerformedRun<Work>) {
    guard let url = run.artefact(Self.fileName), let evaluation = try? Evaluation(contentsOf: url) else {
      return nil
    }
    self = evaluation
  }
}
