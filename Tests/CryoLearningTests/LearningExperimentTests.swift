import CryoFixtures
import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import QuenchCryoLearning

@Suite("Learning for cryo-EM as experiments") struct LearningExperimentTests {
  @Test("a preset is where a file begins, and every setting of the method is written and read back") func presets()
    throws
  {
    for preset in DQN.Preset.allCases {
      let training = try TrainDQN(
        settings: ["survey": "s", "predictions": "p", "preset": .string(preset.rawValue), "epochs": 3], name: "x")
      var method = DQN(preset)
      method.epochs = 3
      #expect(training.method == method)
    }
    var training = TrainDQN()
    training.source = SurveySelection("s.csv", predictions: "p.txt")
    training.preset = .feedback
    training.method.priorityExponent = 0.4
    training.method.features = FeatureMode(.feedback, usesPredictions: false, smoothing: 1)
    training.method.rewards = RewardRule(.oldToolRewards, isDynamic: true, penalizesBadHoles: true)
    training.method.validationEpisodes = 3
    let again = try TrainDQN(settings: training.settings, name: "x")
    #expect(again.method == training.method)
    let prioritized = try TrainDQN(settings: ["prioritized": true], name: "x")
    #expect(prioritized.method.priorityExponent == 0.6)
    #expect(throws: InputError.self) { try TrainDQN().checked() }
  }

  @Test("a network is trained, kept with its figures, and collects as a policy") func trains() throws {
    let files = try SurveyFiles(seeds: 5)
    var training = TrainDQN()
    training.source = files.source(5)
    (training.method.epochs, training.method.stepsPerEpoch, training.method.validationEpisodes) = (2, 50, 2)
    training.method.batchSize = 8
    let run = try Lab().perform(training, in: files.folder / "dqn")
    let outcome = try #require(run.outcome)
    #expect(outcome.updates == 10 && (1...2).contains(outcome.bestEpoch) && outcome.secondsPerEpoch > 0)
    #expect(run.metrics.count == 10 && run.metrics.allSatisfy { $0["loss"]?.number != nil })
    #expect(run.metrics.filter { $0["validation_good"] != nil }.map { $0["epoch"]?.number } == [1, 2])
    #expect(run.report.html.contains("Good micrographs of test episodes"))
    var evaluation = EvaluatePolicy()
    evaluation.trials.source = files.source(5)
    (evaluation.policy, evaluation.trials.minutes, evaluation.trials.starts) = (.dqn, [10], "0,5")
    #expect(throws: InputError.self) { try evaluation.checked() }
    evaluation.weights = run.folder.artefact(TrainDQN.weightsFileName).path
    #expect(try Lab().perform(evaluation, in: files.folder / "dqn-evaluation").outcome?.budgets["10"]?.n == 2)
  }

