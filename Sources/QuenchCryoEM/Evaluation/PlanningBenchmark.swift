import Foundation
import QuenchSupport

/// How fast the environment and the planners are, in processor time of one thread, so that other work on the machine
/// changes it little.
public struct PlanningBenchmark {
  public let environment: Environment
  /// For each figure.
  public let seconds: Double
  /// Side by side.
  public let episodes: Int

  /// - Parameters:
  ///   - environment: Of holes that are all predicted.
  ///   - seconds: For each figure.
  ///   - episodes: Episodes side by side.
  public init(_ environment: Environment, seconds: Double = 2, episodes: Int = 64) {
    (self.environment, self.seconds, self.episodes) = (environment, seconds, episodes)
  }

  public struct Figures: Codable, Hashable, Sendable {
    public var holes: Int
    public var episodes: Int
    /// Over all episodes: without features, with frames kept, with observations of the holes that can be chosen, and of
    /// all holes.
    public var visitsPerSecond: Double
    public var visitsPerSecondFrames: Double
    public var visitsPerSecondCandidates: Double
    public var visitsPerSecondObservations: Double
    /// Medians, for 480 minutes.
    public var oraclePlanMs: Double
    public var treeDpPlanMs: Double
    public var replanMs: Double
    /// The slowest.
    public var replanWorstMs: Double
  }

  /// Processor time that this process has used.
  private static var processorSeconds: Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  private enum Features { case none, frames, candidates, all }

  public func measure() -> Figures {
    let replans = self.replans()
    let survey = environment.survey
    return Figures(
      holes: survey.count, episodes: episodes, visitsPerSecond: rate(.none), visitsPerSecondFrames: rate(.frames),
      visitsPerSecondCandidates: rate(.candidates), visitsPerSecondObservations: rate(.all),
      oraclePlanMs: plan(survey.holes.map { $0.fit.isGood(threshold: 6) ? 1 : 0 }),
      treeDpPlanMs: plan(
        Calibration.logistic(LogisticCalibration(assumingThreshold: 6, for: survey.predictionKind))
          .probabilities(of: survey, threshold: 6)),
      replanMs: replans.median, replanWorstMs: replans.worst)
  }

  /// Hole visits a second, summed over episodes side by side that each walk through the survey in order.
  private func rate(_ features: Features) -> Double {
    var vector = VectorEnvironment(environment, count: episodes, using: SplitMix64(1))
    let encoder = FeatureEncoder(environment, mode: FeatureMode())
    var frames = features == .none ? [] : vector.episodes.map { FeatureFrames(encoder, $0.acquisition) }
    let all = Array(environment.survey.holes.indices)
    let count = environment.survey.count
    var checksum: Float = 0
    var visits = 0
    let start = Self.processorSeconds
    while Self.processorSeconds - start < seconds {
      let holes = vector.episodes.map { ($0.acquisition.current + 1) % count }
      let results = vector.step(holes)
      visits += holes.count
      guard features != .none else { continue }
      for index in frames.indices {
        if results[index].isDone {
          frames[index] = FeatureFrames(encoder, vector.episodes[index].acquisition)
        } else {
          frames[index].visit(holes[index], vector.episodes[index].acquisition)
        }
        if features == .candidates {
          let acquisition = vector.episodes[index].acquisition
          let candidates = encoder.candidates { acquisition.isVisited[$0] }
          checksum += frames[index].observations(of: candidates)[0]
        } else if features == .all {
          checksum += frames[index].observations(of: all)[0]
        }
      }
    }
    precondition(checksum.isFinite)
    return Double(visits) / (Self.processorSeconds - start)
  }

  /// Median milliseconds of a plan from the first hole.
  private func plan(_ values: [Double]) -> Double {
    let planner = TreePlanner(environment.survey, minutes: environment.rules.minutes)
    var isVisited = [Bool](repeating: false, count: values.count)
    isVisited[0] = true
    return repeated { _ = planner.plan(values: values, from: 0, isVisited: isVisited, budget: 480) }.median
  }

  /// Milliseconds of taking in an outcome and planning anew, over an acquisition of 480 minutes.
  private func replans() -> (median: Double, worst: Double) {
    var planner = ClosedLoopPlanner(assumingThreshold: 6, for: environment.survey.predictionKind)
    var episode = environment.start(at: 0)
    planner.begin(episode.acquisition)
    var times: [Double] = []
    while !episode.isDone {
      let start = Self.processorSeconds
      let hole = planner.next(episode.acquisition)
      times.append((Self.processorSeconds - start) * 1000)
      guard let hole else { break }
      episode.visit(hole)
    }
    times.sort()
    return (times[times.count / 2], times.last ?? 0)
  }

  private func repeated(_ work: () -> Void) -> (median: Double, worst: Double) {
    var times: [Double] = []
    let first = Self.processorSeconds
    while times.count < 5 || Self.processorSeconds - first < seconds / 2 {
      let start = Self.processorSeconds
      work()
      times.append((Self.processorSeconds - start) * 1000)
    }
    times.sort()
    return (times[times.count / 2], times.last ?? 0)
  }
}
