import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The cutting of pruned channels out of a network.
public struct Slim: Experiment {
  public static let kind = "slim"

  /// The pruned network's file.
  public var weights = ""
  /// Its mask's file; nil: every weight that is zero counts as masked.
  public var mask: String?
  /// The network that the weights belong to, where their file does not say.
  public var model: ModelName?
  /// With ``model``: channels, height and width of its images; nil: the model's usual ones.
  public var input: ImageShape?
  /// With ``model``: classes that it tells apart.
  public var classes: Int?
  public var slimming = Slimming()
  /// How small the network is to get; without a target the mask alone says what goes.
  public var cost = CostTarget()
  /// Batches of training images on which batch norm's statistics are estimated anew; 0: they stay, and nothing is tested.
  public var recalibrate = 0
  /// Images in such a batch.
  public var batchSize = 128
  /// Crop and mirror these images at random, as training does.
  public var augmentation = true
  /// Length of each of the rounds that latency is the median of.
  public var seconds = 0.2
  public var selection = DataSelection()
  public var seed = 1
  public var precision = Precision.automatic

  public init() {}

  public func versions(on device: String) -> Record { tensorVersions(on: device, precision) }

  public func checked() throws(InputError) -> Slim {
    try requireSetting(!weights.isEmpty, "weights", "a file", "nothing")
    try requireSetting((1...1024).contains(slimming.roundTo), "round-to", "1 to 1024", slimming.roundTo)
    try requireSetting(recalibrate >= 0, "recalibrate", "0 or more", recalibrate)
    try requireSetting(batchSize > 1, "batch-size", "at least 2, which batch norm needs", batchSize)
    try requireSetting((0...60).contains(seconds), "seconds", "0 to 60", seconds)
    try requireSetting((1...100_000).contains(classes ?? 1), "classes", "1 to 100000", classes ?? 0)
    guard model != nil || input == nil && classes == nil else {
      throw InputError("input and classes describe a model", at: "model", remedy: "name the model too")
    }
    try selection.validate()
    try cost.validate()
    guard cost.goal != nil else { return self }
    guard mask == nil else {
      throw InputError(
        "a target chooses the channels itself", at: "mask", remedy: "give the mask or the target, not both")
    }
    var experiment = self
    // What goes is masked in all members of its groups, and silent.
    if slimming.policy == .groupScore { experiment.slimming.policy = .intersection }
    experiment.slimming.silencesMaskedFilters = true
    return experiment
  }

  public func run(in context: RunContext) throws -> SlimOutcome {
    let device = try context.tensorDevice()
    var inputs = try Fingerprint.inputs(["weights": weights, "mask": mask, "scores": cost.scores])
    var images: LearningData?
    let file: ModelFile
    if recalibrate > 0 || cost.goal != nil && cost.ranking.needsImages {
      let loaded = try LearningData(selection, seed: UInt64(bitPattern: Int64(seed)), on: device, context.console)
      inputs.merge(loaded.inputs)
      file = try ModelFile(path: weights, model: model, for: loaded.test, on: device, context.console)
      images = loaded
    } else {
      let named = try model.map { model throws(InputError) in
        try NamedNetwork(model, input: input?.sizes, classes: classes)
      }
      file = try ModelFile(contentsOf: URL(filePath: weights), named: named, device: device)
      file.tell(context.console, at: weights)
    }
    let network = file.network
    let mask: Mask
    if let goal = cost.goal {
      context.console.note("Looking for the channels to cut: `\(goal.measure.rawValue)` \(goal.fraction)")
      mask = try slimming.mask(of: network, meeting: cost, on: batches(of: images), precision: precision)
    } else if let path = self.mask {
      mask = try Mask(contentsOf: URL(filePath: path), for: network)
    } else {
      mask = Mask(zerosOf: network)
    }
    let slimmed = try slimming.slim(network, mask: mask)
    let folder = try context.open(inputs: inputs)
    Mask(layout: mask.layout, values: mask.values.to(network.device)).apply(to: network)

    let recalibration =
      try recalibrate == 0
      ? nil
      : images.map {
        try recalibrate(slimmed.network, beside: network, $0, folder, context.console)
      }
    try ModelFile(slimmed.network, classNames: file.classNames)
      .write(to: folder.artefact(ClassifierWork.modelFileName))
    let latency = LatencyFigures.batchSizes.map { batchSize in
      context.console.note("Timing batches of \(batchSize), masked and slimmed in turns")
      let plans = [network, slimmed.network].map {
        InferencePlan($0, batchSize: batchSize, dtype: precision.inference)
      }
      return LatencyFigures(Latency(of: plans, batchSize: batchSize, roundSeconds: seconds))
    }
    return SlimOutcome(
      slimmed.report, network.architecture, policy: slimming.policy, recalibration: recalibration,
      latency: latency, seed: seed)
  }

  /// Training images by which importance is judged: eight batches.
  private func batches(of images: LearningData?) -> [Batch] {
    guard let images else { return [] }
    let loader = BatchLoader.training(
      images.train, batchSize: batchSize, augmentation: nil,
      seed: Generator.derive(UInt64(bitPattern: Int64(seed)), "importance"))
    return (0..<8).map { index in
      let (epoch, batch) = index.quotientAndRemainder(dividingBy: loader.batchesPerEpoch)
      return loader.batch(at: LoaderPosition(epoch: epoch, batch: batch))
    }
  }

