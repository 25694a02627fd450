import CryoFixtures
import QuenchSupport
import Testing

@testable import QuenchCryoEM

@Suite("The acquisition environment") struct EnvironmentTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var start: Int
    var holes: [Int]
    var budget: Double
    /// Minutes, visits, good holes and reward.
    var head: [Double]
    var old: [Double]
    var testDescription: String { "from \(start) within \(budget)" }
  }

  static let caseA = Array(1...11)
  static let caseB = [2, 4, 3, 8, 6, 11]
  static let caseC = [6, 0, 9, 3, 8, 1, 11, 4, 2, 5, 7]

  @Test(
    "costs and rewards as by hand",
    arguments: [
      Case(start: 0, holes: caseA, budget: 1e6, head: [18, 11, 6, 5.51], old: [36, 11, 6, 4.80]),
      Case(start: 0, holes: caseA, budget: 20, head: [18, 11, 6, 5.51], old: [23, 6, 4, 2.80]),
      Case(start: 0, holes: caseA, budget: 12, head: [13, 7, 4, 3.51], old: [13, 5, 3, 2.57]),
      Case(start: 0, holes: caseB, budget: 1e6, head: [13, 6, 6, 5.41], old: [26, 6, 6, 4.37]),
      Case(start: 0, holes: caseB, budget: 20, head: [13, 6, 6, 5.41], old: [21, 5, 5, 3.80]),
      Case(start: 0, holes: caseB, budget: 12, head: [13, 6, 6, 5.41], old: [19, 4, 4, 2.80]),
      Case(start: 10, holes: caseC, budget: 1e6, head: [54, 11, 7, 4.85], old: [95, 11, 7, 2.29]),
      Case(start: 10, holes: caseC, budget: 20, head: [26, 5, 4, 2.73], old: [25, 3, 2, 0.80]),
      Case(start: 10, holes: caseC, budget: 12, head: [14, 3, 2, 1.51], old: [15, 2, 2, 0.80])
    ])
  func handCases(_ example: Case) throws {
    for (minutes, rewards, expected) in [
      (MoveTable.headMinutes, RewardRule(), example.head), (.oldMinutes, HandGrid.old, example.old)
    ] {
      let environment = try HandGrid.environment(minutes, rewards, budget: example.budget)
      let result = environment.walk(from: example.start, example.holes).result
      #expect([result.minutes, Double(result.visits), Double(result.good)] == Array(expected[..<3]))
      #expect(abs(result.reward - expected[3]) < 1e-9)
    }
  }

  @Test("counts the visit that crosses the budget by the reference rule alone") func rules() throws {
    func result(_ rule: BudgetRule) throws -> EpisodeResult {
      try HandGrid.environment(budget: 12, rule: rule).walk(from: 0, [2, 4, 3, 8, 6, 11]).result
    }
    #expect(try result(.reference).good == 6 && result(.strict).good == 5)
    #expect(try result(.reference).minutes == 13 && result(.strict).minutes == 13)
  }

  @Test("ends when no hole is left") func exhausted() throws {
    let episode = try HandGrid.environment().walk(from: 0, Self.caseA).episode
    #expect(episode.isDone)
  }

  @Test("pays for near misses by the dynamic reward") func dynamicReward() {
    let rule = RewardRule(isDynamic: true)
    let cases: [(excess: Double, reward: Double, value: Double)] = [
      (0.5, 1, 0.584524), (1, 1, 0.312898), (1.5, 0.9, 0.121785), (0.4, 0.61, 0.399016), (2.2, 1, 0), (2.5, 1, 0)
    ]
    for (excess, reward, value) in cases {
      #expect(abs(rule.share(of: .resolution(6 + excess), threshold: 6) * reward - value) < 1e-6)
    }
    #expect(rule.share(of: .failed, threshold: 6) == 0 && rule.share(of: .resolution(6), threshold: 6) == 1)
  }

  @Test("takes 0.2 for each bad hole in a row of one patch, up to 1") func penalty() throws {
    let rule = RewardRule(penalizesBadHoles: true)
    let survey = try Survey(
      leginon: "a_1gr_1sq_1hl_1en", "a_1gr_1sq_1hl_2en", "a_1gr_1sq_1hl_3en",
      "a_1gr_1sq_1hl_4en", "a_1gr_1sq_1hl_5en", "a_1gr_1sq_1hl_6en", "a_1gr_1sq_1hl_7en", "a_1gr_1sq_2hl_1en")
    let fits: [CTFFit] = [3, 9, 9, 3, 9, 9, 9, 9].map { .resolution($0) }
    var episode = try Environment(
      survey.measuring(fits), rules: AcquisitionRules(budget: 1e6, rule: .reference), rewards: rule
    ).start(at: 0)
    func rounded(_ value: Double) -> Double { (value * 1e9).rounded() / 1e9 }
    #expect([1, 2, 3, 4, 5, 6, 7].map { rounded(episode.visit($0)) } == [-0.2, -0.4, 1, -0.2, -0.4, -0.6, -0.2])
  }

  @Test("tells versions of a square's list from versions of a patch's") func moves() throws {
    let survey = try Survey(
      leginon: "s_00001gr_00001sq_v01_00002hl_00004en-a", "s_00001gr_00001sq_v01_00002hl_v01_00005en-a",
      "s_00001gr_00001sq_v02_00002hl_00004en-a", "s_00001gr_00002sq_00002hl_00004en-a", "s_00002gr_1sq_1hl_1en-a",
      "t_00002gr_1sq_1hl_1en-a")
    #expect((1...5).map { survey.move(from: 0, to: $0) } == [.hole, .patch, .square, .tile, .grid])
  }

  @Test("shows policies no measurement but those of visited holes") func hides() throws {
    let episode = try HandGrid.environment().walk(from: 0, [2]).episode
    #expect(episode.acquisition.survey.holes.allSatisfy { $0.fit == .unmeasured })
    #expect(episode.acquisition.outcomes.indices.filter { episode.acquisition.outcomes[$0].isMeasured } == [0, 2])
  }

  @Test("runs many episodes side by side as one by one") func vectorised() throws {
    let environment = try HandGrid.environment(budget: 9)
    var vector = VectorEnvironment(environment, count: 4, using: SplitMix64(3))
    var singles = vector.episodes
    var finished = 0
    for _ in 0..<20 {
      let actions = vector.episodes.map { $0.acquisition.isVisited.firstIndex(of: false) ?? 0 }
      let results = vector.step(actions)
      for index in singles.indices {
        #expect(singles[index].visit(actions[index]) == results[index].reward)
        #expect(singles[index].isDone == results[index].isDone)
        if results[index].isDone {
          finished += 1
          singles[index] = vector.episodes[index]
          #expect(vector.episodes[index].acquisition.visitCount == 0)
        }
      }
    }
    #expect(finished > 4)
  }

  @Test(
    "refuses rules that make no sense",
    arguments: [
      (AcquisitionRules(minutes: MoveTable(0, 1, 2, 3)), "costs: the costs of moves make no sense"),
      (AcquisitionRules(minutes: MoveTable(1, 3, 2, 3)), "costs: the costs of moves make no sense"),
      (AcquisitionRules(minutes: MoveTable(1, 2, .nan, 3)), "costs: the costs of moves make no sense"),
      (AcquisitionRules(budget: 0), "minutes: there is no time"),
      (AcquisitionRules(threshold: 25), "threshold: no useful threshold")
    ])
  func mistakes(_ rules: AcquisitionRules, _ message: String) {
    let error = inputError { try rules.validate() }
    #expect(error?.description.hasPrefix(message) ?? false)
  }

  @Test("cannot try policies on holes that were never measured") func unmeasured() throws {
    let survey = try HandGrid.survey().withoutMeasurements
    let error = inputError { try Environment(survey, rules: AcquisitionRules()) }
    #expect(error?.problem == "12 of 12 holes have no measured CTF")
  }

  @Test("gives the results of smaller budgets as beginnings of one episode", arguments: BudgetRule.allCases)
  func prefixes(_ rule: BudgetRule) throws {
    let long = try HandGrid.environment(budget: 1e6, rule: rule).run(FixedOrder.serial, from: 4)
    for budget in 1...20 {
      let short = try HandGrid.environment(budget: Double(budget), rule: rule).run(FixedOrder.serial, from: 4)
      #expect(
        long.result(budget: Double(budget), rule: rule) == short.result(budget: Double(budget), rule: rule))
    }
  }
}
