import QuenchCryoEM
import QuenchSupport

/// Deep Q-learning of the next hole as published for cryoRL (arXiv 2204.07543, eLife 88640): double, n-step, optionally
/// dueling and with prioritised replay. Defaults are those of the published README command.
///
/// Deviations: the model is chosen by episodes on the training survey, not on the one that is reported; the arg-max looks
/// at three candidates a patch; a window cut by the newest transition bootstraps from the state it ends in; and dueling
/// averages over a state's holes.
public struct DQN: Hashable, Sendable {
  public var features = FeatureMode()
  public var rewards = RewardRule()
  public var isDueling = false
  /// α of prioritised replay; nil samples uniformly.
  public var priorityExponent: Double?
  /// β of prioritised replay.
  public var importanceExponent = 0.4
  public var learningRate = 0.01
  /// γ
  public var discount = 0.9
  /// Rewards in a return before it bootstraps.
  public var returnSteps = 3
  /// Transitions in an update.
  public var batchSize = 128
  /// Transitions that are kept, over all environments.
  public var replaySize = 20_000
  public var environments = 10
  /// Updates between two copies of the network to the target network.
  public var targetInterval = 320
  public var epochs = 20
  /// Steps of all environments in an epoch; each iteration is a step in every environment and one update.
  public var stepsPerEpoch = 2500
  /// ε during the first epoch.
  public var initialExplorationRate = 0.1
  /// ε from the end of the fifth epoch on; linear between.
  public var finalExplorationRate = 0.01
  /// Minutes of a training episode.
  public var budget = 480.0
  /// Episodes on the training survey after each epoch, by whose mean reward the best network is kept.
  public var validationEpisodes = 10
  /// Whether each training episode has a budget of its own, between a quarter of ``budget`` and all of it.
  public var variesBudget = false

  public init() {}

  /// The settings that a name stands for.
  public enum Preset: String, CaseIterable, Sendable {
    /// The published README: predictions in training and test, plain reward, no smoothing.
    case readme
    /// The published `train.sh`: true resolutions in training, predictions in test, dynamic reward, smoothing 0.5.
    case trainScript = "train-sh"
    /// Ours: outcomes and the time left in the state, budgets that vary, a lower learning rate.
    case feedback
  }

  public init(_ preset: Preset) {
    self.init()
    switch preset {
    case .readme: break
    case .trainScript:
      features = FeatureMode(usesPredictions: false, smoothing: 0.5)
      rewards.isDynamic = true
    case .feedback:
      features = FeatureMode(.feedback, smoothing: 0.5)
      rewards.isDynamic = true
      learningRate = 1e-3
      discount = 0.97
      variesBudget = true
    }
  }

  /// ε in `iteration`, counted from the first update on.
  func exploration(_ iteration: Int) -> Double {
    let step = Double(iteration * environments) / Double(stepsPerEpoch)
    let progress = min(max((step - 1) / 4, 0), 1)
    return initialExplorationRate + (finalExplorationRate - initialExplorationRate) * progress
  }

  /// - Throws: `InputError` if a number makes no sense.
  public func validate() throws(InputError) {
    func require(_ holds: Bool, _ key: String, _ expected: String, _ found: some Any) throws(InputError) {
      if !holds { throw InputError("a setting makes no sense", at: key, expected: expected, found: "\(found)") }
    }
    try require(learningRate > 0 && learningRate <= 1, "learning-rate", "above 0, at most 1", learningRate)
    try require((0..<1).contains(discount), "discount", "0 or more, below 1", discount)
    try require((1...100).contains(returnSteps), "return-steps", "1 to 100", returnSteps)
    try require((1...100_000).contains(epochs), "epochs", "1 or more", epochs)
    try require((1...10_000).contains(environments), "environments", "1 to 10000", environments)
    try require(
      stepsPerEpoch >= environments && stepsPerEpoch % environments == 0, "steps-per-epoch",
      "a multiple of \(environments)", stepsPerEpoch)
    try require((1...65_536).contains(batchSize), "batch-size", "1 to 65536", batchSize)
    try require(replaySize >= environments, "replay-size", "at least a transition an environment", replaySize)
    try require(budget > 0 && budget.isFinite, "minutes", "above 0", budget)
    try require(targetInterval >= 1, "target-interval", "at least 1", targetInterval)
    try require(validationEpisodes >= 1, "validation-episodes", "at least 1", validationEpisodes)
    try require((0...5).contains(features.smoothing), "smoothing", "0 to 5", features.smoothing)
  }
}
