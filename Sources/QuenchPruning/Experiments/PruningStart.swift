import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The network that a pruning starts from.
public struct PruningStart: InlineGroup, Hashable, Sendable {
  /// Of methods that prune a trained network: its file; nil: one is trained first, in the folder `dense` of the run.
  public var weights: String?
  /// The network to train first or to draw, or what the weights belong to where their file does not say.
  public var model: ModelName?
  /// Of the weights that are begun with.
  public var pixels = PixelNormalization()
  /// Epochs of the dense training, where that is part of the run; nil: 10.
  public var denseEpochs: Int?
  /// Of methods that prune a new network: a file of weights to begin with; nil: new ones.
  public var initial: String?
  /// Of methods that prune a new network: the file of a trained one to compare with; nil: none.
  public var dense: String?

  public init() {}

  /// - Throws: `InputError` for a setting that the kind of start does not have or that is out of its range.
  func checked(startsTrained: Bool) throws(InputError) -> PruningStart {
    for (key, isGiven) in startsTrained
      ? [("initial", initial != nil), ("dense", dense != nil)] : [("weights", weights != nil)]
    where isGiven {
      throw InputError(
        "this method does not take the setting", at: key,
        remedy: startsTrained ? "it starts from the trained network of weights" : "it starts from a new network")
    }
    try requireSetting(denseEpochs ?? 1 > 0, "dense-epochs", "at least 1", denseEpochs ?? 0)
    if let setting = pixels.said, weights == nil, initial == nil {
      throw InputError(
        "this describes weights to begin with", at: setting,
        remedy: "name these too: a new network normalizes by its data")
    }
    var start = self
    if startsTrained, weights == nil { start.denseEpochs = denseEpochs ?? TrainingRecipe().epochs }
    if weights == nil { start.model = model ?? .resnet20 }
    return start
  }

  var files: Record {
    get throws(InputError) {
      try Fingerprint.inputs(["weights": weights, "initial": initial, "dense": dense])
    }
  }
}
