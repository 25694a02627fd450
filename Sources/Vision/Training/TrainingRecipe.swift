import Support
import Torch

/// How a classifier is trained: stochastic gradient descent with momentum.
public struct TrainingRecipe: Hashable, Codable, Sendable {
  public var epochs = 10
  public var batchSize = 128
  public var learningRate = 0.1
  public var momentum = 0.9
  public var nesterov = true
  public var weightDecay = 5e-4
  /// The learning rate's course over the epochs.
  public var schedule = Schedule.warmUp(epochs: 1, from: 0.1, then: .cosine)
  public var labelSmoothing = 0.0
  /// The largest norm of all gradients together; nil: any.
  public var clipNorm: Double?
  /// Random crops and flips; nil: images as they are.
  public var augmentation: Augmentation? = Augmentation()

  /// The standard deviation of Gaussian noise that is added to training images, in units in which pixels lie in
  /// [0, 1]: what a classifier that is certified under such noise learns from (Cohen et al. 2019).
  public var noise = 0.0

  public init() {}

  /// - Throws: `InputError` for a value out of its range.
  public func validate() throws(InputError) {
    func require(_ holds: Bool, _ flag: String, _ expected: String, _ found: Any) throws(InputError) {
      guard holds else { throw InputError("out of range", at: flag, expected: expected, found: "\(found)") }
    }
    try require(epochs > 0, "--epochs", "at least 1", epochs)
    try require(batchSize > 1, "--batch-size", "at least 2, which batch norm needs", batchSize)
    try require(learningRate > 0 && learningRate.isFinite, "--learning-rate", "above 0", learningRate)
    try require((0..<1).contains(momentum), "--momentum", "0 or more and below 1", momentum)
    try require(weightDecay >= 0 && weightDecay.isFinite, "--weight-decay", "0 or more", weightDecay)
    try require((0..<1).contains(labelSmoothing), "--label-smoothing", "0 or more and below 1", labelSmoothing)
    try require((clipNorm ?? 1) > 0, "--clip-norm", "above 0", clipNorm ?? 0)
    try require(noise >= 0 && noise.isFinite, "--noise", "0 or more", noise)
  }
}

extension SGD {
  /// Moves all parameters of a network as the recipe says.
  public convenience init(_ network: Network, _ recipe: TrainingRecipe) {
    self.init(
      parameters: network.parameters.map { ($0.name, $0.tensor) }, learningRate: recipe.learningRate,
      momentum: recipe.momentum, weightDecay: recipe.weightDecay, nesterov: recipe.nesterov)
  }
}
