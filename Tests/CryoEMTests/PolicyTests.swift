import CryoFixtures
import Testing

@testable import QuenchCryoEM

@Suite("Every policy") struct PolicyContractTests {
  static func policies(_ environment: Environment) -> [(String, any Policy)] {
    [
      ("random", FixedOrder.random(seed: 1)), ("serial", FixedOrder.serial),
      ("predict-rank", FixedOrder.predictRank),
      ("snowball", Snowball()), ("greedy-patch", FixedOrder.greedy(.patch)),
      ("greedy-tile", FixedOrder.greedy(.tile)),
      ("oracle", PlanPolicy.oracle(environment)),
      ("tree-dp", PlanPolicy.treeDP(environment.survey, .hard, threshold: 6)),
      ("closed-loop", ClosedLoopPlanner(assumingThreshold: 6))
    ]
  }

  @Test("visits unvisited holes only, and acts the same again", arguments: 0..<9) func contract(_ index: Int) throws
  {
    for budget in [3.0, 14, 1000] {
      let environment = try HandGrid.environment(budget: budget)
      let (name, policy) = Self.policies(environment)[index]
      for start in [0, 5, 11] {
        let trace = environment.run(policy, from: start)
        #expect(Set(trace.steps.map(\.hole) + [start]).count == trace.steps.count + 1, "\(name)")
        #expect(environment.run(policy, from: start) == trace, "\(name)")
      }
    }
  }

  @Test("of the name dqn is the one that the maker is given, and an error without one") func network() throws {
    let environment = try HandGrid.environment(budget: 14)
    var maker = PolicyMaker()
    let error = inputError { try maker.make(.dqn, in: environment) }
    #expect(error?.problem == "the policy dqn needs a trained network" && error?.location == "policy")
    #expect(error?.remedy == "name its file with `weights`")
    maker.dqn = Snowball(patience: 1)
    let made = environment.run(try maker.make(.dqn, in: environment), from: 0)
    #expect(made == environment.run(Snowball(patience: 1), from: 0))
    #expect(made != environment.run(Snowball(), from: 0))
  }

  @Test("goes on after a restart as if there had been none", arguments: 0..<9) func restart(_ index: Int) throws {
    let environment = try HandGrid.environment(budget: 25)
    let (name, policy) = Self.policies(environment)[index]
    let whole = environment.run(policy, from: 3).steps.map(\.hole)
    for cut in 1..<whole.count {
      var episode = environment.start(at: 3)
      for hole in whole[..<cut] { episode.visit(hole) }
      var resumed = policy
      resumed.begin(episode.acquisition)
      #expect(resumed.next(episode.acquisition) == whole[cut], "\(name) after \(cut)")
    }
  }

  @Test("never beats the oracle", arguments: 0..<9) func bound(_ index: Int) throws {
    for budget in [1.0, 4, 9, 12, 20] {
      let environment = try HandGrid.environment(budget: budget, rule: .strict)
      let oracle = environment.run(PlanPolicy.oracle(environment), from: 0).result(budget: budget, rule: .strict)
      let (name, policy) = Self.policies(environment)[index]
      let result = environment.run(policy, from: 0).result(budget: budget, rule: .strict)
      #expect(result.good <= oracle.good, "\(name)")
    }
  }
}

@Suite("A baseline") struct BaselineTests {
  func order(_ policy: some Policy, from start: Int) throws -> [Int] {
    try HandGrid.environment().run(policy, from: start).steps.map(\.hole)
  }

  @Test("goes on from the start hole and round the end: serial") func serial() throws {
    #expect(try order(FixedOrder.serial, from: 9) == [10, 11, 0, 1, 2, 3, 4, 5, 6, 7, 8])
  }

  @Test("takes the best predictions first: predict-rank") func predictRank() throws {
    #expect(try order(FixedOrder.predictRank, from: 0) == [6, 2, 4, 1, 8, 11, 3, 5, 7, 10, 9])
  }

  @Test("takes predicted-good holes by patches: greedy") func greedy() throws {
    // Predicted good: three in patch 0, one in patch 1, two in patch 2, none in patch 3.
    #expect(try order(FixedOrder.greedy(.patch), from: 4) == [0, 1, 2, 6, 8])
    #expect(try order(FixedOrder.greedy(.patch), from: 9) == [0, 1, 2, 6, 8, 4])
  }

  @Test("leaves a patch after three bad outcomes in a row: snowball") func snowball() throws {
    // Good: 0, 2, 3, 4, 6, 8, 11. From 9, itself bad, 10 and 11 follow; 11 is good, and the patch is exhausted.
    #expect(try order(Snowball(), from: 9) == [10, 11, 6, 7, 8, 0, 1, 2, 3, 4, 5])
    #expect(try order(Snowball(patience: 1), from: 9) == [6, 7, 0, 1, 3, 4, 5, 2, 8, 10, 11])
  }
}
