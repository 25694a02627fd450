import QuenchCryoEM
import QuenchReporting

extension DQN.Preset: Codable {}

/// In files one flat list of keys.
extension DQN: InlineGroup {
  private enum Key: String, CodingKey {
    case epochs, stepsPerEpoch, learningRate, dueling, prioritized, priorityExponent, importanceExponent, discount
    case returnSteps, batchSize, replaySize, environments, targetInterval, initialExplorationRate
    case finalExplorationRate, minutes, validationEpisodes, features, trainsOnPredictions, smoothing, dynamicReward
    case penalizesBadHoles, variesBudget, rewards
  }

  /// α of prioritised replay where that is asked for and no other is given (Schaul et al. 2016, section 4).
  public static let usualPriorityExponent = 0.6

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(epochs, forKey: .epochs)
    try container.encode(stepsPerEpoch, forKey: .stepsPerEpoch)
    try container.encode(learningRate, forKey: .learningRate)
    try container.encode(isDueling, forKey: .dueling)
    try container.encode(priorityExponent != nil, forKey: .prioritized)
    try container.encode(priorityExponent ?? Self.usualPriorityExponent, forKey: .priorityExponent)
    try container.encode(importanceExponent, forKey: .importanceExponent)
    try container.encode(discount, forKey: .discount)
    try container.encode(returnSteps, forKey: .returnSteps)
    try container.encode(batchSize, forKey: .batchSize)
    try container.encode(replaySize, forKey: .replaySize)
    try container.encode(environments, forKey: .environments)
    try container.encode(targetInterval, forKey: .targetInterval)
    try container.encode(initialExplorationRate, forKey: .initialExplorationRate)
    try container.encode(finalExplorationRate, forKey: .finalExplorationRate)
    try container.encode(budget, forKey: .minutes)
    try container.encode(validationEpisodes, forKey: .validationEpisodes)
    try container.encode(features.kind, forKey: .features)
    try container.encode(features.usesPredictions, forKey: .trainsOnPredictions)
    try container.encode(features.smoothing, forKey: .smoothing)
    try container.encode(rewards.isDynamic, forKey: .dynamicReward)
    try container.encode(rewards.penalizesBadHoles, forKey: .penalizesBadHoles)
    try container.encode(variesBudget, forKey: .variesBudget)
    try container.encode(rewards.table, forKey: .rewards)
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    self.init()
    epochs = try container.decode(Int.self, forKey: .epochs)
    stepsPerEpoch = try container.decode(Int.self, forKey: .stepsPerEpoch)
    learningRate = try container.decode(Double.self, forKey: .learningRate)
    isDueling = try container.decode(Bool.self, forKey: .dueling)
    let exponent = try container.decode(Double.self, forKey: .priorityExponent)
    priorityExponent = try container.decode(Bool.self, forKey: .prioritized) ? exponent : nil
    importanceExponent = try container.decode(Double.self, forKey: .importanceExponent)
    discount = try container.decode(Double.self, forKey: .discount)
    returnSteps = try container.decode(Int.self, forKey: .returnSteps)
    batchSize = try container.decode(Int.self, forKey: .batchSize)
    replaySize = try container.decode(Int.self, forKey: .replaySize)
    environments = try container.decode(Int.self, forKey: .environments)
    targetInterval = try container.decode(Int.self, forKey: .targetInterval)
    initialExplorationRate = try container.decode(Double.self, forKey: .initialExplorationRate)
    finalExplorationRate = try container.decode(Double.self, forKey: .finalExplorationRate)
    budget = try container.decode(Double.self, forKey: .minutes)
    validationEpisodes = try container.decode(Int.self, forKey: .validationEpisodes)
    features = FeatureMode(
      try container.decode(FeatureMode.Kind.self, forKey: .features),
      usesPredictions: try container.decode(Bool.self, forKey: .trainsOnPredictions),
      smoothing: try container.decode(Double.self, forKey: .smoothing))
    rewards = RewardRule(
      try container.decode(MoveTable.self, forKey: .rewards),
      isDynamic: try container.decode(Bool.self, forKey: .dynamicReward),
      penalizesBadHoles: try container.decode(Bool.self, forKey: .penalizesBadHoles))
    variesBudget = try container.decode(Bool.self, forKey: .variesBudget)
  }
}
