import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Single-shot pruning by connection sensitivity (SNIP; Lee et al. 2019, section 4.1): how much the loss feels a
/// weight being scaled, |∂ℓ(c⊙θ)/∂c| at c = 1, which is |θ⊙g|.
///
/// Gradients are added up over the batches before the absolute value is taken. The paper divides by the sum of all
/// scores, which leaves their order alone, and prunes biases as well; here only weights are pruned.
public struct SNIP: PruningCriterion {
  public static let name = "snip"

  /// Images of the one batch.
  public var batchSize = 128
  /// Draws so many images of each class instead, in batches of ``batchSize`` or somewhat more. Nil: one batch of
  /// any.
  public var samplesPerClass: Int?

  public init() {}
  public init(_ target: PruningTarget) {}

  private enum CodingKeys: String, CodingKey {
    case samplesPerClass
    case batchSize = "criterionBatchSize"
  }

  public func validate() throws(InputError) {
    try requireSetting(samplesPerClass ?? 1 >= 1, "samples-per-class", "at least 1", samplesPerClass ?? 0)
  }

  public func ranking(
    of network: Network, layout: WeightLayout, on dataset: ImageDataset, seed: UInt64
  ) throws(InputError) -> Tensor {
    try require(batchSize >= 1, "batchSize", "1 or more", found: batchSize)
    let seed = Generator.derive(seed, "criterion-images")
    let batches: [Batch]
    if let samplesPerClass {
      try require(samplesPerClass >= 1, "samplesPerClass", "1 or more", found: samplesPerClass)
      let sample = try dataset.sample(perClass: samplesPerClass, seed: seed)
      batches = sample.split(into: max(1, sample.count / batchSize))
    } else {
      let loader = BatchLoader.training(dataset, batchSize: batchSize, augmentation: nil, seed: seed)
      batches = [loader.batch(at: LoaderPosition())]
    }
    return try scores(of: network, layout: layout, on: batches).checkedRanking(of: "SNIP")
  }

  /// |θ⊙Σg|, `[n]`, with g the gradient of the mean cross-entropy on each batch.
  public func scores(of network: Network, layout: WeightLayout, on batches: [Batch]) -> Tensor {
    network.firstOrderChanges(layout, on: batches).abs()
  }
}

extension Network {
  /// θ⊙Σg, `[n]`, with g the gradient of the mean cross-entropy on each batch: how far the loss falls, to first order, when
  /// a weight is set to zero.
  func firstOrderChanges(_ layout: WeightLayout, on batches: [Batch]) -> Tensor {
    let weights = leaves(layout.parameters)
    let gradient = layout.weights(of: self).zerosLike()
    for batch in batches {
      let loss = crossEntropy(on: batch, replacing: layout.parameters)
      gradient += layout.joined(grad(of: loss(weights), withRespectTo: weights))
    }
    return layout.weights(of: self) * gradient
  }
}
