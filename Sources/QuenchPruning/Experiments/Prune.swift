import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The pruning of a network by a method, and the test of what is left.
public struct Prune<Method: PruningMethod>: Experiment {
  public static var kind: String { "prune-\(Method.name)" }
  public static var isShared: Bool { true }

  public var method: Method
  public var start = PruningStart()
  /// The share of the loss by which the network learns from the dense one's answers, above 0 and at most 1; nil: from the
  /// labels alone.
  public var distillation: Double?
  public var learning = LearningSettings()

  public init() { self.init(Method(PruningTarget(keepRatio: KeepRatio(keeping: 1, of: 10)))) }
  public init(_ method: Method) { self.method = method }

  public static func defaults(for settings: Record) throws(InputError) -> Record {
    var target = PruningTarget(keepRatio: KeepRatio(keeping: 1, of: 10))
    if let text = settings["granularity"]?.description {
      target.granularity = try Value.string(text).decode(name: "granularity")
    }
    if case .pattern = target.granularity {
    } else if settings["keep"] == nil {
      throw InputError("the setting is missing", at: "keep", expected: "the fraction of the weights to keep")
    }
    return try Value(encoding: Prune(Method(target))).record ?? [:]
  }

  public func versions(on device: String) -> Record { tensorVersions(on: device, learning.precision) }

  public func checked() throws(InputError) -> Prune {
    var experiment = self
    experiment.method.target = try method.target.checked()
    experiment.start = try start.checked(startsTrained: Method.startsTrained)
    try method.validate()
    try learning.validate()
    if let distillation {
      try requireSetting(
        distillation > 0 && distillation <= 1, "distillation", "above 0 and at most 1", distillation)
      guard Method.startsTrained || start.dense != nil else {
        throw InputError(
          "there is no dense network to learn from", at: "distillation", remedy: "name a trained one by `dense`")
      }
    }
    if let epoch = method.snapshotEpoch {
      guard start.weights == nil else {
        throw InputError(
          "with weights the method also needs those to rewind to", at: "rewind",
          remedy: "give both, or neither: then the dense network is trained first")
      }
      try requireSetting(
        epoch < experiment.start.denseEpochs ?? 0, "rewind-epoch", "below dense-epochs", epoch)
    }
    return experiment
  }

  public func run(in context: RunContext) throws -> PruneOutcome {
    let device = try context.tensorDevice()
    let wanted = try WantedPictures(
      start.weights ?? start.initial, model: start.model, pixels: start.pixels, learning.selection)
    let data = try learning.load(for: wanted, on: device, context.console)
      .shared(in: context.world, batchSize: method.batchSize)
    func network(
      _ path: String?, _ model: ModelName?, _ pixels: PixelNormalization = .init()
    ) throws(InputError) -> Network? {
      try path.map { path throws(InputError) in
        try ModelFile(path: path, model: model, pixels: pixels, for: data.test, on: device, context.console).network
      }
    }
    let given =
      try network(start.weights, start.model, start.pixels)
      ?? network(start.initial, start.model, start.pixels)
    try given?.requireTrainable()
    let compared = try network(start.dense, nil)
    let folder = try context.open(
      inputs: data.inputs.merging(start.files).merging(Fingerprint.inputs(method.files)))

    var method = method
    guard Method.startsTrained else {
      let new =
        try given
        ?? Network(
          data.train.architecture(of: start.model ?? .resnet20), seed: learning.seedBits, device: device)
      return try prune(new, by: method, comparedWith: compared, data, folder, context)
    }
    if let given {
      return try prune(given, by: method, comparedWith: given, data, folder, context)
    }
    let dense = try context.part("dense", denseTraining)
    if let epoch = method.snapshotEpoch {
      method.takeSnapshot(at: dense.folder.artefact(ClassifierWork.snapshotFileName(epoch)).relativePath)
    }
    guard
      let trained = try network(dense.folder.artefact(ClassifierWork.modelFileName).relativePath, nil)
    else { preconditionFailure("a training leaves its network") }
    return try prune(trained, by: method, comparedWith: trained, data, folder, context)
  }

  /// The training of the dense network, where the run begins with it.
  private var denseTraining: Train {
    var training = Train()
    training.work.model = start.model
    training.work.recipe.epochs = start.denseEpochs ?? training.work.recipe.epochs
    training.work.snapshotEpoch = method.snapshotEpoch
    training.work.learning = learning
    return training
  }

