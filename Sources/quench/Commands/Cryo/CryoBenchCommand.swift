import ArgumentParser
import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport

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
    let survey = try self.survey.load(output).survey.measured(output.console)
    guard survey.holes.allSatisfy({ $0.prediction != nil }) else {
      throw InputError("this needs a prediction of every hole", at: "--predictions")
    }
    let environment = try Environment(survey, rules: AcquisitionRules(budget: 480, rule: .reference))
    let figures = PlanningBenchmark(environment, seconds: seconds, episodes: episodes).measure()
    let summary = try Value(encoding: figures, style: .figures).record ?? [:]
    func number(_ value: Double) -> String { NumberText.plain(value, digits: 3) }
    output.printResult(
      summary,
      """
      holes                         \(survey.count)
      visits a second, no features  \(Wording.count(figures.visitsPerSecond))
      with frames kept              \(Wording.count(figures.visitsPerSecondFrames))
      with candidates' observations \(Wording.count(figures.visitsPerSecondCandidates))
      with all holes' observations  \(Wording.count(figures.visitsPerSecondObservations))
      oracle plan, 480 min          \(number(figures.oraclePlanMs)) ms (median)
      tree-dp plan, 480 min         \(number(figures.treeDpPlanMs)) ms (median)
      closed-loop re-plan           \(number(figures.replanMs)) ms (median), \(number(figures.replanWorstMs)) ms (worst)
      """)
  }
}
