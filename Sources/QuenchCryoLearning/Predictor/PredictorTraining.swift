import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// How a predictor is trained; defaults are those of cryoRL's released code.
public struct PredictorRecipe: Hashable, Sendable {
  public enum Loss: String, Hashable, Codable, Sendable, CaseIterable {
    case l2
    case l1
    case smoothL1 = "smooth-l1"
  }

  public var epochs = 50
  public var batchSize = 128
  /// 5e-4 in the README, 1e-4 in the training script.
  public var learningRate = 5e-4
  public var momentum = 0.9
  public var weightDecay = 5e-4
  /// The learning rate's course.
  public var schedule = Schedule.cosine
  /// For regression.
  public var loss = Loss.l2
  /// For classification: each class counts the same, however rare it is.
  public var balancesClasses = false
  public var augmentation: HoleAugmentation? = HoleAugmentation()

  public init() {}

  /// - Throws: `InputError` for a value out of its range.
  public func validate() throws(InputError) {
    var recipe = TrainingRecipe()
    recipe.epochs = epochs
    recipe.batchSize = batchSize
    recipe.learningRate = learningRate
    recipe.momentum = momentum
    recipe.weightDecay = weightDecay
    try recipe.validate()
  }
}

/// In files one flat list of keys.
extension PredictorRecipe: InlineGroup {
  private enum Key: String, CodingKey {
    case balance, loss, epochs, batchSize, learningRate, momentum, weightDecay, leastCrop, augmentation
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(balancesClasses, forKey: .balance)
    try container.encode(loss, forKey: .loss)
    try container.encode(epochs, forKey: .epochs)
    try container.encode(batchSize, forKey: .batchSize)
    try container.encode(learningRate, forKey: .learningRate)
    try container.encode(momentum, forKey: .momentum)
    try container.encode(weightDecay, forKey: .weightDecay)
    try container.encode((augmentation ?? HoleAugmentation()).area.lowerBound, forKey: .leastCrop)
    try container.encode(augmentation != nil, forKey: .augmentation)
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    self.init()
    balancesClasses = try container.decode(Bool.self, forKey: .balance)
    loss = try container.decode(Loss.self, forKey: .loss)
    epochs = try container.decode(Int.self, forKey: .epochs)
    batchSize = try container.decode(Int.self, forKey: .batchSize)
    learningRate = try container.decode(Double.self, forKey: .learningRate)
    momentum = try container.decode(Double.self, forKey: .momentum)
    weightDecay = try container.decode(Double.self, forKey: .weightDecay)
    let leastCrop = try container.decode(Double.self, forKey: .leastCrop)
    guard leastCrop > 0, leastCrop <= 1 else {
      throw InputError(
        "out of range", at: "least-crop", expected: "above 0 and at most 1", found: "\(leastCrop)")
    }
    augmentation?.area = leastCrop...1
    if try !container.decode(Bool.self, forKey: .augmentation) { augmentation = nil }
  }
}

/// Trains a ``CTFPredictor`` on pictures of holes whose resolution was measured.
public final class PredictorTraining: Learner {
  public let predictor: CTFPredictor
  public let recipe: PredictorRecipe
  private let loader: BatchLoader
  private let examples: HoleExamples
  /// The resolution that divides good from bad in the metric, in Å.
  private let threshold: Double
  private let precision: Precision
  private let optimizer: SGD
  private let seed: UInt64

  /// - Parameters:
  ///   - predictor: Its network learns in place.
  ///   - examples: Pictures of ``CTFPredictor/pictureSide``.
  ///   - recipe: How.
  ///   - threshold: The resolution that divides good from bad where accuracy is reported, in Å.
  ///   - seed: Of the order and the augmentation.
  ///   - precision: What layers compute in.
  public init(
    _ predictor: CTFPredictor, on examples: HoleExamples, recipe: PredictorRecipe, threshold: Double, seed: UInt64,
    precision: Precision = .automatic
  ) {
    self.predictor = predictor
    self.examples = examples
    self.recipe = recipe
    self.threshold = threshold
    self.precision = precision
    self.seed = Generator.derive(seed, "augmentation")
    loader = .training(
      examples.dataset, batchSize: recipe.batchSize, augmentation: nil, seed: Generator.derive(seed, "data-order"))
    optimizer = SGD(
      parameters: predictor.network.parameters.map { ($0.name, $0.tensor) }, learningRate: recipe.learningRate,
      momentum: recipe.momentum, weightDecay: recipe.weightDecay)
  }

  public var epochs: Int { recipe.epochs }
  public var stepsPerEpoch: Int { loader.batchesPerEpoch }
  public var imagesPerStep: Int { min(recipe.batchSize, examples.count) }
  public var learningRate: Double { optimizer.learningRate }

