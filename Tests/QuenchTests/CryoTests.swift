import Foundation
import QuenchCryoEM
import QuenchCryoLearning
import QuenchReporting
import QuenchSupport
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

  @Test("evaluates a policy and studies all, with the summaries that the library has") func evaluates() async throws
  {
    let folder = try TemporaryFolder()
    let files = try await simulate(folder)
    let others = try await simulate(folder, seed: 6)
    let train = ["--train-survey", others[1], "--train-predictions", others[3]]
    for (command, key) in [("evaluate", "budgets.7.5.good_mean"), ("study", "main.closed-loop.7.5.mean")] {
      let run = RunPlace(folder / command)
      let outcome = try await Tool.run(
        ["cryo", command, "--minutes", "7.5", "--starts", "2", "--rule", "R", "--out", run.path, "--json"] + train
          + files + Self.quick)
      #expect(outcome.code == 0, "\(outcome.errors)")
      let summary = try outcome.json()
      #expect(try summary == run.folder.readSummary() && summary[key]?.number != nil)
      try FileManager.default.removeItem(at: run.file("report.html"))
      #expect(try await Tool.run(["report", run.path]).code == 0)
      #expect(try String(contentsOf: run.file("report.html"), encoding: .utf8).contains("no microscope"))
    }
    let again = try await Tool.run(["run", (folder / "evaluate/config.yaml").path, "--out", (folder / "again").path]
    )
    #expect(again.code == 0 && again.output.contains("episodes.csv"), "\(again.errors)")
    #expect(try sameBytes(folder / "again/episodes.csv", folder / "evaluate/episodes.csv"))
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

  @Test("every command's flags are settings of its experiment, with the library's defaults") func flags() throws {
    func check<Command: CryoExperimentCommand>(_ type: Command.Type, _ more: [String] = []) throws {
      let command = try Command.parse(["--survey", "s", "--predictions", "p"] + more)
      var settings: Record = ["survey": "s", "predictions": "p"]
      for index in stride(from: 0, to: more.count, by: 2) {
        settings[String(more[index].dropFirst(2))] = .string(more[index + 1])
      }
      let own = try Command.Work(settings: command.settings, name: "flags").settings
      #expect(try own == Command.Work(settings: settings, name: "x").settings)
    }
    try check(CryoEvaluateCommand.self)
    try check(CryoStudyCommand.self, ["--train-survey", "t", "--train-predictions", "q"])
    try check(CryoTrainCommand.self, ["--preset", "feedback"])
    try check(CryoCalibrateCommand.self)
    let plan = try CryoPlanCommand.parse(["--survey", "s", "--start", "0", "--out", "plan.csv"])
    #expect(
      try PlanAcquisition(settings: Flags.settings(of: plan), name: "flags").settings
        == PlanAcquisition(settings: ["survey": "s", "start": "0"], name: "x").settings)
    let predictor = try PredictorTrainCommand.parse(["--survey", "s", "--images", "i"])
    #expect(
      try TrainPredictor(settings: predictor.settings, name: "flags").settings
        == TrainPredictor(settings: ["survey": "s", "images": "i"], name: "x").settings)
    let simulate = try CryoSimulateCommand.parse(["--out", "x"])
    #expect(
      try SimulateSurvey(settings: Flags.settings(of: simulate), name: "flags").settings
        == SimulateSurvey().settings)
  }

  @Test("a run's configuration says all of it as flags") func configuration() throws {
    func check<Command: ExperimentCommand>(_ type: Command.Type, _ words: [String], _ change: Record) throws {
      let folder = try TemporaryFolder()
      var settings: Record = ["survey": "s.csv", "predictions": "p.txt"]
      settings.merge(change)
      let experiment = try Command.Work(settings: settings, name: "x").settings
      let file = folder / "config.yaml"
      try Data(Value.object(["settings": .object(experiment)]).yaml().utf8).write(to: file)
      let words = ["cryo"] + words
      let arguments = try ConfigurationFile.expand(words + ["--config", file.path], help: Quench._dumpHelp())
      let command = try #require(try Quench.parseAsRoot(arguments) as? Command)
      #expect(try Command.Work(settings: command.settings, name: "x").settings == experiment)
    }
    try check(
      CryoTrainCommand.self, ["train"],
      [
        "preset": "feedback", "discount": 0.5, "trains-on-predictions": false, "prioritized": true, "minutes": 60,
        "penalizes-bad-holes": true, "rewards": [1.0, 0.5, 0.25, 0.125, 0.1]
      ])
    try check(CryoEvaluateCommand.self, ["evaluate"], ["minutes": [7.5, 60], "costs": "old", "rule": "R"])
    try check(
      CryoStudyCommand.self, ["study"],
      ["train-survey": "t.csv", "train-predictions": "q.txt", "dqn": ["a=b.safetensors,c.safetensors"]])
    try check(CryoCalibrateCommand.self, ["calibrate"], ["bins": 7, "extra-predictions": true])
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
      (["study"], 64, "--train-survey"), (["train", "--steps-per-epoch", "7"], 64, "--steps-per-epoch"),
      (["calibrate", "--bins", "1"], 64, "--bins"),
      (["plan", "--start", "0", "--out", "p", "--stage-speed", "0"], 64, "--stage-speed"),
      (["simulate", "--out", "x", "--tiles", "0"], 64, "--tiles"),
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
    if arguments[0] != "simulate" { arguments += files }
    let outcome = try await Tool.run(["cryo"] + arguments)
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
