import QuenchSupport
import QuenchTorch

/// Trains a classifier by stochastic gradient descent on the cross-entropy of augmented batches.
public final class ClassifierTraining: Learner {
  public let network: Network
  public let recipe: TrainingRecipe
  public let loader: BatchLoader
  private let seed: UInt64
  private let precision: Precision
  private let optimizer: SGD
  private let distillation: Distillation?
  /// Called between the backward pass and the update, for instance to add a penalty's gradient.
  private let penalty: () -> Void
  /// Called after every update, for instance to hold masked weights at zero.
  private let constraint: () -> Void

  public init(
    _ network: Network, on dataset: ImageDataset, recipe: TrainingRecipe, seed: UInt64,
    precision: Precision = .automatic, distillation: Distillation? = nil, penalty: @escaping () -> Void = {},
    constraint: @escaping () -> Void = {}
  ) {
    self.network = network
    self.recipe = recipe
    self.seed = seed
    self.precision = precision
    self.distillation = distillation
    self.penalty = penalty
    self.constraint = constraint
    loader = .training(
      dataset, batchSize: recipe.batchSize, augmentation: recipe.augmentation ? Augmentation() : nil,
      seed: Generator.derive(seed, "data-order"))
    optimizer = SGD(network, recipe)
  }

  public var epochs: Int { recipe.epochs }
  public var stepsPerEpoch: Int { loader.batchesPerEpoch }
  public var imagesPerStep: Int { min(recipe.batchSize, loader.dataset.count) }
  public var learningRate: Double { optimizer.learningRate }

  public func step(at position: LoaderPosition) -> StepResult {
    let batch = loader.batch(at: position)
    optimizer.learningRate = recipe.learningRate * factor(recipe.learningRateSchedule, at: position)
    network.isTraining = true
    let images =
      recipe.noise > 0
      ? batch.images.noisy(recipe.noise, seed: seed, at: position, part: batch.part) : batch.images
    let logits = withAutocast(precision.autocast(on: network.device), on: network.device) { network(images) }
    let byLabels = logits.inFullPrecision().crossEntropy(batch.labels, labelSmoothing: recipe.labelSmoothing)
    let loss = distillation?.loss(byLabels, logits.inFullPrecision(), images) ?? byLabels
    optimizer.zeroGradients()
    loss.backward()
    penalty()
    if let clipNorm = recipe.clipNorm { optimizer.clipGradients(maxNorm: clipNorm) }
    optimizer.step()
    constraint()
    return StepResult(loss: loss, logits: logits, labels: batch.labels)
  }

  public var state: StateDictionary {
    var state = network.state
    state.add(optimizer.state, prefix: "optimizer.")
    return state
  }

  public func restore(_ state: StateDictionary, from location: String) throws(InputError) {
    let (own, rest) = state.partitioned(byPrefix: "optimizer.")
    try optimizer.restore(own, from: location)
    try network.load(rest, from: location)
  }
}

/// The element type that layers compute in while training.
public enum Precision: String, CaseIterable, Codable, Sendable {
  /// bfloat16 where the device is faster with it, else float32; on a processor by ``BFloat16Gain``, where nothing is
  /// settled in ``SettledPrecision``.
  case automatic = "auto"
  case float32
  case bfloat16

  /// What `withAutocast` takes; nil is float32 throughout.
  public func autocast(on device: Device) -> DType? {
    switch self {
    case .automatic:
      if let settled = SettledPrecision.training { return settled == .bfloat16 ? .bfloat16 : nil }
      return device != .cpu || BFloat16Gain.ofThisMachine.isWorthTraining ? .bfloat16 : nil
    case .float32: return nil
    case .bfloat16: return .bfloat16
    }
  }

  /// What an ``InferencePlan`` takes.
  public var inference: DType? {
    switch self {
    case .automatic: nil
    case .float32: .float32
    case .bfloat16: .bfloat16
    }
  }
}
