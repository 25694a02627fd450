import Foundation
import QuenchSupport

/// Plans where the time of a move depends on where things lie, not on levels alone: an orienteering problem over groups.
///
/// A route is an order of patches; its best holes follow at once, as every hole of a patch costs the same: the most
/// valuable ones of all its patches that the time left over by travelling allows. The route is improved by putting in, taking
/// out, moving and exchanging patches and by reversing stretches, from the tree planner's plan on.
public struct LocalSearch: Sendable {
  private let survey: Survey
  /// Minutes of an exposure where the patch does not change.
  public let holeMinutes: Double
  /// Minutes from one patch to a hole of another, the exposure included.
  private let travel: [[Double]]

  /// - Parameters:
  ///   - survey: The holes.
  ///   - holeMinutes: Minutes of an exposure where the patch does not change.
  ///   - travel: Minutes from one patch to a hole of another, the exposure there included.
  public init(_ survey: Survey, holeMinutes: Double, travel: (Int, Int) -> Double) {
    self.survey = survey
    self.holeMinutes = holeMinutes
    self.travel = survey.patches.indices.map { from in
      survey.patches.indices.map { from == $0 ? holeMinutes : max(holeMinutes, travel(from, $0)) }
    }
  }

  /// Costs by level, as the tree planner has them.
  public init(_ survey: Survey, minutes: MoveTable) {
    self.init(survey, holeMinutes: minutes.hole) { from, to in
      minutes[survey.move(from: survey.patches[from].holes.lowerBound, to: survey.patches[to].holes.lowerBound)]
    }
  }

  /// Costs by the stage's travel between the centres of patches: `minutes` of a move without distance, plus the distance
  /// in µm over `speed` in µm a minute.
  /// - Throws: `InputError` if a hole's stage position is unknown.
  public init(_ survey: Survey, minutes: MoveTable, speed: Double) throws(InputError) {
    var centres: [SIMD2<Double>] = []
    for patch in survey.patches {
      var sum = SIMD2<Double>.zero
      for hole in patch.holes {
        guard let stage = survey.holes[hole].stage else {
          throw InputError(
            "the stage position of '\(survey.holes[hole].name)' is unknown", at: "the survey",
            remedy: "plan with costs by level instead")
        }
        sum += stage
      }
      centres.append(sum / Double(patch.holes.count))
    }
    self.init(survey, holeMinutes: minutes.hole) { from, to in
      let way = centres[from] - centres[to]
      return minutes.patch + (way * way).sum().squareRoot() / speed
    }
  }

  /// The smallest charges of any move by level: with them the tree planner's value is an upper bound.
  public var boundMinutes: MoveTable {
    var table = MoveTable(holeMinutes, .infinity, .infinity, .infinity, grid: .infinity)
    for (from, row) in travel.enumerated() {
      for (to, minutes) in row.enumerated() where from != to {
        let move = survey.move(from: survey.patches[from].holes.lowerBound, to: survey.patches[to].holes.lowerBound)
        table[move] = min(table[move], minutes)
      }
    }
    // A level's charge may be no larger than that of any above it.
    var least = Double.infinity
    for move in Move.allCases.reversed() {
      least = min(least, table[move])
      table[move] = least
    }
    if !least.isFinite { return MoveTable(holeMinutes, holeMinutes, holeMinutes, holeMinutes) }
    for move in Move.allCases where !table[move].isFinite { table[move] = holeMinutes }
    return table
  }