  public func step(at position: LoaderPosition) -> StepResult {
    let batch = loader.batch(at: position)
    optimizer.learningRate = recipe.learningRate * factor(recipe.schedule, at: position)
    let network = predictor.network
    network.isTraining = true
    let images = images(batch.images, at: position)
    let answers = withAutocast(precision.autocast(on: network.device), on: network.device) { network(images) }
      .inFullPrecision()
    let (loss, sides) = examples.loss(answers, of: batch.labels, recipe: recipe, threshold: threshold)
    optimizer.zeroGradients()
    loss.backward()
    optimizer.step()
    return StepResult(loss: loss, logits: sides.logits, labels: sides.labels)
  }

  private func images(_ images: Tensor, at position: LoaderPosition) -> Tensor {
    guard let augmentation = recipe.augmentation else { return predictor.input(images) }
    let crops = augmentation(images, side: predictor.side, key: (seed, position.epoch, position.batch))
    return crops.expanded([-1, 3, -1, -1])
  }

  public var state: StateDictionary {
    var state = predictor.network.state
    state.add(optimizer.state, prefix: "optimizer.")
    return state
  }

  public func restore(_ state: StateDictionary, from location: String) throws(InputError) {
    let (own, rest) = state.partitioned(byPrefix: "optimizer.")
    try optimizer.restore(own, from: location)
    try predictor.network.load(rest, from: location)
  }
}

/// Pictures with what was measured at their holes.
public struct HoleExamples {
  public let images: HoleImages
  /// One a picture, each measured.
  public let fits: [CTFFit]
  let task: CTFPredictor.Task
  /// The pictures as a loader takes them; a picture's label is its place.
  let dataset: ImageDataset
  /// What is to be learned: float32 `[N]` for regression, class indices `[N]` for classification.
  private let targets: Tensor
  /// The loss's weight of each class; nil: all the same.
  private let classWeights: Tensor?

  /// Pairs pictures with fits; those of holes that were not measured are left out.
  /// - Throws: `InputError` if none is left.
  public init(_ images: HoleImages, fits: [CTFFit], task: CTFPredictor.Task) throws(InputError) {
    precondition(images.count == fits.count, "one fit a picture")
    let measured = fits.indices.filter { fits[$0].isMeasured }
    guard !measured.isEmpty else {
      throw InputError(
        "none of \(images.count) pictures is of a hole with a measured CTF",
        remedy: "train on a survey whose CTF column is filled")
    }
    let all = measured.count == images.count
    self.images = all ? images : images.subset(measured)
    self.fits = all ? fits : measured.map { fits[$0] }
    self.task = task
    let labels = self.fits.map { Int64(task.label($0) ?? 0) }
    switch task {
    case .regression: targets = Tensor(self.fits.map { Float(ResolutionCode.target($0) ?? 0) })
    case .classification: targets = Tensor(labels)
    }
    let counts = (0..<task.outputs).map { output in labels.count { $0 == Int64(output) } }
    let present = counts.count { $0 > 0 }
    classWeights =
      task == .regression
      ? nil : Tensor(counts.map { $0 == 0 ? 0 : Float(labels.count) / Float(present * $0) })
    let pixels = self.images.pixels
    let side = pixels.size(2)
    let block = PixelBlock(
      shape: [labels.count, 1, side, side], pixels: pixels.data(), labels: labels.indices.map { Int64($0) })
    dataset = ImageDataset(
      name: "holes", block: block, classNames: task.outputNames, statistics: block.statistics(),
      fingerprint: self.images.fingerprint)
  }

  public var count: Int { fits.count }

  /// The mean loss of `answers` to the pictures `indices`, and how they fall on the two sides, or into the classes.
  func loss(
    _ answers: Tensor, of indices: Tensor, recipe: PredictorRecipe, threshold: Double = 6
  ) -> (loss: Tensor, sides: (logits: Tensor, labels: Tensor)) {
    let targets = targets.selecting(indices.to(self.targets.device)).to(answers.device)
    guard task == .regression else {
      guard recipe.balancesClasses, let classWeights else {
        return (answers.crossEntropy(targets), (answers, targets))
      }
      let losses = answers.crossEntropy(targets, reduction: .none)
      let weights = classWeights.to(answers.device).selecting(targets)
      return ((losses * weights).sum() / weights.sum(), (answers, targets))
    }
    let values = answers.reshaped([-1])
    let loss =
      switch recipe.loss {
      case .l2: values.meanSquaredError(targets)
      case .l1: values.absoluteError(targets)
      case .smoothL1: values.huberLoss(targets)
      }
    let boundary = ResolutionCode.encode(threshold)
    let excess = withoutGradient { values.detached() - boundary }
    return (loss, (Tensor.stacked([-excess, excess], 1), (targets .> boundary).to(.int64)))
  }

  /// The mean loss over all pictures, unaugmented.
  public func loss(of predictor: CTFPredictor, recipe: PredictorRecipe, batchSize: Int = 64) -> Double {
    withoutGradient {
      predictor.network.isTraining = false
      var total = 0.0
      for batch in BatchLoader.evaluation(dataset, batchSize: batchSize).batches() {
        let answers = predictor.network(predictor.input(batch.images.to(predictor.network.device)))
        total += loss(answers.inFullPrecision(), of: batch.labels, recipe: recipe).loss.item() * Double(batch.count)
      }
      return total / Double(count)
    }
  }
}
