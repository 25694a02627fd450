/// What an episode came to.
public struct EpisodeResult: Hashable, Sendable {
  /// Good holes.
  public var good: Int
  /// Exposures that count.
  public var visits: Int
  /// Minutes after the last visit, counted or not.
  public var minutes: Double
  public var reward: Double
}

/// An episode step by step.
public struct Trace: Hashable, Sendable {
  public struct Step: Hashable, Sendable {
    public var hole: Int
    public var move: Move
    /// Minutes since the start, after the visit.
    public var elapsed: Double
    public var isGood: Bool
    public var reward: Double
  }

  public var start: Int
  public var steps: [Step] = []

  /// What the episode would have come to under another, not larger, budget, if the policy does not look at the budget.
  public func result(budget: Double, rule: BudgetRule) -> EpisodeResult {
    var result = EpisodeResult(good: 0, visits: 0, minutes: 0, reward: 0)
    for step in steps where result.minutes <= budget {
      result.minutes = step.elapsed
      guard rule == .reference || step.elapsed <= budget else { break }
      result.visits += 1
      result.good += step.isGood ? 1 : 0
      result.reward += step.reward
    }
    return result
  }

  /// Minutes spent on each kind of move.
  public var minutesByMove: [Move: Double] {
    var before = 0.0
    return steps.reduce(into: [:]) { minutes, step in
      minutes[step.move, default: 0] += step.elapsed - before
      before = step.elapsed
    }
  }
}

extension Environment {
  /// Lets `policy` act from `start` until the episode is done or it has no hole left to propose.
  public func run(_ policy: some Policy, from start: Int) -> Trace {
    var policy = policy
    var episode = self.start(at: start)
    var trace = Trace(start: start)
    policy.begin(episode.acquisition)
    while !episode.isDone, let hole = policy.next(episode.acquisition) {
      let move = survey.move(from: episode.acquisition.current, to: hole)
      let reward = episode.visit(hole)
      trace.steps.append(
        .init(hole: hole, move: move, elapsed: episode.acquisition.elapsed, isGood: isGood[hole], reward: reward))
    }
    return trace
  }
}
