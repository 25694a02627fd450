import Foundation
import QuenchSupport

/// Holes to expose in order, with what that takes.
public struct Plan: Hashable, Sendable {
  /// From first to last.
  public var holes: [Int]
  /// Minutes of all moves.
  public var minutes: Double
  /// The sum of the holes' values.
  public var value: Double
}

/// The exact optimal plan where the cost of a move depends only on the lowest level that both holes share.
///
/// Then an optimal plan visits each region once, without a break, the start's own first, and its time is a sum of fixed
/// charges: c0 a hole, c1 - c0 a patch other than the start's, c2 - c1 a square, and so on up. Choosing holes is a
/// knapsack over a tree, solved by dynamic programming over minutes: with true 0/1 values this is the exact upper bound
/// under the strict rule, with probabilities the best plan that does not look at outcomes.
public struct TreePlanner: Sendable {
  private let survey: Survey
  private let minutes: MoveTable
  /// Steps of time that there may be at most.
  private let longest: Int

  /// Steps of time of a plan that is made anew after each exposure: 8 hours in seconds have 28,800.
  static let quick = 30_000

  /// - Parameters:
  ///   - survey: The holes' hierarchy.
  ///   - minutes: Costs, above 0, that grow with the level.
  public init(_ survey: Survey, minutes: MoveTable) {
    // A row of the table for each region: at most 200 MB, and a second or so.
    let rows = Survey.Level.allCases.reduce(1) { $0 + survey.regions($1).count }
    self.init(survey, minutes: minutes, longest: min(25_000_000 / rows, 400_000_000 / survey.count))
  }

  /// - Parameter longest: Steps of time that there may be at most.
  init(_ survey: Survey, minutes: MoveTable, longest: Int) {
    self.survey = survey
    self.minutes = minutes
    self.longest = longest
  }

  /// The plan of the largest total value in the time that is left.
  ///
  /// It is exact where ``bound(values:from:isVisited:budget:)`` is nil.
  /// - Parameters:
  ///   - values: What each hole is worth, such as the probability that it is good; holes of 0 or less stay out.
  ///   - start: Where the microscope stands.
  ///   - isVisited: Holes that are out of the question.
  ///   - budget: Minutes.
  /// - Complexity: O(holes × steps of time).
  public func plan(values: [Double], from start: Int, isVisited: [Bool], budget: Double) -> Plan {
    let grid = TimeGrid(minutes, budget: min(budget, wholeMinutes), longest: longest)
    let chosen = search(values, start, isVisited, grid).run()
    let holes = ordered(chosen, values: values, from: start)
    var plan = Plan(holes: holes, minutes: 0, value: 0)
    var current = start
    for hole in holes {
      plan.minutes += minutes[survey.move(from: current, to: hole)]
      plan.value += values[hole]
      current = hole
    }
    return plan
  }

  /// What no plan's value exceeds, where costs had to be rounded (`TimeGrid`): the best with costs that are rounded down.
  /// - Returns: Nil where nothing was rounded, so that the plan is the best there is.
  public func bound(values: [Double], from start: Int, isVisited: [Bool], budget: Double) -> Double? {
    let grid = TimeGrid(minutes, budget: min(budget, wholeMinutes), longest: longest, rounding: .down)
    guard !grid.isExact else { return nil }
    return search(values, start, isVisited, grid).run().joined().reduce(0) { $0 + values[$1] }
  }

  /// What exposing every hole takes at most.
  private var wholeMinutes: Double {
    let costs = minutes.values
    return Survey.Level.allCases.reduce(Double(survey.count) * costs[0]) { sum, level in
      sum + Double(survey.regions(level).count) * (costs[level.rawValue + 1] - costs[level.rawValue])
    }
  }

  private func search(_ values: [Double], _ start: Int, _ isVisited: [Bool], _ grid: TimeGrid) -> TreeSearch {
    let candidates = survey.patches.map { patch in
      patch.holes.filter { !isVisited[$0] && values[$0] > 0 }.sorted { (values[$1], $0) < (values[$0], $1) }
    }
    return TreeSearch(
      survey: survey, values: values, candidates: candidates, holeCost: grid.hole, charges: grid.charges,
      start: start, cells: grid.budget + 1)
  }

