import ArgumentParser
import CryoEM
import Foundation
import Reporting
import Support
import Vision

struct CryoBenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure the environment and the planners.",
    discussion: """
      All times are processor time of one thread, so that other work on the machine
      changes them little.

      Examples:
        quench cryo bench --survey train.csv --predictions train.txt
      """)

  @OptionGroup(title: "Survey") var survey: SurveyOptions

  @Option(help: "Seconds for each figure.")
  var seconds = 2.0

  @Option(help: "Episodes side by side.")
  var episodes = 64

  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard (0.01...60).contains(seconds) else { throw ValidationError("--seconds must be 0.01 to 60.") }
    guard (1...10_000).contains(episodes) else { throw ValidationError("--episodes must be 1 to 10000.") }
  }

  func run() throws {
    let survey = try CryoData.measured(self.survey.load(output).survey, output)
    guard survey.holes.allSatisfy({ $0.prediction != nil }) else {
      throw InputError("this needs a prediction of every hole", at: "--predictions")
    }
    let bench = CryoBench(
      environment: try Environment(survey, rules: AcquisitionRules(budget: 480, rule: .reference)),
      seconds: seconds,
      episodes: episodes)
    let summary = try bench.measure()
    func number(_ key: String) -> String { NumberText.plain(summary[key]?.number ?? .nan, digits: 3) }
    output.printResult(
      summary,
      """
      holes                         \(survey.count)
      visits a second, no features  \(Wording.count(summary["visits_per_second"]?.number))
      with frames kept              \(Wording.count(summary["visits_per_second_frames"]?.number))
      with candidates' observations \(Wording.count(summary["visits_per_second_candidates"]?.number))
      with all holes' observations  \(Wording.count(summary["visits_per_second_observations"]?.number))
      oracle plan, 480 min          \(number("oracle_plan_ms")) ms (median)
      tree-dp plan, 480 min         \(number("tree_dp_plan_ms")) ms (median)
      closed-loop re-plan           \(number("replan_ms")) ms (median), \(number("replan_worst_ms")) ms (worst)
      """)
  }
}

/// The figures of `quench cryo bench`.
struct CryoBench {
  let environment: Environment
  let seconds: Double
  let episodes: Int

  /// Processor time that this process has used.
  private static var processorSeconds: Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  private enum Features { case none, frames, candidates, all }

  func measure() throws -> Record {
    let replans = self.replans()
    return [
      "holes": .int(environment.survey.count), "episodes": .int(episodes),
      "visits_per_second": .double(rate(.none)), "visits_per_second_frames": .double(rate(.frames)),
      "visits_per_second_candidates": .double(rate(.candidates)),
      "visits_per_second_observations": .double(rate(.all)),
      "oracle_plan_ms": .double(plan(environment.survey.holes.map { $0.fit.isGood(threshold: 6) ? 1 : 0 })),
      "tree_dp_plan_ms": .double(
        plan(
          Calibration.logistic(
            LogisticCalibration(assumingThreshold: 6, for: environment.survey.predictionKind)
          ).probabilities(of: environment.survey, threshold: 6))),
      "replan_ms": .double(replans.median), "replan_worst_ms": .double(replans.worst)
    ]
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
