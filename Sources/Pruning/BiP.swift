import Support
import Torch
import Vision

/// Bi-level optimisation pruning (Zhang et al. 2022, NeurIPS, Algorithm A1).
///
/// Upper level: the mask m with Σm = κ that minimises the loss at the lower level's solution
/// θ*(m) = argmin ℓ(m⊙θ) + γ/2·‖θ‖². With z = m⊙θ and g = ∇_z ℓ the upper gradient, free of second derivatives, is
///
///     G = (θ - m⊙g / γ) ⊙ g                                                                              (F1)
///
/// Prunes straight from a trained dense network to the target ratio; no rewinding and no retraining follow.
public struct BiP: Hashable, Codable, Sendable {
  /// How the upper gradient is formed.
  public enum Mode: String, CaseIterable, Codable, Sendable {
    /// (F1), the published method.
    case formula
    /// (F1) without the implicit part: θ⊙g.
    case noIG = "no-ig"
    /// The rule of the released code: the implicit part from the squared score gradient (difference D1).
    case repoCompat = "repo-compat"
  }

  public var keepRatio: KeepRatio
  public var mode = Mode.formula
  /// γ, the ridge of the lower level. Smaller: what is kept sticks.
  public var gamma = 1.0
  /// N, lower steps for each upper step.
  public var lowerSteps = 1
  /// lr_θ.
  public var lowerLearningRate = 0.1
  /// lr_m.
  public var upperLearningRate = 0.1
  public var momentum = 0.9
  /// On retained weights and on batch norm and biases; scores and masked weights do not decay.
  public var weightDecay = 1e-4
  public var epochs = 100
  public var batchSize = 128
  public var lowerSchedule = Schedule.cosine
  public var upperSchedule = Schedule.step(milestones: [0.5, 0.75], factor: 0.1)
  public var augmentation: Augmentation? = Augmentation()

  public init(keepRatio: KeepRatio) { self.keepRatio = keepRatio }

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
    case .repoCompat: return direct - direct.square() / gamma
    }
  }
}

/// One run of ``BiP`` on a network: θ, s and m, and the alternation of its two levels.
public final class BiPTraining: Learner {
  public let method: BiP
  public let network: Network
  public let layout: WeightLayout
  /// θ, `[n]`: weights under the mask stay as they are, so that they can come back.
  public let weights: Tensor
  /// s, `[n]`: starts as a copy of the weights, so that the first mask is OMP's.
  public let scores: Tensor
  /// m = T_κ(|s|), `[n]`.
  public private(set) var mask: Mask

  private let precision: Precision
  private let lowerLoader: BatchLoader
  private let upperLoader: BatchLoader
  private let weightOptimizer: SGD
  /// Batch norm and biases: moved at the lower level only.
  private let otherOptimizer: SGD
  private let scoreOptimizer: SGD

  public init(
    _ method: BiP, _ network: Network, on dataset: ImageDataset, seed: UInt64, precision: Precision = .automatic
  ) {
    self.method = method
    self.network = network
    self.precision = precision
    layout = WeightLayout(network)
    weights = layout.weights(of: network)
    scores = weights.cloned()
    mask = Mask(layout: layout, values: Mask.topK(scores.abs(), keeping: method.keepRatio.kept(of: layout.count)))

    func loader(_ name: String) -> BatchLoader {
      .training(
        dataset, batchSize: method.batchSize, augmentation: method.augmentation, seed: Generator.derive(seed, name))
    }
    lowerLoader = loader("lower")
    upperLoader = loader("upper")

    func optimizer(_ parameters: [NamedTensor], _ learningRate: Double, weightDecay: Double = 0) -> SGD {
      SGD(parameters: parameters, learningRate: learningRate, momentum: method.momentum, weightDecay: weightDecay)
    }
    weightOptimizer = optimizer([("weights", weights)], method.lowerLearningRate)
    scoreOptimizer = optimizer([("scores", scores)], method.upperLearningRate)
    let prunable = Set(layout.parameters)
    let others = network.parameters.indices.filter { !prunable.contains($0) }
    otherOptimizer = optimizer(
      others.map { (network.parameters[$0].name, network.parameters[$0].tensor) }, method.lowerLearningRate,
      weightDecay: method.weightDecay)
  }

  public var epochs: Int { method.epochs }
  public var stepsPerEpoch: Int { lowerLoader.batchesPerEpoch }
  public var imagesPerStep: Int { min(method.batchSize, lowerLoader.dataset.count) * (method.lowerSteps + 1) }
  public var learningRate: Double { weightOptimizer.learningRate }