  /// The start's patch, square, tile and grid first, then the others by value; inside a patch the best hole first.
  private func ordered(_ chosen: [[Int]], values: [Double], from start: Int) -> [Int] {
    let total = chosen.map { $0.reduce(0) { $0 + values[$1] } }
    func order(_ level: Survey.Level, _ region: Int) -> (value: Double, holes: [Int]) {
      guard let lower = level.lower else { return (total[region], chosen[region]) }
      let parts = survey.regions(level)[region].parts.map { part in (part, order(lower, part)) }
      let own = survey.region(of: start, lower)
      let sorted = parts.filter { !$0.1.holes.isEmpty }.sorted { a, b in
        (a.0 == own ? 0 : 1, -a.1.value, a.0) < (b.0 == own ? 0 : 1, -b.1.value, b.0)
      }
      return (sorted.reduce(0) { $0 + $1.1.value }, sorted.flatMap(\.1.holes))
    }
    let grids = survey.grids.indices.map { ($0, order(.grid, $0)) }
    let own = survey.region(of: start, .grid)
    return grids.sorted { a, b in
      (a.0 == own ? 0 : 1, -a.1.value, a.0) < (b.0 == own ? 0 : 1, -b.1.value, b.0)
    }.flatMap(\.1.holes)
  }
}

extension Survey.Level {
  /// The level of its parts; nil for a patch, whose parts are holes.
  var lower: Survey.Level? { Survey.Level(rawValue: rawValue - 1) }
}

/// The dynamic program of ``TreePlanner``: best[m] is the largest value for at most m units of time.
///
/// What the program had before each region is kept as a row, from which the choices are read back afterwards.
private struct TreeSearch {
  let survey: Survey
  let values: [Double]
  /// For each patch the holes that may be chosen, best first.
  let candidates: [[Int]]
  /// In units of time.
  let holeCost: Int
  /// What using a region costs beside its parts, by level, in units of time.
  let charges: [Int]
  let start: Int
  /// Units of the budget, and one for none.
  let cells: Int

  /// The holes that are chosen in each patch, best first.
  func run() -> [[Int]] {
    var offsets: [Int] = []
    var rows = 1
    for level in Survey.Level.allCases {
      offsets.append(rows)
      rows += survey.regions(level).count
    }
    let table = UnsafeMutablePointer<Double>.allocate(capacity: rows * cells)
    defer { table.deallocate() }
    table.initialize(repeating: 0, count: cells)
    let search = Rows(table: table, offsets: offsets, cells: cells)
    for grid in survey.grids.indices { fill(.grid, grid, search) }

    var chosen = [[Int]](repeating: [], count: survey.patches.count)
    var point = (time: cells - 1, value: table[cells - 1])
    for grid in survey.grids.indices.reversed() { trace(.grid, grid, search, &point, &chosen) }
    return chosen
  }

  /// The working row, and a row for each region.
  private struct Rows {
    let table: UnsafeMutablePointer<Double>
    let offsets: [Int]
    let cells: Int

    var best: UnsafeMutablePointer<Double> { table }
    func before(_ level: Survey.Level, _ region: Int) -> UnsafeMutablePointer<Double> {
      table + (offsets[level.rawValue] + region) * cells
    }
  }

  private func charge(_ level: Survey.Level, _ region: Int) -> Int {
    survey.region(of: start, level) == region ? 0 : charges[level.rawValue]
  }

  private func fill(_ level: Survey.Level, _ region: Int, _ rows: Rows) {
    let (best, before) = (rows.best, rows.before(level, region))
    before.update(from: best, count: cells)
    let charge = charge(level, region)
    guard let lower = level.lower else {
      var value = 0.0
      for (index, hole) in candidates[region].enumerated() {
        value += values[hole]
        let cost = charge + (index + 1) * holeCost
        guard cost < cells else { break }
        raise(best + cost, to: before, plus: value, count: cells - cost)
      }
      return
    }
    guard charge < cells else { return }
    best.update(repeating: -.infinity, count: charge)
    (best + charge).update(from: before, count: cells - charge)
    for part in survey.regions(level)[region].parts { fill(lower, part, rows) }
    raise(best, to: before, plus: 0, count: cells)
  }

  /// best[i] = max(best[i], before[i] + value)
  @inline(__always)
  private func raise(
    _ best: UnsafeMutablePointer<Double>, to before: UnsafeMutablePointer<Double>, plus value: Double, count: Int
  ) {
    for index in 0..<count {
      let other = before[index] + value
      best[index] = other > best[index] ? other : best[index]
    }
  }

  /// Goes back from the point behind a region to the one before it, and notes what was chosen there.
  private func trace(
    _ level: Survey.Level, _ region: Int, _ rows: Rows, _ point: inout (time: Int, value: Double),
    _ chosen: inout [[Int]]
  ) {
    let before = rows.before(level, region)
    if point.value == before[point.time] { return }
    let charge = charge(level, region)
    if let lower = level.lower {
      for part in survey.regions(level)[region].parts.reversed() { trace(lower, part, rows, &point, &chosen) }
      point.time -= charge
    } else {
      var value = 0.0
      for (index, hole) in candidates[region].enumerated() {
        value += values[hole]
        let time = point.time - charge - (index + 1) * holeCost
        guard time >= 0, before[time] + value == point.value else { continue }
        chosen[region] = Array(candidates[region][...index])
        point.time = time
        break
      }
    }
    point.value = before[point.time]
  }
}
