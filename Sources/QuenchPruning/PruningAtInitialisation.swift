import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Pruning before training: a criterion ranks the weights of an untrained network once, and what stays is trained.
public struct PruningAtInitialisation<Criterion: PruningCriterion>: PruningMethod {
  public static var name: String { Criterion.name }
  public static var startsTrained: Bool { false }

  public var target: PruningTarget
  public var criterion: Criterion
  /// How what stays is trained.
  public var recipe = TrainingRecipe()

  public init(_ target: PruningTarget, by criterion: Criterion) {
    self.target = target
    self.criterion = criterion
  }

  public init(_ target: PruningTarget) { self.init(target, by: Criterion(target)) }

  public var batchSize: Int { recipe.batchSize }

  public func validate() throws(InputError) {
    try recipe.validate()
    try criterion.validate()
  }

  public func training(
    _ network: Network, on dataset: ImageDataset, seed: UInt64, precision: Precision = .automatic,
    distillation: Distillation? = nil
  ) throws -> any PruningLearner {
    let layout = try target.layout(of: network)
    let ranking = try criterion.ranking(
      of: network, layout: layout, on: dataset, seed: Generator.derive(seed, "criterion"))
    let mask = try target.checkedMask(ranking, layout)
    return MaskedTraining(
      network, mask, on: dataset, recipe: recipe, seed: seed, precision: precision, distillation: distillation)
  }
}
