import Torch
import Vision

/// One-shot magnitude pruning: from a trained network, the weights of smallest magnitude go, all at once, ranked
/// over the whole network; what stays is trained again.
///
/// Trained again from where? The lottery-ticket protocol rewinds what stays to an early point of the dense
/// training; without ``rewind`` it goes on from the trained weights, which needs fewer epochs.
public struct OMP {
  public var keepRatio: KeepRatio
  /// Weights and statistics to go back to after the mask is drawn; nil: stay at the trained ones.
  public var rewind: StateDictionary?

  public init(keepRatio: KeepRatio, rewind: StateDictionary? = nil) {
    self.keepRatio = keepRatio
    self.rewind = rewind
  }

  /// The mask of the largest magnitudes.
  public func mask(for network: Network) -> Mask {
    let layout = WeightLayout(network)
    let magnitudes = layout.weights(of: network).abs()
    return Mask(layout: layout, values: Mask.topK(magnitudes, keeping: keepRatio.kept(of: layout.count)))
  }

  /// Prunes `network` and readies it to be trained again with the mask held.
  /// - Throws: `InputError` if ``rewind`` does not fit the network.
  public func training(
    _ network: Network, on dataset: ImageDataset, recipe: TrainingRecipe, seed: UInt64,
    precision: Precision = .automatic
  ) throws -> (learner: ClassifierTraining, mask: Mask) {
    let mask = mask(for: network)
    if let rewind { try network.load(rewind, from: "--rewind") }
    mask.apply(to: network)
    let learner = ClassifierTraining(network, on: dataset, recipe: recipe, seed: seed, precision: precision) {
      mask.apply(to: network)
    }
    return (learner, mask)
  }
}
