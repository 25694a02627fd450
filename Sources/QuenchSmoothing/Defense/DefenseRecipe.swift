import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// How a defense or a part of one is trained: Adam first, then stochastic gradient descent.
public struct DefenseRecipe: InlineGroup, Hashable, Sendable {
  /// The learning rate's course.
  public enum Course: String, CaseIterable, Codable, Sendable {
    /// A tenth after every ``DefenseRecipe/decayEvery`` epochs.
    case step
    /// Half a cosine from the initial rate to 0, over both optimizers' epochs.
    case cosine
  }

  public var epochs = 600
  /// Epochs of Adam, after which stochastic gradient descent goes on; nil: all.
  public var adamEpochs: Int? = 200
  public var batchSize = 256
  public var learningRate = 1e-3
  public var schedule = Course.step
  /// Epochs after which the learning rate falls to a tenth, each optimizer's counted by itself.
  public var decayEvery = 200
  public var momentum = 0.9
  /// Added to the gradient, with Adam too.
  public var weightDecay = 1e-5
  /// σ of the noise on training images, in units in which pixels lie in [0, 1].
  public var sigma = 0.25
  /// Crop and mirror training images at random.
  public var augmentation = true

  public init() {}

  /// - Throws: `InputError` for a value out of its range.
  public func validate() throws(InputError) {
    try requireSetting(epochs > 0, "epochs", "at least 1", epochs)
    try requireSetting(adamEpochs ?? 0 >= 0, "adam-epochs", "0 or more", adamEpochs ?? 0)
    try requireSetting(batchSize > 1, "batch-size", "at least 2, which batch norm needs", batchSize)
    try requireSetting(learningRate > 0 && learningRate.isFinite, "learning-rate", "above 0", learningRate)
    try requireSetting(decayEvery > 0, "decay-every", "at least 1", decayEvery)
    try requireSetting((0..<1).contains(momentum), "momentum", "0 or more and below 1", momentum)
    try requireSetting(weightDecay >= 0 && weightDecay.isFinite, "weight-decay", "0 or more", weightDecay)
    try requireSetting(sigma > 0 && sigma.isFinite, "sigma", "above 0", sigma)
  }

  /// A tenth for every ``decayEvery`` epochs, one epoch late as in the public code: 0.1^⌊(epoch - 1) / decayEvery⌋.
  public func decay(at epoch: Int) -> Double { pow(0.1, Double(max(epoch - 1, 0) / decayEvery)) }

  /// Whether Adam makes the steps of an epoch, and their learning rate.
  /// - Parameters:
  ///   - epoch: From 0.
  ///   - progress: How much of it is done, in [0, 1).
  func step(epoch: Int, progress: Double) -> (usesAdam: Bool, learningRate: Double) {
    let adamEpochs = adamEpochs ?? epochs
    let usesAdam = epoch < adamEpochs
    let factor =
      switch schedule {
      case .step: decay(at: usesAdam ? epoch : epoch - adamEpochs)
      case .cosine: Schedule.cosine.factor(at: Double(epoch) + progress, of: Double(epochs))
      }
    return (usesAdam, learningRate * factor)
  }
}

/// The two optimizers of a ``DefenseRecipe`` over the same parameters.
final class RecipeOptimizer {
  private let recipe: DefenseRecipe
  private let adam: Adam
  private let descent: SGD
  private(set) var learningRate: Double

  init(_ recipe: DefenseRecipe, _ parameters: [NamedTensor]) {
    self.recipe = recipe
    learningRate = recipe.learningRate
    adam = Adam(parameters: parameters, learningRate: learningRate, weightDecay: recipe.weightDecay)
    descent = SGD(
      parameters: parameters, learningRate: learningRate, momentum: recipe.momentum, weightDecay: recipe.weightDecay
    )
  }

  func zeroGradients() { adam.zeroGradients() }

  func step(at position: LoaderPosition, of stepsPerEpoch: Int) {
    let (usesAdam, rate) = recipe.step(
      epoch: position.epoch, progress: Double(position.batch) / Double(stepsPerEpoch))
    learningRate = rate
    let optimizer: any Optimizer = usesAdam ? adam : descent
    optimizer.learningRate = rate
    optimizer.step()
  }

  var state: StateDictionary {
    StateDictionary(
      adam.state.map { ("adam.\($0.name)", $0.tensor) } + descent.state.map { ("descent.\($0.name)", $0.tensor) })
  }

  func restore(_ state: StateDictionary, from location: String) throws(InputError) {
    try adam.restore(state.partitioned(byPrefix: "adam.").matching, from: location)
    try descent.restore(state.partitioned(byPrefix: "descent.").matching, from: location)
  }
}

/// Networks that are trained together, with their optimizer: what the learners of this room have in common.
final class TrainedParts {
  let parts: [(name: String, network: Network)]
  let optimizer: RecipeOptimizer

  init(_ parts: [(name: String, network: Network)], _ recipe: DefenseRecipe) {
    self.parts = parts
    for part in parts { part.network.setTrainable(true) }
    optimizer = RecipeOptimizer(
      recipe, parts.flatMap { part in part.network.parameters.map { ("\(part.name).\($0.name)", $0.tensor) } })
  }

  /// Runs `body` in training mode; if it throws, the running statistics are what they were.
  func training<Result>(_ body: () throws -> Result) throws -> Result {
    for part in parts { part.network.isTraining = true }
    defer { for part in parts { part.network.isTraining = false } }
    let buffers = parts.flatMap { $0.network.buffers.map(\.tensor) }
    let before = buffers.map { $0.cloned() }
    do { return try body() } catch {
      for (buffer, value) in zip(buffers, before) { buffer.copy(from: value) }
      throw error
    }
  }

  var state: StateDictionary {
    var state = StateDictionary(
      parts.flatMap { part in part.network.state.map { ("\(part.name).\($0.name)", $0.tensor) } })
    state.add(optimizer.state, prefix: "optimizer.")
    return state
  }

  func restore(_ state: StateDictionary, from location: String) throws(InputError) {
    var rest = state
    for part in parts {
      let split = rest.partitioned(byPrefix: "\(part.name).")
      try part.network.load(split.matching, from: location)
      rest = split.rest
    }
    try optimizer.restore(rest.partitioned(byPrefix: "optimizer.").matching, from: location)
  }
}
