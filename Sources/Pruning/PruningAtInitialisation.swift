import Torch
import Vision

/// Pruning before training: a criterion ranks the weights of an untrained network once, and what stays is trained.
public struct PruningAtInitialisation: Pruner {
  public var target: PruningTarget
  public var criterion: any PruningCriterion
  /// How what stays is trained.
  public var recipe = TrainingRecipe()

  public init(_ target: PruningTarget, by criterion: any PruningCriterion) {
    self.target = target
    self.criterion = criterion
  }

  public func training(
    _ network: Network, on dataset: ImageDataset, seed: UInt64, precision: Precision = .automatic
  ) throws -> any PruningLearner {
    let layout = try target.layout(of: network)
    let ranking = try criterion.ranking(
      of: network, layout: layout, on: dataset, seed: Generator.derive(seed, "criterion"))
    let mask = try target.checkedMask(ranking, layout)
    return MaskedTraining(network, mask, on: dataset, recipe: recipe, seed: seed, precision: precision)
  }
}
