import CryoEM
import Foundation
import Reporting
import Support
import TestSupport
import Testing

@testable import quench

@Suite("quench cryo") struct CryoTests {
  /// A small synthetic survey as files, made by the tool itself.
  private func simulate(_ folder: TemporaryFolder, seed: Int = 5) async throws -> [String] {
    let grid = folder / "grid\(seed)"
    let outcome = try await Tool.run([
      "cryo", "simulate", "--tiles", "2", "--patches", "3", "--holes", "6", "--seed", "\(seed)", "--out", grid.path
    ])
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(outcome.output.contains("synthetic"))
    return [
      "--survey", grid.appending(path: "survey.csv").path, "--predictions",
      grid.appending(path: "predictions.txt").path
    ]
  }

  private static let quick = ["--threads", "1", "--precision", "float32"]

  @Test("inspects a survey and says that it is synthetic") func inspects() async throws {
    let folder = try TemporaryFolder()
    let files = try await simulate(folder)
    let outcome = try await Tool.run(["cryo", "inspect", "--json"] + files)
    let summary = try outcome.json()
    let survey = try SurveyFile(contentsOf: URL(filePath: files[1])).survey
    #expect(summary["holes"]?.integer == survey.count && summary["patches"]?.integer == survey.patches.count)
    #expect(summary["good"]?.integer == survey.goodCount(threshold: 6))
    #expect(summary["synthetic"]?.bool == true)
    #expect(try await Tool.run(["cryo", "inspect"] + files).output.contains("made up"))
  }

