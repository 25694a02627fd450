import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// HYDRA (Sehwag et al. 2020): learns scores over frozen weights, then trains what the last mask keeps.
///
///     s ← s - lr · sign(s)⊙θ⊙g,  m ← T_κ(|s|)      for ``epochs``, θ fixed
///     θ ← θ - lr · m⊙g                             for the fine-tuning's epochs, m fixed
///
/// With ``learnsFromScoreBatch`` the weights that are kept move in the first phase too, by the gradient that the scores'
/// step takes anyway.
///
/// Ranked over the whole network and with the weights as first scores, as Zhang et al. 2022 compare with it;
/// the original ranks each layer (``PruningTarget/Scope/layer``) from scaled scores.
public struct HYDRA: PruningMethod, Hashable {
  public static let name = "hydra"

  public var target: PruningTarget
  public var scoreStart = ScoreStart.weights
  /// Whether the weights also learn while the scores do, from the same gradient and with the fine-tuning's decay; as
  /// published they are frozen.
  public var learnsFromScoreBatch = false
  public var learningRate = 0.1
  public var momentum = 0.9
  /// On batch norm and biases, which are trained along; scores do not decay.
  public var weightDecay = 5e-4
  public var epochs = 100
  static let schedule = Schedule.cosine
  /// Of the training of what stays; its batches and augmentation are those of the scores' training too.
  public var finetuning: TrainingRecipe

  private enum CodingKeys: String, CodingKey {
    case target, finetuning
    case epochs = "scoreEpochs"
    case learningRate = "scoreLearningRate"
    case momentum = "scoreMomentum"
    case weightDecay = "scoreWeightDecay"
    case scoreStart = "scores"
    case learnsFromScoreBatch = "learnFromBoth"
  }

  public init(_ target: PruningTarget) {
    self.target = target
    finetuning = TrainingRecipe()
    finetuning.epochs = 100
  }

  public func training(
    _ network: Network, on dataset: ImageDataset, seed: UInt64, precision: Precision = .automatic,
    distillation: Distillation? = nil
  ) throws -> any PruningLearner {
    let scores = try HYDRATraining(
      self, network, on: dataset, seed: seed, precision: precision, distillation: distillation)
    return FinetunedPruning(
      scores, on: dataset, recipe: finetuning, seed: seed, precision: precision, distillation: distillation)
  }

  public var batchSize: Int { finetuning.batchSize }

  public func validate() throws(InputError) {
    try finetuning.validate()
    try requireSetting(epochs > 0, "score-epochs", "at least 1", epochs)
    try requireSetting(
      learningRate > 0 && learningRate.isFinite, "score-learning-rate", "above 0", learningRate)
  }
}

/// The first phase of ``HYDRA``: scores over frozen weights.
public final class HYDRATraining: PruningLearner {
  public let method: HYDRA
  private let scored: ScoredNetwork
  private let loader: BatchLoader
  private let scoreOptimizer: SGD
  private let otherOptimizer: SGD
  /// Only where the weights learn too.
  private let weightOptimizer: SGD?

  /// - Throws: `InputError` if the method's target does not fit the network.
  public init(
    _ method: HYDRA, _ network: Network, on dataset: ImageDataset, seed: UInt64, precision: Precision = .automatic,
    distillation: Distillation? = nil
  ) throws(InputError) {
    self.method = method
    let scored = try ScoredNetwork(
      network, method.target, start: method.scoreStart, precision: precision, distillation: distillation)
    self.scored = scored
    loader = .training(
      dataset, batchSize: method.batchSize, augmentation: method.finetuning.augmentation ? Augmentation() : nil,
      seed: Generator.derive(seed, "scores"))
    scoreOptimizer = SGD(
      parameters: [("scores", scored.scores)], learningRate: method.learningRate, momentum: method.momentum)
    otherOptimizer = SGD(
      parameters: scored.others, learningRate: method.learningRate, momentum: method.momentum,
      weightDecay: method.weightDecay)
    weightOptimizer =
      method.learnsFromScoreBatch
      ? SGD(parameters: [("weights", scored.weights)], learningRate: method.learningRate, momentum: method.momentum)
      : nil
  }

  public var network: Network { scored.network }
  /// s, `[n]`.
  public var scores: Tensor { scored.scores }
  public var learnedScores: Tensor? { scores }
  public var mask: Mask { scored.mask }
  public var epochs: Int { method.epochs }
  public var stepsPerEpoch: Int { loader.batchesPerEpoch }
  public var imagesPerStep: Int { min(method.batchSize, loader.dataset.count) }
  public var learningRate: Double { scoreOptimizer.learningRate }

  public func step(at position: LoaderPosition) -> StepResult {
    scoreOptimizer.learningRate = method.learningRate * factor(HYDRA.schedule, at: position)
    for optimizer in optimizers { optimizer.learningRate = scoreOptimizer.learningRate }
    return step(loader.batch(at: position))
  }

  /// One step of the scores, and of batch norm and biases, on a batch.
  @discardableResult
  public func step(_ batch: Batch) -> StepResult {
    let (result, gradient, others) = scored.pass(
      batch, others: otherOptimizer.parameters.map(\.tensor), silencing: false, updatingStatistics: true)
    withoutGradient {
      scoreOptimizer.step(gradients: [scores.sign() * scored.weights * gradient])
      let decay = scored.weights * method.finetuning.weightDecay
      weightOptimizer?.step(gradients: [mask.values * (gradient + decay)])
      otherOptimizer.step(gradients: others)
      scored.project()
    }
    return result
  }

  public func finish() { scored.finish() }

  private var optimizers: [SGD] { [scoreOptimizer, otherOptimizer] + (weightOptimizer.map { [$0] } ?? []) }

  public var state: StateDictionary { scored.state(with: optimizers) }

  public func restore(_ state: StateDictionary, from location: String) throws(InputError) {
    try scored.restore(state, with: optimizers, from: location)
  }
}
