import CryoFixtures
import QuenchSupport
import Testing

@testable import QuenchCryoEM

@Suite("The tree planner") struct PlannerTests {
  func best(_ survey: Survey, _ values: [Double], _ minutes: MoveTable, from start: Int, _ budgets: [Double])
    -> [Double]
  {
    var visited = [Bool](repeating: false, count: survey.count)
    visited[start] = true
    return budgets.map { budget in
      let plan = TreePlanner(survey, minutes: minutes).plan(
        values: values, from: start, isVisited: visited, budget: budget)
      #expect(plan.minutes <= budget + 1e-9)
      #expect(Set(plan.holes).count == plan.holes.count && !plan.holes.contains(start))
      return plan.value
    }
  }

  @Test("is the exact oracle on the hand-made grid") func oracle() throws {
    let survey = try HandGrid.survey()
    let values = survey.holes.map { $0.fit.isGood(threshold: 6) ? 1.0 : 0 }
    #expect(
      best(survey, values, .headMinutes, from: 0, [1, 2, 3, 4, 8, 10, 12, 14, 20]) == [1, 1, 2, 3, 3, 4, 5, 6, 6])
    #expect(best(survey, values, .oldMinutes, from: 0, [1, 2, 8, 10, 20, 25, 30]) == [0, 1, 2, 3, 4, 5, 6])
    #expect(best(survey, values, .headMinutes, from: 10, [1, 2, 4, 8, 10, 12, 14]) == [1, 1, 3, 3, 4, 5, 7])
    #expect(best(survey, values, .oldMinutes, from: 10, [2, 8, 10, 20, 30]) == [1, 2, 3, 4, 7])
  }

  @Test("is the best for hard predictions on the hand-made grid") func predictions() throws {
    let survey = try HandGrid.survey()
    let values = Calibration.hard.probabilities(of: survey, threshold: 6)
    #expect(best(survey, values, .headMinutes, from: 0, [2, 4, 8, 10, 12, 20]) == [2, 3, 3, 4, 5, 5])
    #expect(best(survey, values, .oldMinutes, from: 0, [2, 4, 10, 16, 20]) == [1, 2, 3, 4, 4])
  }

  /// A survey with one or two grids, tiles, squares and patches, and true qualities.
  static func random(_ seed: UInt64, grids: Int = 1) throws -> Survey {
    var generator = SplitMix64(seed)
    var entries: [Survey.Entry] = []
    while entries.count < 9 {
      let path = (0..<3).map { _ in Int.random(in: 1...2, using: &generator) }
      let grid = Int.random(in: 1...grids, using: &generator)
      entries.append(
        Survey.Entry(
          name: "h\(entries.count)", patch: "p\(path[2])", square: "s\(path[1])", tile: "t\(path[0])",
          grid: "g\(grid)",
          fit: .resolution(Double.random(in: 3...9, using: &generator))))
    }
    return try Survey(entries, from: "random")
  }

  /// The least time in which each set of holes can be visited, by dynamic programming over (visited set, last hole).
  static func bruteForce(_ survey: Survey, _ minutes: MoveTable, from start: Int) -> [(set: Int, minutes: Double)] {
    let count = survey.count
    var least = [[Double]](repeating: Array(repeating: .infinity, count: count), count: 1 << count)
    least[1 << start][start] = 0
    for set in 0..<1 << count {
      for last in 0..<count where least[set][last].isFinite {
        for next in 0..<count where set & 1 << next == 0 {
          let time = least[set][last] + minutes[survey.move(from: last, to: next)]
          least[set | 1 << next][next] = min(least[set | 1 << next][next], time)
        }
      }
    }
    return least.indices.compactMap { set in least[set].min().flatMap { $0.isFinite ? (set, $0) : nil } }
  }

  @Test("finds what brute force finds", arguments: 0..<12) func optimal(_ seed: Int) throws {
    let survey = try Self.random(UInt64(seed), grids: seed % 3 == 0 ? 2 : 1)
    let start = seed % survey.count
    var generator = SplitMix64(UInt64(seed), 1)
    let truth = survey.holes.map { $0.fit.isGood(threshold: 6) ? 1.0 : 0 }
    let probabilities = survey.holes.map { _ in Double.random(in: 0...1, using: &generator) }
    for minutes in [MoveTable.headMinutes, .oldMinutes, MoveTable(1.5, 1.5, 2.25, 4, grid: 4.75)] {
      let sets = Self.bruteForce(survey, minutes, from: start)
      for values in [truth, probabilities] {
        let budgets = [0, 1, 3, 6, 11, 17, 26, 45].map { Double($0) }
        let expected = budgets.map { budget in
          sets.lazy.filter { $0.minutes <= budget }
            .map { set in
              survey.holes.indices.reduce(0) { $0 + (set.set >> $1 & 1 == 1 && $1 != start ? values[$1] : 0) }
            }
            .max() ?? 0
        }
        for (found, expected) in zip(best(survey, values, minutes, from: start, budgets), expected) {
          #expect(abs(found - expected) < 1e-9)
        }
      }
    }
  }

  @Test("is one short of the reference rule's best, where a good hole is left", arguments: 0..<8)
  func referenceRule(_ seed: Int) throws {
    let survey = try Self.random(UInt64(seed))
    let start = seed % survey.count
    let good = survey.holes.indices.filter { $0 != start && survey.holes[$0].fit.isGood(threshold: 6) }
    for budget in [1.0, 4, 9, 14] {
      let strict = AcquisitionRules(budget: budget, rule: .strict)
      let reference = AcquisitionRules(budget: budget, rule: .reference)
      let (s, r) = (try Environment(survey, rules: strict), try Environment(survey, rules: reference))
      let best = s.run(PlanPolicy.oracle(s), from: start).result(budget: budget, rule: .strict).good
      let found = r.run(PlanPolicy.oracle(r), from: start).result(budget: budget, rule: .reference).good
      #expect(found == min(best + 1, good.count))
    }
  }

  @Test("is exact for costs in hundredths, seconds and thousandths of a minute", arguments: 0..<6)
  func fineCosts(_ seed: Int) throws {
    let survey = try Self.random(UInt64(seed), grids: 2)
    let start = seed % survey.count
    var generator = SplitMix64(UInt64(seed), 2)
    let values = survey.holes.map { _ in Double.random(in: 0...1, using: &generator) }
    var visited = [Bool](repeating: false, count: survey.count)
    visited[start] = true
    for minutes in [
      MoveTable(0.07, 1.03, 2.5, 3), MoveTable(91.0 / 60, 185.0 / 60, 185.5 / 60, 193.0 / 60),
      MoveTable(0.333, 0.501, 1.2, 1.999, grid: 7.001)
    ] {
      let sets = Self.bruteForce(survey, minutes, from: start)
      let planner = TreePlanner(survey, minutes: minutes)
      for budget in [0.07, 0.5, 1.25, 2.71, 5, 9.999] {
        let expected =
          sets.lazy.filter { $0.minutes <= budget + 1e-9 }
          .map { set in
            survey.holes.indices.reduce(0) { $0 + (set.set >> $1 & 1 == 1 && $1 != start ? values[$1] : 0) }
          }.max() ?? 0
        let plan = planner.plan(values: values, from: start, isVisited: visited, budget: budget)
        #expect(abs(plan.value - expected) < 1e-9 && plan.minutes <= budget + 1e-9)
        #expect(planner.bound(values: values, from: start, isVisited: visited, budget: budget) == nil)
      }
    }
  }

  @Test("says by how much it may fall short where costs are rounded", arguments: 0..<6) func bound(_ seed: Int)
    throws
  {
    let survey = try Self.random(UInt64(seed))
    let start = seed % survey.count
    let values = survey.holes.indices.map { 0.1 + Double($0 * 7 % 9) / 10 }
    var visited = [Bool](repeating: false, count: survey.count)
    visited[start] = true
    let minutes = MoveTable(1.0 / 3, 0.7071067811865, 1.41421356, 3.14159265)
    let sets = Self.bruteForce(survey, minutes, from: start)
    // Few steps of time, so that rounding matters.
    let planner = TreePlanner(survey, minutes: minutes, longest: 20)
    for budget in [1.0, 2.2, 3.3, 5, 8] {
      let best =
        sets.lazy.filter { $0.minutes <= budget }
        .map { set in
          survey.holes.indices.reduce(0) { $0 + (set.set >> $1 & 1 == 1 && $1 != start ? values[$1] : 0) }
        }.max() ?? 0
      let plan = planner.plan(values: values, from: start, isVisited: visited, budget: budget)
      let bound = try #require(planner.bound(values: values, from: start, isVisited: visited, budget: budget))
      #expect(plan.value <= best + 1e-9 && best <= bound + 1e-9 && plan.minutes <= budget + 1e-9)
    }
  }

  @Test("rounds odd costs up, so that a plan can always be kept") func oddCosts() throws {
    let survey = try Self.random(5)
    let minutes = MoveTable(1.516667, 3.083333, 3.1, 3.216667)
    _ = best(survey, survey.holes.map { _ in 1 }, minutes, from: 0, [1, 3, 5.5, 9.99, 20])
  }

  @Test("stays in the start's patch, square and tile first") func order() throws {
    let survey = try HandGrid.survey()
    var visited = [Bool](repeating: false, count: 12)
    visited[7] = true
    let plan = TreePlanner(survey, minutes: .headMinutes).plan(
      values: [0.9, 0.9, 0.9, 0.8, 0.8, 0.8, 0.2, 0, 0.3, 0.4, 0.5, 0.6], from: 7, isVisited: visited, budget: 100)
    #expect(plan.holes == [8, 6, 11, 10, 9, 0, 1, 2, 3, 4, 5])
    #expect(plan.minutes == 1 + 1 + 2 + 1 + 1 + 6 + 1 + 1 + 2 + 1 + 1)
  }
}
