import CryoEM
import CryoSession
import Foundation
import Reporting
import Support

/// What is told about a session under way.
enum LiveReport {
  /// One line after each new plan.
  static func line(_ session: LiveSession, _ plan: SessionPlan, _ milliseconds: Double) -> String {
    let elapsed = NumberText.fixed(session.acquisition.elapsed, decimals: 1)
    let next = plan.holes.first.map { "next \(session.survey.holes[$0].name)" } ?? "nothing left to do"
    return "\(elapsed) min  \(session.good) good of \(session.measured)  \(next)  "
      + "(\(NumberText.fixed(milliseconds, decimals: 1)) ms)"
  }

  static func summary(_ session: LiveSession, _ plan: SessionPlan, slowest: Double?) -> Record {
    var summary: Record = [
      "log": .string(session.log.url.relativePath), "events": .int(session.lastEvent),
      "exposed": .int(session.acquisition.visitCount), "measured": .int(session.measured),
      "good": .int(session.good),
      "minutes": .double(session.acquisition.elapsed), "planned": .int(plan.holes.count),
      "expected_good": .double(plan.expectedGood),
      "next": plan.holes.first.map { .string(session.survey.holes[$0].name) } ?? .null
    ]
    summary["expected_finish_minutes"] = plan.minutes.last.map { .double($0) }
    summary["slowest_plan_ms"] = slowest.map { .double($0) }
    return summary
  }

  static func text(_ session: LiveSession, _ plan: SessionPlan, slowest: Double) -> String {
    """
    good      \(session.good) of \(session.measured) measured, \(session.acquisition.visitCount) exposed \
    in \(NumberText.fixed(session.acquisition.elapsed, decimals: 1)) min
    planned   \(plan.holes.count) more, \(NumberText.fixed(plan.expectedGood, decimals: 1)) of them good by expectation
    planning  at most \(NumberText.fixed(slowest, decimals: 1)) ms
    log       \(session.log.url.relativePath)
    """
  }

  /// Takes in what was just noted, keeps the new plan and shows what comes next.
  static func planAnew(_ session: inout LiveSession, _ output: OutputOptions) throws(InputError) {
    try session.catchUp()
    let plan = session.plan()
    try session.log.keep(plan)
    output.printResult(summary(session, plan, slowest: nil), next(session, plan))
  }

  /// Why a session has nothing more to do; nil where it has.
  static func end(_ session: LiveSession) -> String? {
    guard session.acquisition.isDone else { return nil }
    guard session.acquisition.elapsed > session.settings.budget else { return "every hole is exposed" }
    return "the time is over: \(NumberText.fixed(session.acquisition.elapsed, decimals: 1)) of "
      + "\(NumberText.plain(session.settings.budget)) min; --minutes gives more, and if the clock was wrong, 'quench cryo "
      + "undo' takes notes back"
  }

  /// The next holes.
  static func next(_ session: LiveSession, _ plan: SessionPlan) -> String {
    guard !plan.holes.isEmpty else {
      return "\(session.good) good so far; " + (end(session) ?? "nothing left to do in the time that is left")
    }
    let lines = zip(plan.holes, plan.probabilities).prefix(5).map { hole, probability in
      "  \(session.survey.holes[hole].name)  \(NumberText.percent(probability, decimals: 0)) good"
    }
    return "\(session.good) good so far; next:\n" + lines.joined(separator: "\n")
  }
}
