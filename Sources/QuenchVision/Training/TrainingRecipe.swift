import QuenchReporting
import QuenchSupport
import QuenchTorch

/// How a classifier is trained: stochastic gradient descent with momentum.
public struct TrainingRecipe: Hashable, Codable, Sendable, InlineGroup {
  /// The learning rate's course, after it has risen.
  public enum Course: String, CaseIterable, Codable, Sendable {
    case cosine
    /// A tenth after a half and again after three quarters of the epochs.
    case step
    case constant
  }

  /// 0: the network is looked at as it is.
  public var epochs = 10
  public var batchSize = 128
  public var learningRate = 0.1
  public var momentum = 0.9
  public var nesterov = true
  public var weightDecay = 5e-4
  public var schedule = Course.cosine
  /// Epochs over which the learning rate rises from a tenth; nil: 1, or a fifth of a shorter run.
  public var warmUp: Double?
  public var labelSmoothing = 0.0
  /// The largest norm of all gradients together; nil: any.
  public var clipNorm: Double?
  /// Crop and mirror training images at random.
  public var augmentation = true

  /// The standard deviation of Gaussian noise that is added to training images, in units in which pixels lie in
  /// [0, 1]: what a classifier that is certified under such noise learns from (Cohen et al. 2019).
  public var noise = 0.0

  private enum CodingKeys: CodingKey {
    case epochs, batchSize, learningRate, momentum, weightDecay, labelSmoothing, clipNorm, schedule, warmUp
    case augmentation
  }

  public init() {}

  /// The learning rate's whole course, as factors of ``learningRate``.
  public var learningRateSchedule: Schedule {
    let course: Schedule =
      switch schedule {
      case .cosine: .cosine
      case .step: .step(milestones: [0.5, 0.75], factor: 0.1)
      case .constant: .constant
      }
    let rise = warmUp ?? min(1, Double(epochs) / 5)
    return rise > 0 ? .warmUp(epochs: rise, from: 0.1, then: course) : course
  }

  /// - Throws: `InputError` for a value out of its range.
  public func validate() throws(InputError) {
    try requireSetting(epochs >= 0, "epochs", "0 or more", epochs)
    try requireSetting(batchSize > 1, "batch-size", "at least 2, which batch norm needs", batchSize)
    try requireSetting(learningRate > 0 && learningRate.isFinite, "learning-rate", "above 0", learningRate)
    try requireSetting((0..<1).contains(momentum), "momentum", "0 or more and below 1", momentum)
    try requireSetting(weightDecay >= 0 && weightDecay.isFinite, "weight-decay", "0 or more", weightDecay)
    try requireSetting((0..<1).contains(labelSmoothing), "label-smoothing", "0 or more and below 1", labelSmoothing)
    try requireSetting((clipNorm ?? 1) > 0, "clip-norm", "above 0", clipNorm ?? 0)
    try requireSetting(noise >= 0 && noise.isFinite, "noise", "0 or more", noise)
    try requireSetting(
      (0...Double(max(epochs, 0))).contains(warmUp ?? 0), "warm-up", "from 0 to the number of epochs", warmUp ?? 0)
  }
}

extension SGD {
  /// Moves all parameters of a network as the recipe says.
  public convenience init(_ network: Network, _ recipe: TrainingRecipe) {
    self.init(
      parameters: network.parameters.map { ($0.name, $0.tensor) }, learningRate: recipe.learningRate,
      momentum: recipe.momentum, weightDecay: recipe.weightDecay, nesterov: recipe.nesterov && recipe.momentum > 0)
  }
}