  /// The best plan that is found.
  /// - Parameters:
  ///   - values: What each hole is worth.
  ///   - start: Where the microscope stands.
  ///   - isVisited: Holes that are out of the question.
  ///   - budget: Minutes.
  ///   - evaluations: Routes that are tried.
  ///   - seed: Of the random choices.
  public func plan(
    values: [Double], from start: Int, isVisited: [Bool], budget: Double, evaluations: Int = 20_000,
    seed: UInt64 = 1
  ) -> Plan {
    var generator = SplitMix64(seed, 0x10CA)
    let own = survey.holes[start].patch
    let ranked = survey.holes.indices.filter { !isVisited[$0] && values[$0] > 0 }
      .sorted { (values[$1], $0) < (values[$0], $1) }
    let useful = Set(ranked.map { survey.holes[$0].patch }).sorted()
    guard !useful.isEmpty else { return Plan(holes: [], minutes: 0, value: 0) }
    let search = RouteSearch(
      patchOfHole: survey.holes.map(\.patch), values: values, ranked: ranked, travel: travel,
      holeMinutes: holeMinutes, own: own, budget: budget, patches: survey.patches.count)

    var route: [Int] = []
    let planner = TreePlanner(survey, minutes: boundMinutes)
    for hole in planner.plan(values: values, from: start, isVisited: isVisited, budget: budget).holes
    where survey.holes[hole].patch != own && route.last != survey.holes[hole].patch {
      route.append(survey.holes[hole].patch)
    }
    while search.value(route) == nil { route.removeLast() }
    var best = search.value(route) ?? 0
    for _ in 0..<evaluations {
      let candidate = neighbour(of: route, among: useful, own: own, &generator)
      guard let value = search.value(candidate) else { continue }
      // Of equally valuable routes the shorter one leaves room for more.
      if value > best || value == best && search.length(candidate) < search.length(route) {
        (route, best) = (candidate, value)
      }
    }
    return search.plan(route)
  }

  private func neighbour(
    of route: [Int], among patches: [Int], own: Int, _ generator: inout SplitMix64
  ) -> [Int] {
    var route = route
    let outside = patches[Int.random(in: patches.indices, using: &generator)]
    let isNew = outside != own && !route.contains(outside)
    func place(_ count: Int) -> Int { Int.random(in: 0..<max(count, 1), using: &generator) }
    switch Int.random(in: 0..<5, using: &generator) {
    case 0 where isNew: route.insert(outside, at: place(route.count + 1))
    case 1 where !route.isEmpty: route.remove(at: place(route.count))
    case 2 where route.count > 1:
      let (a, b) = (place(route.count), place(route.count))
      route[min(a, b)...max(a, b)].reverse()
    case 3 where route.count > 1:
      let patch = route.remove(at: place(route.count))
      route.insert(patch, at: place(route.count + 1))
    default: if isNew, !route.isEmpty { route[place(route.count)] = outside }
    }
    return route
  }
}

/// The best holes along a route.
private struct RouteSearch {
  let patchOfHole: [Int]
  let values: [Double]
  /// Holes by value, best first.
  let ranked: [Int]
  let travel: [[Double]]
  let holeMinutes: Double
  let own: Int
  let budget: Double
  let patches: Int

  /// Minutes of the moves between patches, less a hole's each, which the exposures there count.
  func length(_ route: [Int]) -> Double {
    var (length, last) = (0.0, own)
    for patch in route {
      length += travel[last][patch] - holeMinutes
      last = patch
    }
    return length
  }

  /// The holes along the route, best first; nil if there is not even time for the route.
  private func holes(_ route: [Int]) -> [Int]? {
    let count = ((budget - length(route)) / holeMinutes + 1e-9).rounded(.down)
    guard count >= Double(route.count) else { return nil }
    var isOnRoute = [Bool](repeating: false, count: patches)
    isOnRoute[own] = true
    for patch in route { isOnRoute[patch] = true }
    // A patch that is passed must be worth its first hole: that one is taken in any case.
    var firsts = [Bool](repeating: false, count: patches)
    firsts[own] = true
    var chosen: [Int] = []
    var needed = route.count
    for hole in ranked where isOnRoute[patchOfHole[hole]] {
      let isFirst = !firsts[patchOfHole[hole]]
      guard isFirst || Double(chosen.count + needed) < count else { continue }
      if isFirst {
        firsts[patchOfHole[hole]] = true
        needed -= 1
      }
      chosen.append(hole)
      if Double(chosen.count) >= count { break }
    }
    return needed == 0 ? chosen : nil
  }

  func value(_ route: [Int]) -> Double? { holes(route)?.reduce(0) { $0 + values[$1] } }

  func plan(_ route: [Int]) -> Plan {
    let chosen = holes(route) ?? []
    let byPatch = Dictionary(grouping: chosen) { patchOfHole[$0] }
    let order = ([own] + route).flatMap { byPatch[$0] ?? [] }
    return Plan(
      holes: order, minutes: length(route) + Double(order.count) * holeMinutes,
      value: order.reduce(0) { $0 + values[$1] })
  }
}
