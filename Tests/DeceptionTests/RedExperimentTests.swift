import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import QuenchDeception

@Suite("Deception as experiments") struct RedExperimentTests {
  /// Gratings of four classes, so faint that a few gray levels change the class, and a classifier's weights for them.
  private static func victim(in folder: TemporaryFolder) throws -> (data: URL, weights: String) {
    let shop = try Workshop()
    let data = folder / "pictures"
    for (dataset, name) in [(shop.train, "train"), (shop.test, "test")] {
      for (index, label) in dataset.labels.array(Int64.self).enumerated() {
        let directory = data.appending(path: "\(name)/class\(label)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        try ImageGrid.png(dataset.images[index]).write(to: directory.appending(path: "\(index).png"))
      }
    }
    let network = shop.network
    try ModelFile(network, classNames: (0..<4).map { "class\($0)" }).write(to: folder / "v.safetensors")
    return (data, (folder / "v.safetensors").path)
  }

  @Test("a program builds pairs, trains a denoiser and judges it, in a few lines") func program() throws {
    let folder = try TemporaryFolder()
    let (data, weights) = try Self.victim(in: folder)

    var pairs = BuildRedData()
    (pairs.trainPairs, pairs.testPairs, pairs.attacks, pairs.unseenAttacks) = (40, 16, [.fgsm, .pgd], [.deepFool])
    (pairs.selection.data, pairs.selection.dataDir) = (.folder, data.path)
    pairs.victims.victim = [NamedWeights("v1", weights)]
    let built = try Lab().perform(pairs, in: folder / "pairs")

    var training = TrainRed()
    (training.pairs, training.surrogate) = ([built.folder.url.path], pairs.victims.victim)
    (training.design.depth, training.design.width, training.precision) = (4, 8, .float32)
    (training.recipe.epochs, training.recipe.batchSize) = (2, 8)
    let trained = try Lab().perform(training, in: folder / "denoiser")

    var evaluation = EvaluateRed()
    (evaluation.denoiserRun, evaluation.pairs) = (trained.folder.url.path, training.pairs)
    (evaluation.victims, evaluation.defense) = (pairs.victims, true)
    (evaluation.selection, evaluation.selection.limit) = (pairs.selection, 8)
    let judged = try Lab().perform(evaluation, in: folder / "judged")

    let cells = try #require(built.outcome)
    #expect(cells.cells == 15 && cells.rates.count == 15 && cells.pairs == 6 * 40 + 9 * 16)
    #expect(built.text.contains("15, 384 pairs") && built.report.html.contains("test-v1-deepfool-medium"))
    let learned = try #require(trained.outcome)
    #expect(learned.method == .cddRed && learned.validationPairs > 0 && learned.family?.families == ["fgsm", "pgd"])
    #expect(trained.record.settings["gamma"] == 0.025 && trained.metrics.last?["validation_pa_benign"] != nil)
    let outcome = try #require(judged.outcome)
    let all = try #require(outcome.groups?[.all])
    let parts = RedEvaluation.Group.allCases.filter { $0 != .all }.compactMap { outcome.groups?[$0]?.cells }
    #expect(all.cells == outcome.cells && parts.reduce(0, +) == outcome.cells)
    #expect(all.means.benign.low <= all.means.benign.value && all.iaaBenignHistogram.count == 20)
    #expect(outcome.groups?[.unseenAttack]?.cells == 1 && outcome.groups?[.unseenVictim] == nil)
    #expect(SuspicionScore.allCases.allSatisfy { outcome.detection?[$0] != nil })
    #expect(outcome.origins.answers[.init(trait: .attack, input: .delta)]?.classes == ["fgsm", "pgd"])
    #expect(outcome.origins.answers[.init(trait: .victim, input: .delta)] == nil)
    #expect(outcome.defense?.count == 12 && outcome.studies?.consistency.count == 5)
    let page = judged.report.html
    for title in ["Prediction alignment", "Where perturbations come from", "Transformed images", "As a defense"] {
      #expect(page.contains("<h2>\(title)</h2>"), "\(title)")
    }
    let summary = try judged.folder.readSummary()
    for key in [
      "groups.seen.pa_benign_low", "groups.unseen-strength.d_x_xr", "detection.logits.auroc_high",
      "attack_from_estimate.accuracy_low"
    ] { #expect(summary[key]?.number != nil, "\(key)") }
    let rows = try Value(json: Data(contentsOf: judged.folder.artefact("cells.json")), name: "cells").array
    #expect(rows?.count == outcome.cells && rows?.first?.record?["pa_benign"]?.number != nil)

    let again = try Lab().perform(
      TrainRed(settings: trained.record.settings, name: "config.yaml"), in: folder / "again")
    #expect(
      try Data(contentsOf: again.folder.artefact(DenoiserRun.denoiserFileName))
        == Data(contentsOf: trained.folder.artefact(DenoiserRun.denoiserFileName)))
  }

  @Test("a training has the hyper-parameters of its method, and refuses those of others") func methods() throws {
    func training(_ settings: Record) throws(InputError) -> TrainRed {
      let needed: Record = ["pairs": ["p"], "surrogate": ["a=x"]]
      return try TrainRed(settings: needed.merging(settings), name: "x").checked()
    }
    func error(_ settings: Record) -> InputError? {
      #expect(throws: InputError.self) { try training(settings) }
    }
    #expect(try training([:]).recipe.objective == .classDiscriminative)
    #expect(try training(["method": "ds-gauss"]).recipe.noise == 0.25)
    #expect(try training(["method": "do"]).recipe.objective == .denoisingOnly)
    let changed = try training(["gamma": 0.05, "transformation": ["flip"], "batch-norm-momentum": 0])
    #expect(changed.recipe.objective.benign == 0.05 && changed.recipe.objective.transformations == [.flip])
    #expect(changed.design.batchNormMomentum == 0 && changed.recipe.objective.adversarial == 0.025)
    let flipped = try training(["method": "ds", "transformation": ["flip"]]).recipe.objective
    let composed = try training(["reconstruction": "none", "gamma": 1, "lambda": 0, "transformation": ["flip"]])
    #expect(flipped == composed.recipe.objective && flipped != .stability)
    #expect(error(["method": "ds", "gamma": 0.05])?.location == "gamma")
    #expect(error(["method": "do", "transformation": ["flip"]])?.location == "transformation")
    #expect(
      error(["sigma": 0.1])?.remedy == "it takes --gamma, --lambda, --filter, --transformation, --reconstruction")
    #expect(error(["method": "dss"])?.description.contains("did you mean 'ds'?") == true)
    #expect(error(["depth": 2])?.location == "depth")
    #expect(error(["surrogate": ["a=x", "a=y"]])?.location == "surrogate")
    #expect(error(["surrogate": ["x"]])?.problem == "weights need a name")
    #expect(error(["surrogate": ["a b=x"]])?.found == "'a b=x'")
  }

