import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// One-shot magnitude pruning: from a trained network, the weights of smallest magnitude go, all at once, ranked
/// over the whole network; what stays is trained again.
///
/// Trained again from where? The lottery-ticket protocol rewinds what stays to an early point of the dense
/// training; without ``rewindFile`` it goes on from the trained weights, which needs fewer epochs.
public struct OMP: PruningMethod {
  public static let name = "omp"

  public var target: PruningTarget
  /// How what stays is trained again.
  public var recipe = TrainingRecipe()
  /// A file of weights and statistics to go back to after the mask is drawn; nil: stay at the trained ones.
  public var rewindFile: String?

  private enum CodingKeys: String, CodingKey {
    case target, recipe
    case rewindFile = "rewind"
  }

  public init(_ target: PruningTarget) { self.target = target }
  public init(keepRatio: KeepRatio) { self.init(PruningTarget(keepRatio: keepRatio)) }

  public var files: KeyValuePairs<String, String?> { ["rewind": rewindFile] }
  public var batchSize: Int { recipe.batchSize }

  public func validate() throws(InputError) { try recipe.validate() }

  /// The mask of the largest magnitudes.
  /// - Throws: `InputError` if the target does not fit the network.
  public func mask(for network: Network) throws(InputError) -> Mask {
    let layout = try target.layout(of: network)
    return try target.checkedMask(layout.weights(of: network).abs(), layout)
  }

  public func training(
    _ network: Network, on dataset: ImageDataset, seed: UInt64, precision: Precision = .automatic,
    distillation: Distillation? = nil
  ) throws -> any PruningLearner {
    let mask = try mask(for: network)
    if let rewindFile {
      try network.load(.weights(at: rewindFile, for: network.architecture), from: rewindFile)
    }
    return MaskedTraining(
      network, mask, on: dataset, recipe: recipe, seed: seed, precision: precision, distillation: distillation)
  }
}
