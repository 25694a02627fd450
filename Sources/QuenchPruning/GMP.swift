import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Gradual magnitude pruning (Zhu and Gupta 2017, equation 1): while a trained network trains on, the fraction of dropped
/// weights, or of groups of channels, rises to the target's by a cubic, so that the network can mend each small loss.
public struct GMP: PruningMethod {
  public static let name = "gmp"

  public var target: PruningTarget
  /// The whole training, in the course of which weights are dropped.
  public var recipe = TrainingRecipe()
  /// The fraction of the steps over which weights are dropped; in the rest what stays is trained.
  public var rise = 0.7
  /// Steps from one mask to the next.
  public var interval = 20

  private enum CodingKeys: CodingKey { case target, recipe, rise, interval }

  public init(_ target: PruningTarget) { self.target = target }

  public var batchSize: Int { recipe.batchSize }

  public func validate() throws(InputError) {
    try recipe.validate()
    try requireSetting(recipe.epochs > 0, "epochs", "at least 1, in which weights are dropped", recipe.epochs)
    try requireSetting((0...1).contains(rise), "rise", "from 0 to 1", rise)
    try requireSetting(interval > 0, "interval", "at least 1", interval)
    try target.requireGradual()
  }

  public func training(
    _ network: Network, on dataset: ImageDataset, seed: UInt64, precision: Precision = .automatic,
    distillation: Distillation? = nil
  ) throws -> any PruningLearner {
    let layout = try target.layout(of: network)
    _ = try target.checkedMask(layout.weights(of: network).abs(), layout)
    return GradualTraining(
      self,
      MaskedTraining(
        network, Mask(layout: layout, values: .ones([layout.count], device: network.device)), on: dataset,
        recipe: recipe, seed: seed, precision: precision, distillation: distillation))
  }
}

/// Trains a network while ever more of its weights are dropped.
private final class GradualTraining: PruningLearner {
  private let method: GMP
  private let training: MaskedTraining

  init(_ method: GMP, _ training: MaskedTraining) {
    (self.method, self.training) = (method, training)
  }

  var network: Network { training.network }
  var mask: Mask { training.mask }
  var epochs: Int { training.epochs }
  var stepsPerEpoch: Int { training.stepsPerEpoch }
  var imagesPerStep: Int { training.imagesPerStep }
  var learningRate: Double { training.learningRate }

  func step(at position: LoaderPosition) throws -> StepResult {
    let step = position.epoch * stepsPerEpoch + position.batch
    let steps = epochs * stepsPerEpoch
    let isLast = step == Int(method.rise * Double(steps)) || step == steps - 1
    if step % method.interval == 0 || isLast {
      try drop(method.target.keeping(method.target.keepRatio.reached(at: step, of: steps, rise: method.rise)))
    }
    return training.step(at: position)
  }

  /// Weights that are zero already are the smallest, so that what was dropped stays so.
  private func drop(_ target: PruningTarget) throws(InputError) {
    guard target.keepRatio.sparsity > 0 else { return }
    training.hold(to: try target.checkedMask(mask.layout.weights(of: network).abs(), mask.layout))
  }

  func finish() { training.finish() }
  var state: StateDictionary { training.state }

  func restore(_ state: StateDictionary, from location: String) throws(InputError) {
    try training.restore(state, from: location)
  }
}
