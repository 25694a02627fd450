import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Bi-level optimisation pruning (Zhang et al. 2022, NeurIPS, Algorithm A1).
///
/// Upper level: the mask m with Σm = κ that minimises the loss at the lower level's solution
/// θ*(m) = argmin ℓ(m⊙θ) + γ/2·‖θ‖². With z = m⊙θ and g = ∇_z ℓ the upper gradient, free of second derivatives, is
///
///     G = (θ - m⊙g / γ) ⊙ g                                                                              (F1)
///
/// Prunes straight from a trained dense network to the target ratio; no rewinding and no retraining follow.
///
/// Four defaults differ from the published values, which each property names; `docs/notebook/pruning.md` says how they
/// were chosen. For filters, channels, groups and patterns ``init(_:)`` keeps the published rates, which were better for
/// groups.
public struct BiP: PruningMethod, Hashable {
  public static let name = "bip"

  /// How the upper gradient is formed.
  public enum Mode: String, CaseIterable, Codable, Sendable {
    /// (F1), the published method.
    case formula
    /// (F1) without the implicit part: θ⊙g.
    case noIG = "no-ig"
    /// The rule of the released code: the implicit part is the square of the score's gradient.
    case repoCompat = "repo-compat"
    /// The released code as it runs: that rule, with scores and weights in one tensor, which both levels move.
    case repoTied = "repo-tied"
  }

  public var target: PruningTarget
  public var mode = Mode.formula
  /// γ, the ridge of the lower level. Smaller: what is kept sticks.
  public var gamma = 1.0
  /// N, lower steps for each upper step.
  public var lowerSteps = 1
  /// Whether the weights also learn from the gradient that the upper step takes anyway: a second lower step in every
  /// iteration at no further pass. As published, `false`: that gradient is unused. Not for groups, whose upper step
  /// sees pruned channels' batch norms.
  public var learnsFromUpperBatch = true
  /// lr_θ.
  public var lowerLearningRate = 0.1
  /// lr_m; as published 0.1, which in short runs hardly moves the mask.
  public var upperLearningRate = 1.0
  /// The most that an upper step may move the scores before momentum, as a fraction of their norm; 0, as published:
  /// no limit. (F1) has g squared, and where the first cut takes almost all weights g is hundreds of times its
  /// later size: the first steps would move the mask so far that training never recovers.
  public var scoreStepLimit = 0.01
  /// The fraction of the steps over which the sparsity rises from 0 to the target's along the cubic of ``GMP``, so that
  /// the network can mend each small loss; 0, as published: the target's from the start.
  public var rise = 0.0
  public var momentum = 0.9
  /// On retained weights and on batch norm and biases; scores and masked weights do not decay. As published 1e-4.
  public var weightDecay = 5e-4
  public var epochs = 100
  public var batchSize = 128
  static let lowerSchedule = Schedule.cosine
  static let upperSchedule = Schedule.step(milestones: [0.5, 0.75], factor: 0.1)
  /// Crop and mirror training images at random.
  public var augmentation = true
  /// Epochs of training what stays, with the last mask held; 0: none, as published.
  public var finetuneEpochs = 0

  private enum CodingKeys: String, CodingKey {
    case target, mode, gamma, lowerSteps, rise, momentum, weightDecay, epochs, batchSize, augmentation,
      finetuneEpochs
    case learnsFromUpperBatch = "learnFromBoth"
    case lowerLearningRate = "learningRate"
    case upperLearningRate = "maskLearningRate"
    case scoreStepLimit = "maskStepLimit"
  }

  /// - Parameter target: What is pruned, which the rates depend on; set it here rather than later.
  public init(_ target: PruningTarget) {
    self.target = target
    if target.granularity != .weight { (upperLearningRate, scoreStepLimit, weightDecay) = (0.1, 0, 1e-4) }
  }

  public init(keepRatio: KeepRatio) { self.init(PruningTarget(keepRatio: keepRatio)) }

