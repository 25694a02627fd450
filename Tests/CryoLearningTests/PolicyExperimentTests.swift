import CryoFixtures
import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport
import TestSupport
import Testing

@testable import QuenchCryoLearning

@Suite("Policies as experiments") struct PolicyExperimentTests {
  @Test("a program compares all policies, and finds the figures by policy and minutes") func study() throws {
    let files = try SurveyFiles(seeds: 5, 6)
    var study = PolicyStudy()
    study.trials.source = files.source(5)
    study.trials.training = files.training(6)
    (study.trials.minutes, study.trials.starts) = ([10], "2")
    let run = try Lab().perform(study, in: files.folder / "study")
    let outcome = try #require(run.outcome)

    let best = try #require(outcome.main["oracle"]?["10"])
    for policy in ["random", "serial", "predict-rank", "greedy-tile", "tree-dp", "closed-loop"] {
      #expect(try #require(outcome.main[policy]?["10"], "\(policy)").mean <= best.mean)
    }
    #expect(best.ofOracle == 1 && best.seeds == 1 && best.sdOfSeeds == nil)
    #expect(outcome.constant?.names == ["snowball", "tree-dp", "closed-loop", "oracle"])
    #expect(outcome.damaged?["snowball"]?["10"] != nil && outcome.synthetic)
    let total = try #require(outcome.tiles["total"])
    #expect(total.closedLoop <= total.oracle && total.holes == nil)
    let sum = outcome.tiles.names.dropLast().reduce(0) { $0 + (outcome.tiles[$1]?.snowball ?? .nan) }
    #expect(abs(sum - total.snowball) < 1e-9)

    let summary = try run.folder.readSummary()
    #expect(summary["main.closed-loop.10.mean"]?.number == outcome.main["closed-loop"]?["10"]?.mean)
    #expect(summary["tiles.total.greedy-patch"]?.number == total.greedyPatch)
    #expect(summary.keys.allSatisfy { !$0.contains("sd_of_seeds") })
    let page = run.report.html
    for text in ["Leave one tile out", "useless predictions", "Good micrographs against time", "no microscope"] {
      #expect(page.contains(text), "\(text)")
    }
  }

  @Test("a study keeps the parts that are done and mends what was deleted") func parts() throws {
    let files = try SurveyFiles(seeds: 5, 6)
    var study = PolicyStudy()
    study.trials.source = files.source(5)
    study.trials.training = files.training(6)
    (study.trials.minutes, study.trials.starts) = ([8, 12.5], "0,3")
    let url = files.folder / "study"
    let first = try Lab().perform(study, in: url)
    let kept = try Data(contentsOf: url.appending(path: "main/config.yaml"))
    #expect(first.outcome?.main["random"]?.names == ["8", "12.5"])
    try FileManager.default.removeItem(at: url.appending(path: "damaged"))
    #expect(try !study.isWhole(in: url))
    let mended = try Lab().ensure(study, in: url)
    #expect(try mended.folder.readSummary() == first.folder.readSummary())
    #expect(try Data(contentsOf: url.appending(path: "main/config.yaml")) == kept)
    #expect(try study.isWhole(in: url))
  }

  @Test("an evaluation writes a row for each start and budget, and its figures follow from the rows")
  func evaluates()
    throws
  {
    let files = try SurveyFiles(seeds: 5)
    for policy in [PolicyName.random, .closedLoop, .oracle] {
      var evaluation = EvaluatePolicy()
      evaluation.trials.source = files.source(5)
      evaluation.policy = policy
      (evaluation.trials.minutes, evaluation.trials.starts, evaluation.trials.seed) = ([8, 20], "4", 2)
      evaluation.trials.rules.rule = .reference
      let run = try Lab().perform(evaluation, in: files.folder / policy.rawValue)
      let rows = try String(contentsOf: run.folder.artefact("episodes.csv"), encoding: .utf8).split(separator: "\n")
        .map { $0.split(separator: ",").map(String.init) }
      #expect(rows[0] == ["start", "budget", "good", "visits", "minutes", "reward"] && rows.count == 9)
      let good = rows.dropFirst().filter { $0[1] == "20" }.compactMap { Double($0[2]) }
      let figures = try #require(run.outcome?.budgets["20"])
      #expect(good.count == 4 && figures.n == 4 && figures.goodMean == good.reduce(0, +) / 4)
      #expect(figures.ofOracle <= 1 && figures.goodLow <= figures.goodMean && figures.goodMean <= figures.goodHigh)
      if policy == .oracle { #expect(figures.ofOracle == 1) }
      let page = run.report.html
      #expect(page.contains("Good micrographs against time") && page.contains("squares with"))
      #expect(page.contains("synthetic: no microscope") && page.contains("Good in 20 min"))
      #expect(run.text.contains("oracle") && run.text.contains("episodes.csv"))
    }
  }

  @Test("damaged predictions are too high on half of the patches, and constant ones are the median") func changes()
    throws
  {
    let survey = try SyntheticSurvey().make(seed: 3)
    func resolutions(_ survey: Survey) -> [Double] { survey.holes.compactMap { $0.prediction?.resolution } }
    let before = resolutions(survey)
    let damaged = resolutions(try ComparePolicies.Change.damaged.applied(to: survey, seed: 1))
    let shifted = survey.patches.map { patch in
      Set(patch.holes.map { ((damaged[$0] - before[$0]) * 1e6).rounded() / 1e6 })
    }
    #expect(shifted.allSatisfy { $0 == [0] || $0 == [1.5] })
    #expect(shifted.count { $0 == [1.5] } == survey.patches.count / 2)
    let constant = Set(resolutions(try ComparePolicies.Change.constant.applied(to: survey, seed: 1)))
    #expect(constant == [before.sorted()[before.count / 2]])
    let none = survey.predicting(survey.holes.map { _ in nil })
    #expect(throws: InputError.self) { try ComparePolicies.Change.constant.applied(to: none, seed: 1) }
  }

  @Test(
    "what a setting cannot be is refused by its name, and leaves no folder",
    arguments: [
      ("minutes", "0"), ("minutes", "120,x"), ("costs", "3,2,1,0"), ("costs", "1,2"), ("rule", "T"),
      ("threshold", "30"), ("policy", "clever"), ("replan", "0"), ("starts", "1,99999"), ("starts", "0"),
      ("starts", "nobody")
    ])
  func mistakes(_ key: String, _ value: String) throws {
    let files = try SurveyFiles(seeds: 5)
    let url = files.folder / "run"
    var settings: Record = ["survey": .string(files.path(5, "survey.csv")), "starts": "2"]
    settings[key] = try Value(yaml: Data(value.utf8), name: key)
    let error = #expect(throws: InputError.self) {
      try Lab().perform(EvaluatePolicy(settings: settings, name: "x.yaml"), in: url)
    }
    #expect(error?.location?.contains(key) == true, "\(error.map { "\($0)" } ?? "")")
    #expect(!FileManager.default.fileExists(atPath: url.path))
  }
}
