import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Prospect pruning (ProsPr; Alizadeh et al. 2022): a weight matters if scaling it changes the loss after the first
/// steps of training. With w₀ = c⊙θ and M steps of gradient descent from there the score is |∂ℓ(w_M)/∂c| at c = 1,
/// a derivative through all steps.
///
/// The steps move batch norm and biases too. The graphs of all M steps are held at once; ``firstOrder`` holds one.
public struct ProsPr: PruningCriterion {
  public static let name = "prospr"

  /// M.
  public var steps = 3
  /// Of the inner steps.
  public var learningRate = 0.1
  /// Of the inner steps.
  public var momentum = 0.0
  public var batchSize = 128
  /// Takes another batch for each step and one more for the final loss. Else all have the same.
  public var redrawsBatch = false
  /// Takes the inner gradients as constants: |θ⊙∇ℓ(w_M)|.
  public var firstOrder = false

  public init() {}
  public init(_ target: PruningTarget) {}

  private enum CodingKeys: String, CodingKey {
    case steps, firstOrder
    case learningRate = "innerLearningRate"
    case momentum = "innerMomentum"
    case batchSize = "criterionBatchSize"
    case redrawsBatch = "redrawBatch"
  }

  public func validate() throws(InputError) {
    try requireSetting(steps >= 1, "steps", "at least 1", steps)
    try requireSetting(
      learningRate > 0 && learningRate.isFinite, "inner-learning-rate", "above 0", learningRate)
  }

  public func ranking(
    of network: Network, layout: WeightLayout, on dataset: ImageDataset, seed: UInt64
  ) throws(InputError) -> Tensor {
    try require(steps >= 0, "steps", "0 or more", found: steps)
    try require(batchSize >= 1, "batchSize", "1 or more", found: batchSize)
    try require(learningRate.isFinite, "learningRate", "a finite number", found: learningRate)
    let loader = BatchLoader.training(
      dataset, batchSize: batchSize, augmentation: nil, seed: Generator.derive(seed, "criterion-images"))
    let batches = (0...steps).map { step in
      let number = redrawsBatch ? step : 0
      let (epoch, batch) = number.quotientAndRemainder(dividingBy: loader.batchesPerEpoch)
      return loader.batch(at: LoaderPosition(epoch: epoch, batch: batch))
    }
    return try scores(of: network, layout: layout, training: Array(batches[..<steps]), evaluation: batches[steps])
      .checkedRanking(of: "ProsPr")
  }

  /// |∂ℓ(w_M)/∂c|, `[n]`.
  /// - Parameters:
  ///   - network: Where the steps start.
  ///   - layout: Its prunable weights.
  ///   - training: What each step descends on.
  ///   - evaluation: What ℓ(w_M) is taken on.
  public func scores(
    of network: Network, layout: WeightLayout, training: [Batch], evaluation: Batch
  ) -> Tensor {
    let all = Array(network.parameters.indices)
    let gradient = metaGradient(
      of: training.map { network.crossEntropy(on: $0, replacing: all) },
      evaluation: network.crossEntropy(on: evaluation, replacing: all), at: network.leaves(all))
    return (layout.weights(of: network) * layout.joined(layout.parameters.map { gradient[$0] })).abs()
  }

  /// ∂ℓ(w_M)/∂w₀ through one step of gradient descent on each of `training`.
  /// - Parameters:
  ///   - training: Scalars as functions of the weights, twice differentiable.
  ///   - evaluation: ℓ.
  ///   - start: w₀, leaves of autograd.
  /// - Returns: A tensor for each of `start`.
  public func metaGradient(
    of training: [([Tensor]) -> Tensor], evaluation: ([Tensor]) -> Tensor, at start: [Tensor]
  ) -> [Tensor] {
    var weights = start
    var velocity: [Tensor]?
    for loss in training {
      let gradient = grad(of: loss(weights), withRespectTo: weights, createGraph: !firstOrder)
      let step = velocity.map { zip($0, gradient).map { $0 * momentum + $1 } } ?? gradient
      weights = zip(weights, step).map { $0 - $1 * learningRate }
      if firstOrder { weights = weights.map { $0.detached().requiringGrad() } }
      if momentum != 0 { velocity = step }
    }
    return grad(of: evaluation(weights), withRespectTo: firstOrder ? weights : start)
  }
}
