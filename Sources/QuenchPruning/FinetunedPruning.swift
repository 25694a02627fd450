import QuenchSupport
import QuenchTorch
import QuenchVision

/// A pruning and, as further epochs of the same run, the training of what its last mask keeps.
public final class FinetunedPruning: PruningLearner {
  private let pruning: any PruningLearner
  private let recipe: TrainingRecipe
  private let batchSize: Int
  private let makeFinetuning: (Mask) -> MaskedTraining
  private var finetuning: MaskedTraining?
  /// Of the pruning, while its last mask is trained.
  private var lastScores: Tensor?

  /// - Parameters:
  ///   - pruning: What comes first.
  ///   - dataset: Training images.
  ///   - recipe: Its batches must be of the pruning's size, so that epochs have as many steps.
  ///   - seed: Of the order and the augmentation.
  ///   - precision: What layers compute in.
  ///   - distillation: What the last mask's weights learn from beside the labels.
  public init(
    _ pruning: any PruningLearner, on dataset: ImageDataset, recipe: TrainingRecipe, seed: UInt64,
    precision: Precision = .automatic, distillation: Distillation? = nil
  ) {
    self.pruning = pruning
    self.recipe = recipe
    batchSize = min(recipe.batchSize, dataset.count)
    makeFinetuning = { mask in
      MaskedTraining(
        pruning.network, mask, on: dataset, recipe: recipe, seed: Generator.derive(seed, "finetuning"),
        precision: precision, distillation: distillation)
    }
  }

  public var network: Network { pruning.network }
  public var mask: Mask { current.mask }
  public var learnedScores: Tensor? { finetuning == nil ? pruning.learnedScores : lastScores }
  public var epochs: Int { pruning.epochs + recipe.epochs }
  public var stepsPerEpoch: Int { pruning.stepsPerEpoch }
  public var imagesPerStep: Int { current.imagesPerStep }

  public func images(in steps: Int) -> Int {
    let first = min(steps, pruning.epochs * stepsPerEpoch)
    return pruning.images(in: first) + (steps - first) * batchSize
  }

  public var learningRate: Double { current.learningRate }
  private var current: any PruningLearner { finetuning ?? pruning }

  public func step(at position: LoaderPosition) throws -> StepResult {
    guard position.epoch >= pruning.epochs else { return try pruning.step(at: position) }
    if finetuning == nil {
      pruning.finish()
      lastScores = pruning.learnedScores
      finetuning = makeFinetuning(pruning.mask)
    }
    return try current.step(at: LoaderPosition(epoch: position.epoch - pruning.epochs, batch: position.batch))
  }

  public func finish() { current.finish() }

  private static let prefix = "finetuning."
  private static let scoresKey = "scores"

  public var state: StateDictionary {
    guard let finetuning else { return pruning.state }
    var state = StateDictionary(finetuning.state.map { (Self.prefix + $0.name, $0.tensor) })
    state[Self.scoresKey] = lastScores
    return state
  }

  public func restore(_ state: StateDictionary, from location: String) throws(InputError) {
    let (own, others) = state.partitioned(byPrefix: Self.prefix)
    guard !own.isEmpty else { return try pruning.restore(others, from: location) }
    let finetuning = makeFinetuning(pruning.mask)
    try finetuning.restore(own, from: location)
    lastScores = others[Self.scoresKey]
    self.finetuning = finetuning
  }
}
