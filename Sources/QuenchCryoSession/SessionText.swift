import QuenchCryoEM
import QuenchReporting
import QuenchSupport

/// What is told about a session under way.
extension LiveSession {
  /// One line after each new plan.
  /// - Parameters:
  ///   - plan: The new plan.
  ///   - milliseconds: What making it took.
  public func line(_ plan: SessionPlan, milliseconds: Double) -> String {
    let elapsed = NumberText.fixed(acquisition.elapsed, decimals: 1)
    let next = plan.holes.first.map { "next \(survey.holes[$0].name)" } ?? "nothing left to do"
    return "\(elapsed) min  \(good) good of \(measured)  \(next)  "
      + "(\(NumberText.fixed(milliseconds, decimals: 1)) ms)"
  }

  /// Where the session stands, for machines.
  /// - Parameters:
  ///   - plan: The last plan.
  ///   - slowest: The most milliseconds that making a plan took; nil where that was not measured.
  public func summary(_ plan: SessionPlan, slowest: Double? = nil) -> Record {
    var summary: Record = [
      "log": .string(log.url.relativePath), "events": .int(lastEvent), "exposed": .int(acquisition.visitCount),
      "measured": .int(measured), "good": .int(good), "minutes": .double(acquisition.elapsed),
      "planned": .int(plan.holes.count), "expected_good": .double(plan.expectedGood),
      "next": plan.holes.first.map { .string(survey.holes[$0].name) } ?? .null
    ]
    summary["expected_finish_minutes"] = plan.minutes.last.map { .double($0) }
    summary["slowest_plan_ms"] = slowest.map { .double($0) }
    return summary
  }

  /// Where the session stands, for people.
  /// - Parameters:
  ///   - plan: The last plan.
  ///   - slowest: The most milliseconds that making a plan took.
  public func text(_ plan: SessionPlan, slowest: Double) -> String {
    """
    good      \(good) of \(measured) measured, \(acquisition.visitCount) exposed \
    in \(NumberText.fixed(acquisition.elapsed, decimals: 1)) min
    planned   \(plan.holes.count) more, \(NumberText.fixed(plan.expectedGood, decimals: 1)) of them good by expectation
    planning  at most \(NumberText.fixed(slowest, decimals: 1)) ms
    log       \(log.url.relativePath)
    """
  }

  /// Why the session has nothing more to do; nil where it has.
  public var end: String? {
    guard acquisition.isDone else { return nil }
    guard acquisition.elapsed > settings.budget else { return "every hole is exposed" }
    return "the time is over: \(NumberText.fixed(acquisition.elapsed, decimals: 1)) of "
      + "\(NumberText.plain(settings.budget)) min; --minutes gives more, and if the clock was wrong, 'quench cryo "
      + "undo' takes notes back"
  }

  /// The next holes of a plan, a line each.
  public func next(_ plan: SessionPlan) -> String {
    guard !plan.holes.isEmpty else {
      return "\(good) good so far; " + (end ?? "nothing left to do in the time that is left")
    }
    let lines = zip(plan.holes, plan.probabilities).prefix(5).map { hole, probability in
      "  \(survey.holes[hole].name)  \(NumberText.percent(probability, decimals: 0)) good"
    }
    return "\(good) good so far; next:\n" + lines.joined(separator: "\n")
  }
}
