/// An acquisition as its operator sees it: the survey before anything was measured, what was exposed in which order,
/// what came of it, and the time that it took. This is all that a ``Policy`` gets to see.
public struct Acquisition: Sendable {
  /// Without measurements.
  public let survey: Survey
  public let rules: AcquisitionRules
  /// Where the microscope stands.
  public private(set) var current: Int
  /// Minutes since the start.
  public private(set) var elapsed = 0.0
  /// Exposed holes in order; the first is the start hole, which cost nothing and does not count.
  public private(set) var visits: [Int]
  /// By hole.
  public private(set) var isVisited: [Bool]
  /// What was measured, by hole; unmeasured until it is known.
  public private(set) var outcomes: [CTFFit]
  /// Holes other than the start that were measured before the acquisition, in order; they count neither as visits nor as
  /// holes that are left.
  public let earlier: [Int]

  /// An acquisition that begins at the hole `start`, which was exposed before it.
  /// - Parameters:
  ///   - survey: Without measurements (``Survey/withoutMeasurements``).
  ///   - rules: Costs, threshold and budget.
  ///   - start: A position in the survey's holes.
  ///   - outcome: What was measured at the start hole.
  ///   - earlier: What was measured before, by hole.
  public init(
    _ survey: Survey, rules: AcquisitionRules, start: Int, outcome: CTFFit = .unmeasured,
    earlier: [Int: CTFFit] = [:]
  ) {
    self.survey = survey
    self.rules = rules
    current = start
    visits = [start]
    isVisited = Array(repeating: false, count: survey.count)
    isVisited[start] = true
    outcomes = Array(repeating: .unmeasured, count: survey.count)
    outcomes[start] = earlier[start] ?? outcome
    self.earlier = earlier.keys.filter { $0 != start }.sorted()
    for hole in self.earlier {
      isVisited[hole] = true
      outcomes[hole] = earlier[hole] ?? .unmeasured
    }
  }

  /// Notes that `hole` was exposed.
  /// - Parameters:
  ///   - hole: An unvisited hole.
  ///   - outcome: What was measured, if that is known yet.
  ///   - minutes: What it took; what the rules say unless given.
  @inline(__always)
  public mutating func visit(_ hole: Int, outcome: CTFFit = .unmeasured, minutes: Double? = nil) {
    precondition(!isVisited[hole], "a hole is exposed once")
    elapsed += minutes ?? rules.minutes[survey.move(from: current, to: hole)]
    current = hole
    visits.append(hole)
    isVisited[hole] = true
    outcomes[hole] = outcome
  }

  /// Notes what was measured at a hole that was exposed before.
  public mutating func record(_ outcome: CTFFit, of hole: Int) {
    precondition(isVisited[hole], "what is measured was exposed")
    outcomes[hole] = outcome
  }

  /// The number of visits beside the start's.
  public var visitCount: Int { visits.count - 1 }
  /// Minutes of the budget that are left; below 0 when the last visit crossed it.
  public var timeLeft: Double { rules.budget - elapsed }
  /// Whether the budget is crossed or no hole is left.
  public var isDone: Bool { elapsed > rules.budget || visits.count + earlier.count == survey.count }

  /// Whether a measured hole was good; nil where nothing was measured.
  public func isGood(_ hole: Int) -> Bool? {
    outcomes[hole].isMeasured ? outcomes[hole].isGood(threshold: rules.threshold) : nil
  }
}
