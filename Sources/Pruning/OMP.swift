import Support
import Torch
import Vision

/// One-shot magnitude pruning: from a trained network, the weights of smallest magnitude go, all at once, ranked
/// over the whole network; what stays is trained again.
///
/// Trained again from where? The lottery-ticket protocol rewinds what stays to an early point of the dense
/// training; without ``rewind`` it goes on from the trained weights, which needs fewer epochs.
public struct OMP: Pruner {
  public var target: PruningTarget
  /// How what stays is trained again.
  public var recipe = TrainingRecipe()
  /// Weights and statistics to go back to after the mask is drawn; nil: stay at the trained ones.
  public var rewind: StateDictionary?

  public init(_ target: PruningTarget) { self.target = target }
  public init(keepRatio: KeepRatio) { self.init(PruningTarget(keepRatio: keepRatio)) }

  /// The mask of the largest magnitudes.
  /// - Throws: `InputError` if the target does not fit the network.
  public func mask(for network: Network) throws(InputError) -> Mask {
    let layout = try target.layout(of: network)
    return try target.checkedMask(layout.weights(of: network).abs(), layout)
  }

  public func training(
    _ network: Network, on dataset: ImageDataset, seed: UInt64, precision: Precision = .automatic
  ) throws -> any PruningLearner {
    let mask = try mask(for: network)
    if let rewind { try network.load(rewind, from: "the weights to rewind to") }
    return MaskedTraining(network, mask, on: dataset, recipe: recipe, seed: seed, precision: precision)
  }
}
