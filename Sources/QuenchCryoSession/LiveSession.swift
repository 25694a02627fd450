import Foundation
import QuenchCryoEM
import QuenchSupport

/// A collection session under way: what the log says happened, and the closed-loop planner that follows it.
///
/// State follows from the log alone, event by event. So a session that was killed and opened again plans as one that
/// never was.
public struct LiveSession {
  public let log: AcquisitionLog
  public private(set) var settings: SessionSettings
  /// Without measurements.
  public let survey: Survey
  public private(set) var acquisition: Acquisition
  /// The last event that was taken in.
  public private(set) var lastEvent = 0
  /// Of the log when its events were taken in (``AcquisitionLog/revision()``).
  public private(set) var revision: Int
  private var planner: ClosedLoopPlanner
  /// With what it had measured before the session.
  private let surveyed: Survey

  /// Opens a session and takes in all that its log has.
  /// - Throws: `InputError` if the log is damaged.
  public init(_ log: AcquisitionLog) throws(InputError) {
    self.log = log
    surveyed = try log.survey()
    survey = surveyed.withoutMeasurements
    revision = try log.revision()
    settings = try log.settings()
    (acquisition, planner) = try Self.begin(settings, surveyed, log.url)
    try takeIn(log.events())
  }

  private static func begin(
    _ settings: SessionSettings, _ surveyed: Survey, _ url: URL
  ) throws(InputError) -> (Acquisition, ClosedLoopPlanner) {
    guard surveyed.holes.indices.contains(settings.start) else {
      throw InputError("the acquisition log is damaged: its start hole is not there", at: url.path)
    }
    let acquisition = Acquisition(
      surveyed.withoutMeasurements, rules: try settings.rules, start: settings.start,
      earlier: settings.earlier(surveyed))
    var planner = try settings.planner()
    planner.begin(acquisition)
    _ = planner.probabilities(acquisition)
    return (acquisition, planner)
  }

  /// Takes in what was noted since the last time, by whomever.
  /// - Returns: How many events were new; at least one where something was taken back or changed.
  @discardableResult
  public mutating func catchUp() throws(InputError) -> Int {
    let (events, current) = (try log.events(after: lastEvent), try log.revision())
    let isRevised = current != revision
    let corrects = events.contains { event in
      event.kind == .outcome && acquisition.outcomes[event.hole].isMeasured
        && acquisition.outcomes[event.hole] != event.fit
    }
    if isRevised || corrects {
      // A belief cannot forget: it is made anew from what is true now.
      settings = try log.settings()
      (acquisition, planner) = try Self.begin(settings, surveyed, log.url)
      (revision, lastEvent) = (current, 0)
      try takeIn(log.events())
    } else {
      try takeIn(events)
    }
    return max(events.count, isRevised ? 1 : 0)
  }

  private mutating func takeIn(_ events: [AcquisitionLog.Event]) throws(InputError) {
    let last = events.reduce(into: [Int: CTFFit]()) { if $1.kind == .outcome { $0[$1.hole] = $1.fit } }
    for event in events {
      guard survey.holes.indices.contains(event.hole) else {
        throw InputError("the acquisition log is damaged: event \(event.id) has no hole", at: log.url.path)
      }
      lastEvent = event.id
      switch event.kind {
      case .exposure where !acquisition.isVisited[event.hole]:
        acquisition.visit(event.hole, minutes: max(0, event.minutes - acquisition.elapsed))
      case .outcome where acquisition.isVisited[event.hole] && !acquisition.outcomes[event.hole].isMeasured:
        acquisition.record(last[event.hole] ?? event.fit, of: event.hole)
        // The belief looks at outcomes one by one, in the log's order, whenever they are taken in.
        _ = planner.probabilities(acquisition)
      default: break
      }
    }
  }

  /// The best plan for the time that is left.
  public mutating func plan() -> SessionPlan {
    let plan = planner.replan(acquisition)
    let values = planner.probabilities(acquisition)
    var (current, elapsed) = (acquisition.current, acquisition.elapsed)
    let minutes = plan.holes.map { hole in
      elapsed += acquisition.rules.minutes[survey.move(from: current, to: hole)]
      current = hole
      return elapsed
    }
    return SessionPlan(
      after: lastEvent, holes: plan.holes, minutes: minutes, probabilities: plan.holes.map { values[$0] })
  }

  /// Good micrographs so far, without the start hole's, which costs nothing.
  public var good: Int { acquisition.visits.dropFirst().count { acquisition.isGood($0) ?? false } }

  /// Micrographs that were measured so far, without the start hole's.
  public var measured: Int { acquisition.visits.dropFirst().count { acquisition.outcomes[$0].isMeasured } }
}