  @Test("the epoch is chosen by tiles that training does not see, and tiles that are none are refused")
  func validationTiles() throws {
    let files = try SurveyFiles(seeds: 5)
    let survey = try files.source(5).load(RunConsole()).survey
    let tiles = survey.tiles.map(\.name)
    var training = TrainDQN()
    training.source = files.source(5)
    (training.method.epochs, training.method.stepsPerEpoch, training.method.validationEpisodes) = (1, 20, 2)
    training.method.batchSize = 8
    training.validationTile = [tiles[0]]
    let run = try Lab().perform(training, in: files.folder / "held-out")
    let outcome = try #require(run.outcome)
    #expect(run.record.settings["validation-tile"] != nil)
    #expect(outcome.validationHoles == survey.tiles[0].holes.count)
    let share = Double(survey.tiles[0].holes.count) / Double(outcome.holes)
    #expect(try abs(#require(outcome.validationMinutes) - 480 * share) < 1e-9)
    #expect(outcome.holes == survey.count - survey.tiles[0].holes.count)
    #expect(run.report.html.contains("held-out tiles \(tiles[0])"))
    for refused in [["no-such-tile"], tiles] {
      training.validationTile = refused
      #expect { try Lab().perform(training, in: files.folder / "refused") } throws: {
        "\($0)".contains("validation-tile")
      }
    }
  }

  @Test("a session trains a network as its steps alone do, also from a checkpoint on") func session() throws {
    let survey = try SyntheticSurvey().make(seed: 4)
    var method = DQN()
    (method.epochs, method.stepsPerEpoch, method.batchSize, method.validationEpisodes) = (2, 40, 8, 1)
    func training() throws -> DQNTraining {
      try DQNTraining(method, on: survey, rules: AcquisitionRules(), seed: 3)
    }
    let byHand = try training()
    while !byHand.isDone {
      _ = try byHand.step()
      if byHand.updates > 0, byHand.updates % byHand.iterationsPerEpoch == 0 { _ = try byHand.validate() }
    }
    struct Stop: Error {}
    let folder = try TemporaryFolder()
    let record = RunRecord(command: [], settings: [:])
    func train(_ training: DQNTraining, until last: Int, resumes: Bool) throws {
      var session = TrainingSession(folder: try RunFolder(at: folder / "run", for: record, resume: resumes))
      session.resumes = resumes
      session.atEpochEnd = { epoch, _ in
        if epoch > last { throw Stop() }
        return ["validation_reward": .double(try training.validate().reward)]
      }
      _ = try session.run(training)
    }
    #expect(throws: Stop.self) { try train(training(), until: 1, resumes: false) }
    let resumed = try training()
    try train(resumed, until: 2, resumes: true)
    #expect(resumed.iteration == byHand.iteration && resumed.bestReward == byHand.bestReward)
    for (mine, theirs) in zip(
      resumed.best.parameters + resumed.network.parameters, byHand.best.parameters + byHand.network.parameters)
    {
      #expect(mine.tensor.isEqual(to: theirs.tensor), "\(mine.name)")
    }
  }

  @Test("a predictor's settings are written and read back") func predictorSettings() throws {
    var training = TrainPredictor()
    (training.images, training.survey, training.classes) = ("images", "s.csv", [4, 8])
    training.recipe.augmentation?.area = 0.5...1
    (training.recipe.loss, training.recipe.balancesClasses) = (.smoothL1, true)
    let settings = try training.checked().settings
    #expect(settings["classes"] == [4.0, 8.0] && settings["least-crop"] == 0.5 && settings["loss"] == "smooth-l1")
    let again = try TrainPredictor(settings: settings, name: "x")
    #expect(again.recipe == training.recipe && again.classes == [4, 8])
    #expect(try TrainPredictor(settings: ["classes": "6"], name: "x").task == .classification([6]))
    let plain = try TrainPredictor(settings: ["augmentation": false], name: "x")
    #expect(plain.recipe.augmentation == nil && plain.task == .regression)
    for (key, value) in [("classes", [8.0, 4.0]), ("side", 4), ("folds", 1), ("threshold", 20)] as [(String, Value)]
    {
      let settings: Record = ["images": "i", "survey": "s", key: value]
      let error = #expect(throws: InputError.self) { try TrainPredictor(settings: settings, name: "x").checked() }
      #expect(error?.location == key)
    }
    #expect(throws: InputError.self) { try TrainPredictor(settings: ["least-crop": 0], name: "x") }
  }
}