  public func validate() throws(InputError) {
    try requireSetting(epochs > 0, "epochs", "at least 1", epochs)
    try requireSetting(batchSize > 1, "batch-size", "at least 2, which batch norm needs", batchSize)
    try requireSetting(
      lowerLearningRate > 0 && lowerLearningRate.isFinite, "learning-rate", "above 0", lowerLearningRate)
    for (key, value) in [
      ("mask-learning-rate", upperLearningRate), ("mask-step-limit", scoreStepLimit), ("weight-decay", weightDecay)
    ] { try requireSetting(value >= 0 && value.isFinite, key, "0 or more", value) }
    try requireSetting(gamma > 0, "gamma", "above 0", gamma)
    try requireSetting(lowerSteps > 0, "lower-steps", "at least 1", lowerSteps)
    try requireSetting((0...1).contains(rise), "rise", "from 0 to 1", rise)
    if rise > 0 { try target.requireGradual() }
    try requireSetting((0..<1).contains(momentum), "momentum", "0 or more and below 1", momentum)
    try requireSetting(finetuneEpochs >= 0, "finetune-epochs", "0 or more", finetuneEpochs)
  }

  /// ∂ℓ/∂s for the scores s: the upper gradient through the straight-through estimator and |s|.
  /// - Parameters:
  ///   - weights: θ, `[n]`.
  ///   - mask: m, `[n]`.
  ///   - scores: s, `[n]`.
  ///   - gradient: g, the gradient of the loss at z = m⊙θ, `[n]`.
  public func scoreGradient(weights: Tensor, mask: Tensor, scores: Tensor, gradient: Tensor) -> Tensor {
    let direct = scores.sign() * weights * gradient
    switch mode {
    case .formula: return scores.sign() * (weights - mask * gradient / gamma) * gradient
    case .noIG: return direct
    case .repoCompat, .repoTied: return direct - direct.square() / gamma
    }
  }

  public func training(
    _ network: Network, on dataset: ImageDataset, seed: UInt64, precision: Precision = .automatic,
    distillation: Distillation? = nil
  ) throws -> any PruningLearner {
    let training = try BiPTraining(
      self, network, on: dataset, seed: seed, precision: precision, distillation: distillation)
    guard finetuneEpochs > 0 else { return training }
    var recipe = TrainingRecipe()
    (recipe.epochs, recipe.batchSize, recipe.augmentation) = (finetuneEpochs, batchSize, augmentation)
    return FinetunedPruning(
      training, on: dataset, recipe: recipe, seed: seed, precision: precision, distillation: distillation)
  }
}

/// One run of ``BiP`` on a network: θ, s and m, and the alternation of its two levels.
public final class BiPTraining: PruningLearner {
  public let method: BiP
  private let scored: ScoredNetwork
  private let lowerLoader: BatchLoader
  private let upperLoader: BatchLoader
  private let weightOptimizer: SGD
  /// Batch norm, biases and weights that are not pruned: moved at the lower level only.
  private let otherOptimizer: SGD
  private let scoreOptimizer: SGD

  /// - Throws: `InputError` if the method's target does not fit the network.
  public init(
    _ method: BiP, _ network: Network, on dataset: ImageDataset, seed: UInt64, precision: Precision = .automatic,
    distillation: Distillation? = nil
  ) throws(InputError) {
    self.method = method
    let scored = try ScoredNetwork(
      network, method.target, start: .weights, sharesStorage: method.mode == .repoTied, precision: precision,
      distillation: distillation)
    self.scored = scored

    func loader(_ name: String) -> BatchLoader {
      .training(
        dataset, batchSize: method.batchSize, augmentation: method.augmentation ? Augmentation() : nil,
        seed: Generator.derive(seed, name))
    }
    lowerLoader = loader("lower")
    upperLoader = loader("upper")

    func optimizer(_ parameters: [NamedTensor], _ learningRate: Double, weightDecay: Double = 0) -> SGD {
      SGD(parameters: parameters, learningRate: learningRate, momentum: method.momentum, weightDecay: weightDecay)
    }
    weightOptimizer = optimizer([("weights", scored.weights)], method.lowerLearningRate)
    scoreOptimizer = optimizer([("scores", scored.scores)], method.upperLearningRate)
    otherOptimizer = optimizer(scored.others, method.lowerLearningRate, weightDecay: method.weightDecay)
    if method.rise > 0 { scored.project(keeping: keepRatio(after: 0)) }
  }