  @Test("data and evaluation refuse settings that make no sense, by their names") func refuses() throws {
    func data(_ settings: Record) -> InputError? {
      let needed: Record = ["victim": ["a=x"]]
      return #expect(throws: InputError.self) {
        try BuildRedData(settings: needed.merging(settings), name: "x").checked()
      }
    }
    #expect(data(["attacks": "fgsm,square"])?.expected?.hasPrefix("any of fgsm, pgd, cw") == true)
    #expect(data(["unseen-attacks": ["pgd"]])?.location == "unseen-attacks")
    #expect(data(["unseen": ["a=y"]])?.problem == "a name occurs twice")
    #expect(data(["train-pairs": 0])?.location == "train-pairs")
    func evaluation(_ settings: Record) -> InputError? {
      let needed: Record = ["run": "r", "pairs": ["p"], "victim": ["a=x"]]
      return #expect(throws: InputError.self) {
        try EvaluateRed(settings: needed.merging(settings), name: "x").checked()
      }
    }
    #expect(evaluation(["limit": 9])?.location == "limit")
    #expect(evaluation(["defense": true, "train-limit": 9])?.location == "train-limit")
    let preset = try BuildRedData(settings: ["victim": "a=x", "preset": "tiny", "precision": "auto"], name: "x")
      .checked()
    #expect(preset.trainPairs == 40 && preset.testPairs == 40 && preset.precision == .float32)
  }

  /// The run of a command of version 0.1, read by today's experiment.
  private func earlier<Work: Experiment>(
    _ type: Work.Type, _ command: String, _ settings: Record, _ summary: Record
  ) throws -> PerformedRun<Work> {
    let folder = try TemporaryFolder()
    let record = RunRecord(command: ["quench", "red", command], settings: settings)
    let run = try RunFolder(at: folder / "run", for: record)
    try run.writeSummary(summary)
    try run.finish(.completed)
    return try PerformedRun<Work>(RunFolder(existing: folder / "run"))
  }

  @Test("folders of version 0.1 have their pages") func earlier() throws {
    let data = try earlier(
      BuildRedData.self, "build-data",
      [
        "preset": "tiny", "train-pairs": 40, "test-pairs": 40, "attacks": "fgsm,pgd", "unseen-attacks": "",
        "batch-size": 250, "precision": "float32", "seed": 1, "victims": ["v1=a.safetensors"], "unseen": [],
        "data": "cifar10"
      ],
      [
        "cells": 1, "pairs": 40, "seconds": 2.0,
        "rates": [["cell": "train-v1-fgsm-weak", "n": 40, "success_unrounded": 0.5, "success": 0.25]]
      ])
    #expect(data.outcome?.rates.first?.success == 0.25 && data.experiment.unseenAttacks.isEmpty)
    #expect(data.experiment.victims.victim.map(\.text) == ["v1=a.safetensors"])
    #expect(data.report.html.contains("train-v1-fgsm-weak"))

    let trained = try earlier(
      TrainRed.self, "train",
      [
        "method": "ds", "pairs": "runs/a, runs/b", "surrogates": ["v1=a.safetensors"], "depth": 5, "width": 16,
        "batch-norm-momentum": 0.1, "recalibrate": false, "seed": 1, "precision": "auto",
        "objective": ["reconstruction": "none", "benign": 1.0], "epochs": 3, "batch-size": 8, "noise": 0.0
      ],
      [
        "method": "ds", "pairs": 93, "epochs": 3, "validation_pa_benign": 0.5, "validation_pairs": 12,
        "calibration_images": 6, "seconds": 3.0, "images_per_second": 100.0, "parameters": 1000, "seed": 1,
        "families": ["fgsm", "pgd"], "family_accuracy": 0.75, "family_n": 40, "family_interval": [0.6, 0.85]
      ])
    #expect(
      trained.outcome?.family?.familyAccuracy?.high == 0.85 && trained.experiment.pairs == ["runs/a", "runs/b"])
    #expect(trained.report.html.contains("v1=a.safetensors") && trained.text.contains("50.00 %"))

    let means: Record = [
      "n": 20, "pa_benign": 0.5, "pa_benign_interval": [0.3, 0.7], "pa_adversarial": 0.4,
      "pa_adversarial_interval": [0.2, 0.6], "d_x_xr": 1.0, "d_x_xa": 1.5, "d_xa_xr": 0.5, "mae": 0.1, "mse": 0.01,
      "psnr": 20.0, "d_fx_fxr": 2.0, "d_fxa_fxar": 2.0, "d_fx_fxa": 3.0, "angle": 45.0, "logits_angle": 50.0,
      "delta_iou": 0.3, "attack_success": 1.0, "cells": 2, "pa_benign_cell_mean": 0.55, "identity_pa_benign": 0.0,
      "pa_adversarial_cell_mean": 0.45, "identity_pa_adversarial": 0.0, "iaa_benign": 0.5,
      "iaa_benign_histogram": [1, 2], "iaa_adversarial": 0.4, "iaa_adversarial_histogram": [2, 1]
    ]
    let judged = try earlier(
      EvaluateRed.self, "evaluate",
      [
        "run": "runs/red", "pairs": "runs/a", "origins": true, "defence": true, "seed": 1,
        "victims": ["v1=a.safetensors"], "unseen": [], "data": "cifar10", "limit": 200
      ],
      [
        "cells": 2, "groups": ["seen": .object(means), "all": .object(means)],
        "detection": [
          "logits": [
            "auroc": 0.7, "auroc_interval": [0.6, 0.8], "aupr": 0.7, "n_adversarial": 20, "n_clean": 10,
            "recall_at_5_percent_false_positives": .null
          ]
        ],
        "attack_from_delta": [
          "accuracy": 0.9, "n": 20, "interval": [0.7, 0.97], "classes": ["fgsm", "pgd"],
          "confusion": [[9, 1], [1, 9]]
        ],
        "defence": [
          [
            "model": "small-cnn", "attacker": "no defense", "epsilon": .double(8.0 / 255), "clean_accuracy": 0.8,
            "robust_accuracy": 0.25, "interval": [0.2, 0.3], "n": 200, "findings": []
          ]
        ]
      ])
    let outcome = try #require(judged.outcome)
    #expect(outcome.groups?[.seen]?.means.benign.low == 0.3 && outcome.detection?[.logits]?.auroc.high == 0.8)
    #expect(outcome.detection?[.logits]?.recall == nil && outcome.studies == nil)
    #expect(outcome.origins.answers[.init(trait: .attack, input: .delta)]?.accuracy.low == 0.7)
    #expect(outcome.defense?.first?.robustAccuracy?.high == 0.3 && judged.experiment.defense)
    #expect(judged.report.html.contains("no defense") && judged.text.contains("AUROC 0.7 (95 %: 0.6 to 0.8)"))
  }
}