@Suite("A cryo-EM run of version 0.1") struct EarlierCryoRunTests {
  @Test("an evaluation, whose minutes were a budget, has its page") func evaluation() throws {
    let files = try SurveyFiles()
    let figures: Record = [
      "good_mean": 12.5, "good_sd": 2.0, "good_low": 11.0, "good_high": 14.0, "visits_mean": 20.0,
      "minutes_mean": 61.0, "reward_mean": 11.0, "oracle_mean": 16.0, "of_oracle": 0.78125, "n": 4
    ]
    let run = try files.earlierRun(
      "evaluation", "evaluate",
      settings: [
        "survey": "grid/val.csv", "predictions": "p.txt", "threshold": 6.0, "costs": [1.0, 2.0, 6.0, 8.0, 20.0],
        "rule": "R", "policy": "closed-loop", "calibration": "auto", "replan": 1, "budget": [60.0, 37.5],
        "starts": "4", "seed": 1
      ],
      summary: [
        "policy": "closed-loop", "holes": 60, "starts": 4, "good_holes": 30, "synthetic": false,
        "budgets": ["60": .object(figures), "37.5": .object(figures)], "seconds": 1.0, "visits_per_second": 80.0
      ])
    let performed = try PerformedRun<EvaluatePolicy>(run)
    #expect(performed.experiment.trials.minutes == [60, 37.5])
    #expect(performed.outcome?.budgets.names == ["60", "37.5"])
    let page = performed.report.html
    for text in ["closed-loop on val.csv", "Good in 37.5 min", "78.1 % of the oracle", "rule R with 6.0 Å"] {
      #expect(page.contains(text), "\(text)")
    }
  }

  @Test("a study, a training and a predictor have theirs") func others() throws {
    let files = try SurveyFiles()
    let cell: Record = ["mean": 5.0, "sd": 1.0, "of_oracle": 0.5, "seeds": 1]
    let study = try files.earlierRun(
      "study", "study", settings: ["survey": "val.csv", "dqn": [], "budget": [60.0], "starts": "2", "seed": 1],
      summary: [
        "holes": 10, "starts": 2, "synthetic": false, "budgets": [60.0],
        "main": ["serial": ["60": .object(cell)], "oracle": ["60": .object(cell)]],
        "tiles": [
          "T.1": [
            "holes": 3, "budget": 20.0, "oracle": 3.0, "closed-loop": 2.0, "tree-dp": 2.0, "greedy-patch": 1.0,
            "snowball": 1.0
          ],
          "total": ["oracle": 3.0, "closed-loop": 2.0, "tree-dp": 2.0, "greedy-patch": 1.0, "snowball": 1.0]
        ]
      ])
    let outcome = try #require(try PerformedRun<PolicyStudy>(study).outcome)
    #expect(outcome.main["serial"]?["60"]?.mean == 5 && outcome.constant == nil)
    #expect(outcome.tiles["T.1"]?.greedyPatch == 1 && outcome.tiles.names == ["T.1", "total"])
    #expect(try PerformedRun<PolicyStudy>(study).report.html.contains("T.1"))

    let training = try files.earlierRun(
      "training", "train", settings: ["survey": "s.csv", "preset": "train-sh", "epochs": 3, "prioritized": true],
      summary: [
        "best_epoch": 2, "best_reward": 51.5, "epochs": 3, "updates": 9, "seconds": 3.0, "seconds_per_epoch": 1.0,
        "parameters": 100, "peak_memory_mb": 200.0, "holes": 60, "seed": 1
      ])
    let page = try PerformedRun<TrainDQN>(training).report.html
    #expect(page.contains("cryoRL, preset train-sh") && page.contains("51.5") && page.contains("of 3"))

    let predictor = try files.earlierRun(
      "predictor", "predictor", "train",
      settings: ["images": "i", "survey": "s.csv", "model": "small-cnn", "classes": "4,8", "least-crop": 0.08],
      summary: [
        "model": "small-cnn", "task": "classification", "synthetic": true, "judged_on": "validation survey",
        "predictions": "predictions.txt", "threshold": 6.0, "training_holes": 24, "n": 24, "accuracy": 0.75,
        "accuracy_low": 0.5, "accuracy_high": 0.9, "best_epoch": 1, "seconds": 1.0, "images_per_second": 24.0,
        "prediction_images_per_second": 100.0, "peak_memory_mb": 200.0, "parameters": 100, "seed": 1
      ])
    let learned = try PerformedRun<TrainPredictor>(predictor)
    #expect(learned.experiment.classes == [4, 8] && learned.outcome?.accuracy.high == 0.9)
    #expect(learned.report.html.contains("SYNTHETIC") && learned.report.html.contains("75.00 %"))
  }
}