  /// Prunes `network`, tests it, and writes model and mask into `folder`.
  private func prune(
    _ network: Network, by method: Method, comparedWith dense: Network?, _ data: LearningData,
    _ folder: RunFolder, _ context: RunContext
  ) throws -> PruneOutcome {
    network.world = context.world
    let precision = learning.precision
    func evaluation() throws(InputError) -> Evaluation {
      try Evaluation(
        of: InferencePlan(network, dtype: precision.inference), on: data.test, progress: context.console.progress)
    }
    let target = method.target
    let denseAccuracy = try dense.map { network throws(InputError) in
      try data.test.accuracy(of: InferencePlan(network, dtype: precision.inference).callAsFunction)
    }
    let worth = PrunedWorth(dense: dense ?? network, precision)
    let leftOut = data.leftOutPerEpoch(batchSize: method.batchSize)
    if let leftOut { context.console.note("note: \(Wording.leftOut(leftOut, of: data.train.count))") }
    let layout = try target.layout(of: network)
    let magnitude = target.mask(layout.weights(of: network).abs(), layout)
    let teacher = distillation.flatMap { share in
      dense.map { Distillation($0.copy(), share: share, batchSize: method.batchSize, precision: precision) }
    }
    let learner = try method.training(
      network, on: data.train, seed: Generator.derive(learning.seedBits, "prune"), precision: precision,
      distillation: teacher)

    var session = context.session("Pruning", in: folder)
    session.divergenceRemedy = "use a lower learning rate"
    session.atEpochEnd = { epoch, seconds in
      learner.finish()
      if let rounds = learner as? IMPTraining,
        let ticket = try Ticket(after: epoch, of: rounds, seconds: seconds, { try evaluation().accuracy })
      {
        try ticket.write(network, rounds.mask, classNames: data.train.classNames, in: folder)
      }
      return try data.validation(of: network, precision)
    }
    let cost = try session.run(learner)
    learner.finish()
    let mask = learner.mask
    let search = learner as? EarlyBirdTraining
    let zeros = try network.checkedZeros(of: mask, keeping: search?.keptCount ?? target.kept(of: mask.layout))

    try network.write(with: mask, classNames: data.train.classNames, in: folder.url)
    if let scores = learner.learnedScores {
      let layout = mask.layout
      try Safetensors.write(
        StateDictionary(zip(layout.names, layout.split(scores))), metadata: ["quench.kind": "scores"],
        to: folder.url.appending(path: CostTarget.scoresFileName))
    }
    let tested = try evaluation()
    try tested.write(to: folder.artefact(Evaluation.fileName))
    return PruneOutcome(
      method: Method.name, model: network.architecture.name, data: data.test.name,
      keepRatio: target.keepRatio.value, sparsity: target.keepRatio.sparsity,
      granularity: target.granularity.description, kept: mask.keptCount, prunable: layout.count, zeros: zeros,
      epochs: learner.epochs, leftOutPerEpoch: leftOut, denseAccuracy: denseAccuracy.map(AccuracyFigure.init),
      accuracy: AccuracyFigure(tested.accuracy), n: tested.accuracy.count,
      validationAccuracy: try data.validationAccuracy(of: network, precision),
      maskIouWithMagnitude: mask.intersectionOverUnion(with: magnitude), seconds: cost.seconds,
      imagesPerSecond: cost.imagesPerSecond, peakMemoryMb: Double(ProcessMemory.peakBytes) / 1e6,
      trainingImages: data.train.count, skippedPictures: data.skippedCount, seed: learning.seed,
      ticketEpoch: search?.ticketEpoch,
      worth: try worth.figures(of: network, mask, classNames: data.train.classNames, in: folder.url))
  }
}

/// What came of a pruning.
public struct PruneOutcome: Codable, Sendable {
  public var method: String
  public var model: String
  public var data: String
  public var keepRatio: Double
  public var sparsity: Double
  public var granularity: String
  /// Weights that are left.
  public var kept: Int
  public var prunable: Int
  /// Zeros among the prunable weights.
  public var zeros: Int
  public var epochs: Int
  public var leftOutPerEpoch: Int?
  /// Of the network that was pruned; nil where that was a new one.
  public var denseAccuracy: AccuracyFigure?
  /// On the test images.
  public var accuracy: AccuracyFigure
  /// Test images.
  public var n: Int
  public var validationAccuracy: Double?
  /// Weights that both this mask and that of the largest magnitudes keep, over those that either keeps.
  public var maskIouWithMagnitude: Double
  public var seconds: Double
  public var imagesPerSecond: Double
  public var peakMemoryMb: Double
  public var trainingImages: Int
  public var skippedPictures: Int
  public var seed: Int
  /// The epoch after which an Early-Bird ticket was drawn.
  public var ticketEpoch: Int?
  public var worth: PrunedWorth.Figures
}

extension Network {
  /// Writes the network and the mask that it was pruned by into a folder.
  func write(with mask: Mask, classNames: [String], in folder: URL) throws(InputError) {
    try ModelFile(self, classNames: classNames).write(to: folder.appending(path: ClassifierWork.modelFileName))
    try mask.write(to: folder.appending(path: Mask.fileName))
  }

  /// Counts what was promised: so many weights kept, and all others zero.
  /// - Returns: The zeros among the prunable weights.
  /// - Throws: `InputError` if the count is another: no result is better than a wrong one.
  func checkedZeros(of mask: Mask, keeping expected: Int) throws(InputError) -> Int {
    let weights = mask.layout.weights(of: self)
    let strays = withoutGradient { (weights * (mask.values .== 0).to(weights.dtype)).nonzeroCount() }
    guard mask.keptCount == expected, strays == 0 else {
      throw InputError(
        "the mask was not kept", at: architecture.name, expected: "\(expected) weights kept",
        found: "\(mask.keptCount) kept, \(strays) pruned ones not zero", remedy: "report this as a defect")
    }
    return mask.layout.count - weights.nonzeroCount()
  }
}

extension Mask {
  /// What a run calls the file of its mask.
  public static let fileName = "mask.safetensors"
}