  public func step(at position: LoaderPosition) -> StepResult {
    weightOptimizer.learningRate = method.lowerLearningRate * factor(method.lowerSchedule, at: position)
    otherOptimizer.learningRate = weightOptimizer.learningRate
    scoreOptimizer.learningRate = method.upperLearningRate * factor(method.upperSchedule, at: position)
    for step in 1..<method.lowerSteps { lowerStep(lowerLoader.batch(at: position, draw: step)) }
    let result = lowerStep(lowerLoader.batch(at: position))
    upperStep(upperLoader.batch(at: position))
    return result
  }

  /// θ ← θ - lr_θ · (m⊙g + λ·m⊙θ), with the mask fixed.
  @discardableResult
  public func lowerStep(_ batch: Batch) -> StepResult {
    let others = otherOptimizer.parameters.map(\.tensor)
    let (result, gradient, rest) = pass(batch, others: others)
    withoutGradient {
      weightOptimizer.step(gradients: [mask.values * (gradient + weights * method.weightDecay)])
      otherOptimizer.step(gradients: rest)
    }
    return result
  }

  /// s ← s - lr_m · sign(s)⊙G at the new θ; then m ← T_κ(|s|).
  public func upperStep(_ batch: Batch) {
    let (_, gradient, _) = pass(batch, others: [])
    withoutGradient {
      scoreOptimizer.step(gradients: [
        method.scoreGradient(weights: weights, mask: mask.values, scores: scores, gradient: gradient)
      ])
      mask = Mask(
        layout: layout, values: Mask.topK(scores.abs(), keeping: method.keepRatio.kept(of: layout.count)))
    }
  }

  /// One forward and backward pass at z = m⊙θ: g `[n]`, and the derivatives with respect to `others`. Running
  /// statistics move in the lower pass only, the one that has others.
  private func pass(_ batch: Batch, others: [Tensor]) -> (StepResult, gradient: Tensor, others: [Tensor?]) {
    let masked = layout.split(withoutGradient { mask.values * weights }).map { $0.detached().requiringGrad() }
    network.isTraining = true
    let logits = withAutocast(precision.autocast(on: network.device), on: network.device) {
      network(
        batch.images, weights: network.weights(replacing: layout.parameters, with: masked),
        updatingStatistics: !others.isEmpty)
    }
    let loss = logits.inFullPrecision().crossEntropy(batch.labels)
    let found = gradients(of: [loss], withRespectTo: masked + others)
    let gradient = layout.joined(zip(masked, found).map { $1 ?? $0.zerosLike() })
    return (StepResult(loss: loss, logits: logits, labels: batch.labels), gradient, Array(found[masked.count...]))
  }

  /// Writes z = m⊙θ into the network: the pruned model.
  public func finish() {
    withoutGradient {
      for (parameter, weight) in zip(layout.parameters, layout.split(mask.values * weights)) {
        network.parameters[parameter].tensor.copy(from: weight)
      }
    }
  }

  public var state: StateDictionary {
    var state = StateDictionary()
    for (name, tensor) in network.state { state["network.\(name)"] = tensor }
    for optimizer in [weightOptimizer, otherOptimizer, scoreOptimizer] {
      for (name, tensor) in optimizer.state { state["optimizer.\(name)"] = tensor }
    }
    state["weights"] = weights
    state["scores"] = scores
    state["mask"] = mask.values
    return state
  }

  public func restore(_ state: StateDictionary, from location: String) throws(InputError) {
    let (networkState, others) = state.partitioned(byPrefix: "network.")
    let (optimizerState, vectors) = others.partitioned(byPrefix: "optimizer.")
    guard let weights = vectors["weights"], let scores = vectors["scores"], let mask = vectors["mask"],
      [weights, scores, mask].allSatisfy({ $0.shape == [layout.count] })
    else {
      throw InputError(
        "this is not a checkpoint of BiP on this network", at: location,
        expected: "weights, scores and mask, [\(layout.count)]")
    }
    try network.load(networkState, from: location)
    for optimizer in [weightOptimizer, otherOptimizer, scoreOptimizer] {
      let names = Set(optimizer.state.map(\.name))
      try optimizer.restore(optimizerState.filter { names.contains($0.name) }, from: location)
    }
    withoutGradient {
      self.weights.copy(from: weights)
      self.scores.copy(from: scores)
      self.mask = Mask(layout: layout, values: mask)
    }
  }
}
