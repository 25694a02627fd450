import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport

/// Keeps a ``LiveSession`` going: takes events from watched files or a replay, plans anew after each, and writes the
/// plan where others find it.
public struct LiveRunner {
  public var session: LiveSession
  public var watchers: [OutcomeWatcher] = []
  public var replay: SessionReplay?
  /// How many times faster than it was the replay goes.
  public var speed = 1.0
  /// Where the plan goes as a table, after each change; nil: nowhere.
  public var planFile: URL?
  /// Seconds between looks at files and log.
  public var interval = 0.25
  /// Whether the session ends when nothing more can come: the replay is over, or the budget.
  public var endsWhenDone = true
  /// Told in words.
  public var note: (String) -> Void = { _ in }
  /// Told after each new plan.
  public var didPlan: (LiveSession, SessionPlan, _ milliseconds: Double) -> Void = { _, _, _ in }

  public init(_ session: LiveSession) { self.session = session }

  /// Runs to the end.
  /// - Returns: The last plan.
  /// - Throws: `InputError` if the log cannot be read or written; `Interrupted` when the user asked to leave. The log has
  ///   everything in either case.
  public mutating func run() throws -> SessionPlan {
    var plan = try plan()
    var position = try session.log.count(from: SessionReplay.source)
    // A replay goes on from the last thing that happened, as if no time had passed since.
    let origin = replay.map { position > 0 ? $0.items[min(position, $0.items.count) - 1].minutes : 0 } ?? 0
    let began = ContinuousClock.now
    var clock = try SessionClock(session.log)
    while true {
      if Interruption.isRequested { throw Interrupted(folder: nil) }
      if let replay {
        let due = origin + (ContinuousClock.now - began) / .seconds(60) * speed
        position = try self.replay(replay, from: position, until: due)
      } else if let jump = try clock.noteJump() {
        note(
          "the computer's clock jumped by \(NumberText.plain(jump.minutes, digits: 3)) min, and the session's goes on "
            + "without that; if the time did pass, take it back with 'quench cryo undo \(jump.note)'")
        try session.catchUp()
      }
      try poll(at: clock.minutes)
      let revision = session.revision
      if try session.catchUp() > 0 {
        if session.revision != revision { try clock.reset() }
        plan = try self.plan()
      }
      let isOver = replay.map { position >= $0.items.count } ?? session.acquisition.isDone
      if isOver, endsWhenDone { return plan }
      Thread.sleep(forTimeInterval: interval)
    }
  }

  /// Notes what happened in the replay until `due`.
  /// - Returns: The next item's place.
  private func replay(_ replay: SessionReplay, from position: Int, until due: Double) throws(InputError) -> Int {
    var position = position
    while position < replay.items.count, replay.items[position].minutes <= due, !Interruption.isRequested {
      let item = replay.items[position]
      if let fit = item.fit {
        try session.log.record(fit, of: item.hole, at: item.minutes, source: SessionReplay.source)
      } else {
        try session.log.expose(item.hole, at: item.minutes, source: SessionReplay.source)
      }
      position += 1
    }
    return position
  }

  /// Names of micrographs of no hole that are told one by one.
  private static let strangersTold = 5

  private mutating func poll(at minutes: Double) throws(InputError) {
    for index in watchers.indices {
      let path = watchers[index].url.path
      let findings = watchers[index].poll()
      for outcome in findings.outcomes {
        try session.log.record(outcome.fit, of: outcome.hole, at: minutes, source: path)
      }
      for warning in findings.warnings { note(warning) }
      for name in findings.strangers.prefix(Self.strangersTold) {
        note("'\(name)' in \(path) is no hole of the survey; left out (`match` or `names` says which is meant)")
      }
      let more = findings.strangers.count - Self.strangersTold
      if more > 0 { note("so \(more == 1 ? "is" : "are") \(NumberText.count(more, "micrograph")) more in \(path)") }
    }
  }

  private mutating func plan() throws(InputError) -> SessionPlan {
    let clock = ContinuousClock.now
    let plan = session.plan()
    let milliseconds = (ContinuousClock.now - clock) / .milliseconds(1)
    try session.log.keep(plan)
    if let planFile { try AtomicFile.write(Data(plan.table(of: session.survey).utf8), to: planFile) }
    didPlan(session, plan, milliseconds)
    return plan
  }
}

extension SessionPlan {
  /// The plan as a table, a line a hole, as 'quench cryo export' takes it.
  public func table(of survey: Survey) -> String {
    var text = "order,name,tile,square,patch,predicted_ctf,p_good,cum_min,cum_expected_good\n"
    var expected = 0.0
    for (rank, hole) in holes.enumerated() {
      let entry = survey.entry(hole)
      expected += probabilities[rank]
      let predicted = entry.prediction?.resolution.map { String(format: "%.2f", $0) } ?? ""
      let numbers = String(format: "%.3f,%.2f,%.2f", probabilities[rank], minutes[rank], expected)
      let names = [entry.name, entry.tile, entry.square, entry.patch]
        .map { DelimitedFile.field($0, separatedBy: ",") }.joined(separator: ",")
      text += "\(rank + 1),\(names),\(predicted),\(numbers)\n"
    }
    return text
  }
}