  @Test("plans an order with costs, probabilities and sums that agree") func plans() async throws {
    let folder = try TemporaryFolder()
    let files = try await simulate(folder)
    let plan = folder / "plan.csv"
    let outcome = try await Tool.run(
      ["cryo", "plan", "--start", "3", "--minutes", "25", "--ignore-measured", "--out", plan.path, "--json"] + files
    )
    #expect(outcome.code == 0, "\(outcome.errors)")
    let summary = try outcome.json()
    let lines = try String(contentsOf: plan, encoding: .utf8).split(separator: "\n")
    #expect(
      lines[0] == "order,name,tile,square,patch,predicted_ctf,p_good,move,cost_min,cum_min,cum_expected_good")
    #expect(lines.count == 1 + (summary["exposures"]?.integer ?? -1))
    let last = lines[lines.count - 1].split(separator: ",")
    #expect(Double(last[9]) == summary["minutes"]?.number)
    #expect(abs((Double(last[10]) ?? 0) - (summary["expected_good"]?.number ?? .nan)) < 1e-3)
    #expect((summary["minutes"]?.number ?? 99) <= 25)
  }

  @Test("plans what it simulates, and says by how much odd costs may fall short") func readme() async throws {
    let folder = try TemporaryFolder()
    let files = try await simulate(folder)
    let plan = folder / "plan.csv"
    let outcome = try await Tool.run(
      ["cryo", "plan"] + files + ["--start", "0", "--minutes", "480", "--out", plan.path])
    #expect(
      outcome.code == 0 && outcome.errors.contains("every hole of the survey is measured"), "\(outcome.errors)")
    let exact = try await Tool.run(
      ["cryo", "plan", "--start", "0", "--costs", "0.07,1.03,2.5,3", "--minutes", "9", "--out", plan.path, "--json"]
        + files)
    #expect(try exact.json()["possibly_better_by"]?.number == 0)
    let odd = try await Tool.run(
      [
        "cryo", "plan", "--start", "0", "--costs", "0.0712345,1.03,2.5,3.33333", "--minutes", "9", "--out",
        plan.path,
        "--json"
      ] + files)
    #expect(try #require(try odd.json()["possibly_better_by"]?.number) < 0.5)
  }

  @Test("plans a classifier's best holes first, where nothing was learned of it") func classes() async throws {
    let folder = try TemporaryFolder()
    let (survey, predictions) = (folder / "s.csv", folder / "p.txt")
    let names = (1...12).map { "h\($0)" }
    let table = names.enumerated().map { "\($1),T,S,P\($0 / 4)\n" }.joined()
    try Data(("name,tile,square,patch\n" + table).utf8).write(to: survey)
    let rated = names.enumerated().map { "\($1) \($0 % 2 == 0 ? "0.05 0.95" : "0.95 0.05")\n" }.joined()
    try Data((rated + "elsewhere 0.05 0.95\n").utf8).write(to: predictions)
    let plan = folder / "plan.csv"
    let outcome = try await Tool.run(
      [
        "cryo", "live", "--log", (folder / "s.sqlite").path, "--survey", survey.path, "--predictions",
        predictions.path, "--extra-predictions", "--start", "h1", "--minutes", "12", "--port", "0", "--plan",
        plan.path
      ], sending: SIGINT
    ) { FileManager.default.fileExists(atPath: plan.path) }
    #expect(outcome.code == 130, "\(outcome.errors)")
    let rows = try PlanFile(contentsOf: plan).entries
    #expect(rows.prefix(2).map(\.hole) == ["h2", "h4"])
    let good = rows.filter { ($0.probability ?? 0) > 0.7 }.map(\.hole)
    #expect(good.sorted() == ["h10", "h12", "h2", "h4", "h6", "h8"])
  }

  @Test("evaluates policies from many starts: rows, summary and report") func evaluates() async throws {
    let folder = try TemporaryFolder()
    let files = try await simulate(folder)
    for policy in ["random", "closed-loop", "oracle"] {
      let run = RunPlace(folder / policy)
      let outcome = try await Tool.run(
        [
          "cryo", "evaluate", "--policy", policy, "--minutes", "8,20", "--starts", "4", "--rule", "R", "--seed",
          "2",
          "--out", run.path, "--json"
        ] + files + Self.quick)
      #expect(outcome.code == 0, "\(outcome.errors)")
      let summary = try outcome.json()
      let rows = try String(contentsOf: run.file("episodes.csv"), encoding: .utf8).split(separator: "\n")
        .map { $0.split(separator: ",").map(String.init) }
      #expect(rows[0] == ["start", "budget", "good", "visits", "minutes", "reward"] && rows.count == 9)
      let good = rows.dropFirst().filter { $0[1] == "20" }.compactMap { Double($0[2]) }
      #expect(good.count == 4 && summary["budgets.20.good_mean"]?.number == good.reduce(0, +) / 4)
      #expect(try #require(summary["budgets.20.of_oracle"]?.number) <= 1)
      let report = try String(contentsOf: run.file("report.html"), encoding: .utf8)
      #expect(report.contains("Good micrographs against time") && report.contains("squares with"))
      #expect(report.contains("synthetic: no microscope"))
    }
    // Runs of earlier versions call the minutes a budget.
    let old = RunPlace(folder / "oracle")
    let config = try String(contentsOf: old.file("config.yaml"), encoding: .utf8)
    #expect(config.contains("\n  minutes:"))
    try Data(config.replacing("\n  minutes:", with: "\n  budget:").utf8).write(to: old.file("config.yaml"))
    #expect(try await Tool.run(["report", old.path]).code == 0)
    let report = try String(contentsOf: old.file("report.html"), encoding: .utf8)
    #expect(report.contains("Good in 20 min"))
  }

  @Test("trains a network that an interrupted run ends with as well, and evaluates it") func trains() async throws {
    let folder = try TemporaryFolder()
    let files = try await simulate(folder)
    let train = ["cryo", "train", "--epochs", "3", "--steps-per-epoch", "150", "--quiet"] + files + Self.quick
    let (whole, broken) = (RunPlace(folder / "whole"), RunPlace(folder / "broken"))
    #expect(try await Tool.run(train + ["--out", whole.path]).code == 0)
    let stopped = try await Tool.run(
      train + ["--out", broken.path], sending: SIGINT, once: broken.file("metrics.jsonl"), hasLines: 1)
    #expect(stopped.code == 130, "\(stopped.errors)")
    #expect(try await Tool.run(train + ["--out", broken.path, "--resume"]).code == 0)
    #expect(try sameBytes(whole.file("q-network.safetensors"), broken.file("q-network.safetensors")))
    let outcome = try await Tool.run(
      [
        "cryo", "evaluate", "--policy", "dqn", "--weights", whole.file("q-network.safetensors").path, "--minutes",
        "10",
        "--starts", "0,5", "--out", (folder / "evaluation").path, "--json"
      ] + files + Self.quick)
    #expect(try outcome.json()["budgets.10.n"]?.integer == 2)
  }

  @Test("compares all policies in one study") func studies() async throws {
    let folder = try TemporaryFolder()
    let files = try await simulate(folder)
    let others = try await simulate(folder, seed: 6)
    let run = RunPlace(folder / "study")
    let outcome = try await Tool.run(
      [
        "cryo", "study", "--train-survey", others[1], "--train-predictions", others[3], "--minutes", "10",
        "--starts",
        "2", "--out", run.path, "--json"
      ] + files + Self.quick)
    #expect(outcome.code == 0, "\(outcome.errors)")
    let summary = try outcome.json()
    for policy in ["random", "serial", "greedy-tile", "tree-dp", "closed-loop", "oracle"] {
      let mean = try #require(summary["main.\(policy).10.mean"]?.number, "\(policy)")
      #expect(mean <= summary["main.oracle.10.mean"]?.number ?? 0)
    }
    #expect(
      summary["constant.closed-loop.10.mean"]?.number != nil && summary["damaged.snowball.10.sd"]?.number != nil)
    let total = try #require(summary["tiles.total.closed-loop"]?.number)
    #expect(total <= summary["tiles.total.oracle"]?.number ?? 0)
    let report = try String(contentsOf: run.file("report.html"), encoding: .utf8)
    #expect(report.contains("Leave one tile out") && report.contains("useless predictions"))
  }

  @Test("fits costs to time stamps") func timeModel() async throws {
    let folder = try TemporaryFolder()
    _ = try await simulate(folder)
    let stamps = (folder / "grid5").appending(path: "timestamps.csv").path
    let summary = try await Tool.run(["cryo", "time-model", "--time-stamps", stamps, "--json"]).json()
    #expect((75...93).contains(try #require(summary["hole"]?.record?["median_s"]?.number)))
    #expect(summary["grid"]?.record?["from_preset"]?.bool == true)
  }

  @Test(
    "says what is wrong with values and files",
    arguments: [
      (["evaluate", "--minutes", "0"], Int32(64), "--minutes"), (["evaluate", "--costs", "3,2,1,0"], 64, "--costs"),
      (["evaluate", "--rule", "T"], 64, "--rule"), (["evaluate", "--policy", "dqn"], 64, "--weights"),
      (["evaluate", "--policy", "clever"], 64, "--policy"), (["evaluate", "--threshold", "30"], 64, "--threshold"),
      (["evaluate", "--starts", "nobody"], 1, "there is no hole of this name"),
      (["evaluate", "--starts", "1,99999"], 1, "there is no hole of this index"),
      (["evaluate", "--starts", "0"], 1, "there is no start hole"),
      (["plan", "--out", "plan.csv", "--start", "99999"], 1, "there is no hole of this index"),
      (["plan", "--out", "plan.csv", "--start", "0", "--minutes", "0.5"], 1, "nothing can be exposed")
    ])
  func mistakes(_ arguments: [String], _ code: Int32, _ word: String) async throws {
    let folder = try TemporaryFolder()
    let files = try await simulate(folder)
    var arguments = arguments
    if arguments[0] == "evaluate" { arguments += ["--out", (folder / "run").path] }
    let outcome = try await Tool.run(["cryo"] + arguments + files)
    #expect(outcome.code == code, "\(outcome.errors)")
    #expect(outcome.errors.contains(word), "\(outcome.errors)")
    #expect(!FileManager.default.fileExists(atPath: (folder / "run").appending(path: "episodes.csv").path))
  }

  @Test("names the line of a bad survey or prediction file") func badFiles() async throws {
    let folder = try TemporaryFolder()
    let (survey, predictions) = (folder / "survey.csv", folder / "predictions.txt")
    try Data("s_1gr_1sq_1hl_1en-a,1,2,4.5,0.9\nFoilHole_17,1,2,4,1\n".utf8).write(to: survey)
    let bad = try await Tool.run(["cryo", "inspect", "--survey", survey.path])
    #expect(bad.code == 1 && bad.errors.contains("survey.csv, line 2: the name follows another convention"))
    try Data("s_1gr_1sq_1hl_1en-a,1,2,4.5,0.9\n".utf8).write(to: survey)
    try Data("s_1gr_1sq_1hl_1en-a nan\n".utf8).write(to: predictions)
    let nan = try await Tool.run(["cryo", "inspect", "--survey", survey.path, "--predictions", predictions.path])
    #expect(nan.code == 1 && nan.errors.contains("predictions.txt, line 1: the prediction is no number"))
    try Data().write(to: survey)
    let empty = try await Tool.run(["cryo", "inspect", "--survey", survey.path])
    #expect(empty.code == 1 && empty.errors.contains("the survey is empty"))
  }
}