  /// Gives the slimmed network its own statistics, and tests it before and after beside the masked one.
  private func recalibrate(
    _ slimmed: Network, beside masked: Network, _ images: LearningData, _ folder: RunFolder, _ console: RunConsole
  ) throws -> SlimOutcome.Recalibration {
    func test(_ network: Network) throws(InputError) -> Evaluation {
      try Evaluation(
        of: InferencePlan(network, dtype: precision.inference), on: images.test, progress: console.progress)
    }
    let before = try test(masked).accuracy
    let cut = try test(slimmed).accuracy
    let loader = BatchLoader.training(
      images.train, batchSize: batchSize, augmentation: augmentation ? Augmentation() : nil,
      seed: Generator.derive(UInt64(bitPattern: Int64(seed)), "recalibrate"))
    console.note(
      "Estimating batch norm's statistics on \(NumberText.count(recalibrate, "batch")) of training images")
    slimmed.recalibrateBatchNorm(
      on: (0..<recalibrate).lazy.map { index in
        let (epoch, batch) = index.quotientAndRemainder(dividingBy: loader.batchesPerEpoch)
        return loader.batch(at: LoaderPosition(epoch: epoch, batch: batch)).images
      })
    let evaluation = try test(slimmed)
    try evaluation.write(to: folder.artefact(Evaluation.fileName))
    return SlimOutcome.Recalibration(
      data: images.test.name, maskedAccuracy: AccuracyFigure(before),
      accuracyBeforeRecalibration: AccuracyFigure(cut), accuracy: AccuracyFigure(evaluation.accuracy),
      n: evaluation.accuracy.count, recalibrationImages: recalibrate * min(batchSize, images.train.count))
  }
}

extension Mask {
  /// The mask that the zeros among a network's weights make.
  init(zerosOf network: Network) {
    let layout = WeightLayout(network)
    self.init(layout: layout, values: (layout.weights(of: network) .!= 0).to(.float32))
  }
}

/// What came of a slimming.
public struct SlimOutcome: Codable, Sendable {
  /// What was tested, where statistics were estimated anew.
  public struct Recalibration: InlineGroup, Sendable {
    public var data: String
    public var maskedAccuracy: AccuracyFigure
    public var accuracyBeforeRecalibration: AccuracyFigure
    public var accuracy: AccuracyFigure
    /// Test images.
    public var n: Int
    public var recalibrationImages: Int
  }

  /// The outputs of a layer, before and after.
  public struct Width: Codable, Hashable, Sendable {
    public var layer: String
    public var before: Int
    public var after: Int
  }

  public var model: String
  public var policy: Slimming.Policy
  public var side: String
  public var channels: Int
  public var maskedChannels: Int
  public var removedChannels: Int
  public var requestedChannelRatio: Double
  public var achievedChannelRatio: Double
  public var requestedWeightRatio: Double
  public var achievedWeightRatio: Double
  public var requestedMultiplyAddRatio: Double
  public var achievedMultiplyAddRatio: Double
  /// Channels that could be cut if what batch norm adds were silenced.
  public var silenceable: Int
  public var parametersBefore: Int
  public var parameters: Int
  public var multiplyAddsBefore: Int
  public var multiplyAdds: Int
  /// Between the logits of the slimmed and of the masked network, and relative to the largest logit.
  public var maxDifference: Double
  public var relativeDifference: Double
  /// Between the logits of the masked network and of the one that was given.
  public var maxChange: Double
  public var relativeChange: Double
  /// Of layers whose width changed.
  public var widths: [Width]
  /// Operators that channels cannot be cut for, each with how many filters it holds.
  public var frozen: [ChannelGroups.Frozen]
  public var recalibration: Recalibration?
  public var latency: [LatencyFigures]
  public var peakMemoryMb: Double
  public var seed: Int

  init(
    _ report: SlimmingReport, _ architecture: Architecture, policy: Slimming.Policy,
    recalibration: Recalibration?, latency: [LatencyFigures], seed: Int
  ) {
    model = architecture.name
    self.policy = policy
    side = report.side.rawValue
    (channels, maskedChannels, removedChannels) = (report.channels, report.maskedChannels, report.removedChannels)
    (requestedChannelRatio, achievedChannelRatio) = (report.requestedChannelRatio, report.achievedChannelRatio)
    (requestedWeightRatio, achievedWeightRatio) = (report.requestedWeightRatio, report.achievedWeightRatio)
    requestedMultiplyAddRatio = report.requestedMultiplyAddRatio
    achievedMultiplyAddRatio = report.achievedMultiplyAddRatio
    silenceable = report.silenceable
    (parametersBefore, parameters) = (report.before.parameters, report.after.parameters)
    (multiplyAddsBefore, multiplyAdds) = (report.before.multiplyAdds, report.after.multiplyAdds)
    (maxDifference, relativeDifference) = (report.difference.largest, report.difference.relative)
    (maxChange, relativeChange) = (report.change.largest, report.change.relative)
    widths = report.widths.filter { $0.before != $0.after }
      .map { Width(layer: $0.layer, before: $0.before, after: $0.after) }
    frozen = report.frozen
    self.recalibration = recalibration
    self.latency = latency
    peakMemoryMb = Double(ProcessMemory.peakBytes) / 1e6
    self.seed = seed
  }
}