  public var network: Network { scored.network }
  /// θ, `[n]`.
  public var weights: Tensor { scored.weights }
  /// s, `[n]`: starts as a copy of the weights, so that the first mask is OMP's.
  public var scores: Tensor { scored.scores }
  public var learnedScores: Tensor? { scores }
  /// m = T_κ(|s|), `[n]`.
  public var mask: Mask { scored.mask }

  public var epochs: Int { method.epochs }
  public var stepsPerEpoch: Int { lowerLoader.batchesPerEpoch }
  public var imagesPerStep: Int { min(method.batchSize, lowerLoader.dataset.count) * (method.lowerSteps + 1) }
  public var learningRate: Double { weightOptimizer.learningRate }

  public func step(at position: LoaderPosition) -> StepResult {
    weightOptimizer.learningRate = method.lowerLearningRate * factor(BiP.lowerSchedule, at: position)
    otherOptimizer.learningRate = weightOptimizer.learningRate
    scoreOptimizer.learningRate = method.upperLearningRate * factor(BiP.upperSchedule, at: position)
    for step in 1..<method.lowerSteps { lowerStep(lowerLoader.batch(at: position, draw: step)) }
    let result = lowerStep(lowerLoader.batch(at: position))
    upperStep(
      upperLoader.batch(at: position),
      keeping: keepRatio(after: position.epoch * stepsPerEpoch + position.batch + 1))
    return result
  }

  /// κ after so many steps; nil: the target's.
  private func keepRatio(after step: Int) -> KeepRatio? {
    let steps = epochs * stepsPerEpoch
    return method.rise == 0 || step == steps
      ? nil : method.target.keepRatio.reached(at: step, of: steps, rise: method.rise)
  }

  /// θ ← θ - lr_θ · (m⊙g + λ·m⊙θ), with the mask fixed.
  @discardableResult
  public func lowerStep(_ batch: Batch) -> StepResult {
    let (result, gradient, others) = scored.pass(
      batch, others: otherOptimizer.parameters.map(\.tensor), silencing: true, updatingStatistics: true)
    moveWeights(gradient, others)
    return result
  }

  /// s ← s - lr_m · sign(s)⊙G at the new θ; then m ← T_κ(|s|). Statistics and other parameters stay, unless the
  /// weights learn from this batch too.
  /// - Parameters:
  ///   - batch: What the upper loss is of.
  ///   - ratio: Another κ than the target's; nil: that.
  public func upperStep(_ batch: Batch, keeping ratio: KeepRatio? = nil) {
    let learns = method.learnsFromUpperBatch && method.target.granularity != .group
    let (_, gradient, others) = scored.pass(
      batch, others: learns ? otherOptimizer.parameters.map(\.tensor) : [], silencing: false,
      updatingStatistics: learns)
    withoutGradient {
      let upper = method.scoreGradient(weights: weights, mask: mask.values, scores: scores, gradient: gradient)
      scoreOptimizer.step(gradients: [limited(upper)])
    }
    if learns { moveWeights(gradient, others) }
    withoutGradient { scored.project(keeping: ratio) }
  }

  /// The upper gradient, shortened to the method's ``BiP/scoreStepLimit``.
  private func limited(_ gradient: Tensor) -> Tensor {
    let limit = method.scoreStepLimit
    guard limit > 0, scoreOptimizer.learningRate > 0 else { return gradient }
    let longest = scores.norm() * (limit / scoreOptimizer.learningRate)
    return gradient * (longest / gradient.norm()).clamped(to: ...1)
  }

  private func moveWeights(_ gradient: Tensor, _ others: [Tensor?]) {
    withoutGradient {
      weightOptimizer.step(gradients: [mask.values * (gradient + weights * method.weightDecay)])
      otherOptimizer.step(gradients: others)
    }
  }

  public func finish() { scored.finish() }

  private var optimizers: [SGD] { [weightOptimizer, otherOptimizer, scoreOptimizer] }

  public var state: StateDictionary { scored.state(with: optimizers) }

  public func restore(_ state: StateDictionary, from location: String) throws(InputError) {
    try scored.restore(state, with: optimizers, from: location)
  }
}
