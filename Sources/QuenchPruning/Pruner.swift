import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// A pruning method: its stored properties are the hyper-parameters, with the paper's values as defaults.
public protocol Pruner {
  var target: PruningTarget { get set }
  /// Readies `network` to be pruned; a ``/QuenchVision/TrainingSession`` does the work.
  ///
  /// - Parameters:
  ///   - network: Trained and dense, or freshly drawn for methods that prune at initialisation. It holds the pruned
  ///     weights after ``PruningLearner/finish()``.
  ///   - dataset: Training images.
  ///   - seed: Of every random choice.
  ///   - precision: What layers compute in.
  ///   - distillation: What the network learns from beside the labels, such as the dense network's answers.
  /// - Throws: `InputError` if the target or weights given to the method do not fit the network.
  func training(
    _ network: Network, on dataset: ImageDataset, seed: UInt64, precision: Precision, distillation: Distillation?
  ) throws -> any PruningLearner
}

/// A pruning method that can be named in a configuration: its hyper-parameters are a group of settings.
public protocol PruningMethod: Pruner, InlineGroup, Sendable {
  /// What it is called there, such as `bip`.
  static var name: String { get }
  /// Whether it prunes a trained network; else it starts from a new one.
  static var startsTrained: Bool { get }

  /// The method with every hyper-parameter at its default, which may depend on what is pruned.
  init(_ target: PruningTarget)

  /// Images a training step.
  var batchSize: Int { get }
  /// Files that the method reads, by their settings.
  var files: KeyValuePairs<String, String?> { get }
  /// The epoch of the dense training whose weights the method wants as well, where that training is part of the run.
  var snapshotEpoch: Int? { get }

  /// - Throws: `InputError` for a hyper-parameter out of its range.
  func validate() throws(InputError)

  /// Takes the weights after ``snapshotEpoch``, which the dense training of the run has left in a file.
  mutating func takeSnapshot(at path: String)
}

extension PruningMethod {
  public static var startsTrained: Bool { true }
  public var files: KeyValuePairs<String, String?> { [:] }
  public var snapshotEpoch: Int? { nil }
  public mutating func takeSnapshot(at path: String) {}
}

/// A pruning method at work on a network.
public protocol PruningLearner: Learner {
  var network: Network { get }
  /// The mask as it is now.
  var mask: Mask { get }
  /// What it has learned of each weight's worth, `[n]` in the order of the mask's layout; nil: it learns no scores.
  var learnedScores: Tensor? { get }
  /// Writes the masked weights as they are now into the network.
  func finish()
}

extension PruningLearner {
  public var learnedScores: Tensor? { nil }
}

/// Trains the weights that a fixed mask keeps: pruned ones are zero after every step, whatever momentum and weight
/// decay do.
public final class MaskedTraining: PruningLearner {
  public private(set) var mask: Mask
  private let training: ClassifierTraining

  /// Applies `mask` to `network` at once.
  public init(
    _ network: Network, _ mask: Mask, on dataset: ImageDataset, recipe: TrainingRecipe, seed: UInt64,
    precision: Precision = .automatic, distillation: Distillation? = nil
  ) {
    self.mask = mask
    mask.apply(to: network)
    training = ClassifierTraining(
      network, on: dataset, recipe: recipe, seed: seed, precision: precision, distillation: distillation)
  }

  public var network: Network { training.network }
  public var epochs: Int { training.epochs }
  public var stepsPerEpoch: Int { training.stepsPerEpoch }
  public var imagesPerStep: Int { training.imagesPerStep }
  public var learningRate: Double { training.learningRate }

  public func step(at position: LoaderPosition) -> StepResult {
    let result = training.step(at: position)
    mask.apply(to: network)
    return result
  }

  /// Goes on with another mask.
  func hold(to mask: Mask) {
    self.mask = mask
    mask.apply(to: network)
  }

  public func finish() { mask.apply(to: network) }

  public var state: StateDictionary {
    var state = training.state
    state[Mask.stateKey] = mask.values
    return state
  }

  public func restore(_ state: StateDictionary, from location: String) throws(InputError) {
    mask = try Mask(layout: mask.layout, in: state, from: location)
    try training.restore(StateDictionary(state.filter { $0.name != Mask.stateKey }), from: location)
  }
}
