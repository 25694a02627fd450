import Foundation
import QuenchSupport

/// How a visit is rewarded, by cryoRL's code. The true fit decides, never a prediction.
public struct RewardRule: Hashable, Sendable {
  /// What a good hole earns, by the move to it.
  public var table = MoveTable.headRewards
  /// Whether a hole that misses the threshold by e Å earns max(r (1.2 exp(-1.7 e / 2) - 0.2), 0) instead of nothing.
  public var isDynamic = false
  /// Whether a bad hole costs 0.2 for each of the bad holes that were visited in its patch without a break, itself
  /// included, up to 1.
  public var penalizesBadHoles = false

  public init(_ table: MoveTable = .headRewards, isDynamic: Bool = false, penalizesBadHoles: Bool = false) {
    self.table = table
    self.isDynamic = isDynamic
    self.penalizesBadHoles = penalizesBadHoles
  }

  /// The share of the move's reward that a hole earns.
  public func share(of fit: CTFFit, threshold: Double) -> Double {
    if fit.isGood(threshold: threshold) { return 1 }
    guard isDynamic, let resolution = fit.clippedResolution else { return 0 }
    return max(1.2 * exp(-1.7 * (resolution - threshold) / 2) - 0.2, 0)
  }
}

/// A survey whose measurements are known, to try policies on: the one acquisition environment.
public struct Environment: Sendable {
  /// With measurements.
  public let survey: Survey
  /// The same without them, as policies see it.
  public let visible: Survey
  public let rules: AcquisitionRules
  public let rewards: RewardRule
  /// Whether each hole is good.
  let isGood: [Bool]
  /// The share of the move's reward that each hole earns.
  let shares: [Double]

  /// - Throws: `InputError` if the rules make no sense or a hole was never measured.
  public init(
    _ survey: Survey, rules: AcquisitionRules, rewards: RewardRule = RewardRule()
  ) throws(InputError) {
    try rules.validate()
    let unmeasured = survey.holes.lazy.filter { !$0.fit.isMeasured }
    if let first = unmeasured.first {
      throw InputError(
        "\(unmeasured.count) of \(survey.count) holes have no measured CTF", at: "the survey", found: first.name,
        remedy: "policies can be compared only on holes whose outcome is known")
    }
    self.survey = survey
    visible = survey.withoutMeasurements
    self.rules = rules
    self.rewards = rewards
    isGood = survey.holes.map { $0.fit.isGood(threshold: rules.threshold) }
    shares = survey.holes.map { rewards.share(of: $0.fit, threshold: rules.threshold) }
  }

  /// The same survey under another budget.
  public func with(budget: Double) throws(InputError) -> Environment {
    var rules = rules
    rules.budget = budget
    return try Environment(survey, rules: rules, rewards: rewards)
  }

  /// An episode that begins at `start`.
  public func start(at start: Int) -> Episode { Episode(self, start: start) }
}

/// One acquisition in an ``Environment``.
public struct Episode: Sendable {
  public let environment: Environment
  /// What a policy may see.
  public private(set) var acquisition: Acquisition
  /// Good holes that count.
  public private(set) var good = 0
  /// Visits that count.
  public private(set) var visits = 0
  /// Rewards of the visits that count.
  public private(set) var reward = 0.0

  init(_ environment: Environment, start: Int) {
    self.environment = environment
    acquisition = Acquisition(
      environment.visible, rules: environment.rules, start: start, outcome: environment.survey.holes[start].fit)
  }

  public var isDone: Bool { acquisition.isDone }

  /// Exposes `hole`.
  /// - Returns: The reward, 0 for a visit that does not count.
  @discardableResult @inline(__always)
  public mutating func visit(_ hole: Int) -> Double {
    let move = environment.survey.move(from: acquisition.current, to: hole)
    acquisition.visit(hole, outcome: environment.survey.holes[hole].fit)
    let rules = environment.rules
    if rules.rule == .strict, acquisition.elapsed > rules.budget { return 0 }
    visits += 1
    let isGood = environment.isGood[hole]
    if isGood { good += 1 }
    var earned = environment.shares[hole] * environment.rewards.table[move]
    if environment.rewards.penalizesBadHoles, !isGood { earned += penalty }
    reward += earned
    return earned
  }

  private var penalty: Double {
    let survey = environment.survey
    var penalty = 0.0
    for hole in acquisition.visits.reversed() {
      guard survey.patchOfHole[hole] == survey.patchOfHole[acquisition.current], !environment.isGood[hole],
        penalty > -1
      else { break }
      penalty -= 0.2
    }
    return penalty
  }
}

/// Many episodes side by side; one that is done begins anew elsewhere.
public struct VectorEnvironment: Sendable {
  public let environment: Environment
  public private(set) var episodes: [Episode]
  /// Where the episodes that follow begin.
  private var starts: any RandomNumberGenerator & Sendable

  /// - Parameters:
  ///   - environment: What all of them happen in.
  ///   - count: How many episodes there are at once.
  ///   - generator: Draws the start holes. As in the published code the last hole is never one.
  public init(_ environment: Environment, count: Int, using generator: some RandomNumberGenerator & Sendable) {
    self.environment = environment
    starts = generator
    episodes = []
    for _ in 0..<count { episodes.append(environment.start(at: Self.draw(environment, &starts))) }
  }

  private static func draw(_ environment: Environment, _ generator: inout any RandomNumberGenerator & Sendable)
    -> Int
  {
    func drawn(_ generator: inout some RandomNumberGenerator) -> Int {
      Int.random(in: 0..<max(environment.survey.count - 1, 1), using: &generator)
    }
    return drawn(&generator)
  }

  /// Visits one hole in each episode, and replaces those that are done by new ones.
  /// - Returns: For each episode the reward and whether it ended.
  public mutating func step(_ holes: [Int]) -> [(reward: Double, isDone: Bool)] {
    precondition(holes.count == episodes.count, "one hole an episode")
    var results: [(reward: Double, isDone: Bool)] = []
    results.reserveCapacity(holes.count)
    for index in holes.indices {
      let reward = episodes[index].visit(holes[index])
      let isDone = episodes[index].isDone
      results.append((reward, isDone))
      if isDone { episodes[index] = environment.start(at: Self.draw(environment, &starts)) }
    }
    return results
  }
}
