import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import QuenchSmoothing

@Suite("The defense of a black box, as experiments") struct DefenseExperimentTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    try ModelFile(Network(.smallCNN(input: [3, 32, 32], classes: 10), seed: 1)).write(
      to: folder / "box.safetensors")
  }

  private func path(_ name: String) -> String { (folder / name).path }

  private static var learning: LearningSettings {
    var learning = LearningSettings()
    (learning.selection.data, learning.precision) = (.synthetic, .float32)
    (learning.selection.limit, learning.selection.trainLimit) = (40, 64)
    return learning
  }

  private func pretrain() throws -> PerformedRun<PretrainDefense> {
    var pretraining = PretrainDefense()
    (pretraining.architecture, pretraining.learning) = (.cifar48, Self.learning)
    (pretraining.recipe.epochs, pretraining.recipe.batchSize) = (1, 16)
    return try Lab().perform(pretraining, in: folder / "autoencoder")
  }

  private func training(_ method: DefenseMethod = .zoAEDS) -> TrainDefense {
    var training = TrainDefense()
    (training.method, training.learning) = (method, Self.learning)
    (training.box.weights, training.directions) = (path("box.safetensors"), 2)
    if method.usesAutoencoder { training.autoencoder = path("autoencoder") }
    if method == .zoAEDS { training.estimator = .rge }
    (training.denoiser.depth, training.denoiser.width) = (3, 4)
    (training.recipe.epochs, training.recipe.batchSize) = (2, 16)
    return training
  }

  @Test("an autoencoder behind a denoiser learns from other images; the model is tested on what it gives back")
  func behindADenoiser() throws {
    var denoiser = PretrainDefense()
    (denoiser.part, denoiser.learning, denoiser.recipe.epochs) = (.denoiser, Self.learning, 1)
    (denoiser.denoiser.depth, denoiser.denoiser.width, denoiser.recipe.batchSize) = (3, 2, 32)
    try Lab().perform(denoiser, in: folder / "denoiser")
    let plain = try pretrain()
    var behind = plain.experiment
    (behind.denoisedBy, behind.weights) = (path("denoiser"), path("box.safetensors"))
    let run = try Lab().perform(behind, in: folder / "behind")
    let encoders = try [plain, run].map { try Data(contentsOf: $0.folder.artefact("encoder.safetensors")) }
    #expect(plain.outcome?.modelAccuracy == nil && encoders[0] != encoders[1])
    let accuracy = try #require(run.outcome?.modelAccuracy)
    #expect(accuracy.low <= accuracy.value && accuracy.value <= accuracy.high && accuracy.low < accuracy.high)
    #expect(
      run.text.contains("of the 40 images that were given back") && run.report.html.contains("n\u{a0}=\u{a0}40"))
    behind.part = .denoiser
    #expect(throws: InputError.self) { try behind.checked() }
    (behind.part, behind.task.kind, behind.denoisedBy) = (.autoencoder, .reconstruction, nil)
    let error = #expect(throws: InputError.self) { try behind.checked() }
    #expect(error?.location == "weights")
    (behind.task.kind, behind.denoisedBy) = (.classification, path("autoencoder"))
    #expect(throws: InputError.self) { try Lab().perform(behind, in: folder / "wrong") }
  }

  @Test("pretrained, trained from queries and certified; the ledger holds the queries that were asked")
  func wholeWay() throws {
    let pretrained = try pretrain()
    #expect(pretrained.outcome?.queries == 0 && pretrained.outcome?.n == 40)
    let trained = try Lab().perform(training(), in: folder / "defense")
    // 64 images twice: the clean answer, the point, and two sides of two directions.
    #expect(trained.outcome?.queries == 128 * 6 && trained.outcome?.costs.ledgerQueries == 128 * 6)
    let summary = try trained.folder.readSummary()
    #expect(summary["ledger_target"] == 128 && summary["ledger_perturbation"] == .int(128 * 4))
    #expect(summary["smoothing_step"] == 0.005 && summary["retries"] == 0 && summary["price"] == nil)
    #expect(trained.experiment.recipe.adamEpochs == 2)
    #expect(trained.report.html.contains("Answers kept") && trained.text.contains("768 in the ledger"))

    var evaluation = EvaluateDefense()
    (evaluation.box.weights, evaluation.defense) = (path("box.safetensors"), path("defense"))
    (evaluation.selection.data, evaluation.selection.limit) = (.synthetic, 4)
    (evaluation.certification.selection, evaluation.certification.estimation) = (10, 60)
    let listener = Listener()
    let evaluated = try listener.lab().perform(evaluation, in: folder / "evaluation")
    #expect(evaluated.outcome?.figures.images == 4 && evaluated.outcome?.model == "a defended model")
    #expect(evaluated.outcome?.figures.certifiedAccuracies[0.25] != nil)
    #expect(evaluated.outcome?.costs.purposes.counts[.certification] == evaluated.outcome?.costs.ledgerQueries)
    #expect(!listener.notes.contains("learned under noise"))
    #expect(evaluated.report.html.contains("In the ledger"))
    evaluation.certification.sigma = 0.5
    try listener.lab().perform(evaluation) { _ in }
    #expect(listener.notes.contains("the defense learned under noise of 0.25"), "\(listener.notes)")
  }

  @Test("a budget stops it with a checkpoint, and a larger one goes on to the undisturbed run's weights")
  func budget() throws {
    _ = try pretrain()
    var training = training()
    try Lab().perform(training, in: folder / "whole")
    var lab = Lab()
    lab.checkpointInterval = 0
    training.ledger.queryBudget = 300
    let error = #expect(throws: InputError.self) { try lab.perform(training, in: folder / "broken") }
    #expect(error?.problem == "the query budget is spent")
    (training.ledger.queryBudget, training.ledger.price) = (768, 2)
    let resumed = try lab.perform(training, in: folder / "broken", resumes: true)
    #expect(resumed.outcome?.costs.ledgerQueries == 768 && resumed.outcome?.costs.price == 1.536)
    for file in [Defense.denoiserFileName, Defense.encoderFileName] {
      let (whole, broken) = (
        try Data(contentsOf: folder / "whole/\(file)"), try Data(contentsOf: folder / "broken/\(file)")
      )
      #expect(whole == broken)
    }
  }

  @Test(
    "methods with gradients and without an autoencoder run too", arguments: [DefenseMethod.foDS, .foAEDS, .zoDS])
  func methods(method: DefenseMethod) throws {
    if method.usesAutoencoder { _ = try pretrain() }
    let run = try Lab().perform(training(method), in: folder / "defense")
    #expect(run.outcome?.queries == (method.usesQueriesOnly ? 128 * 6 : 0))
    let defense = try Defense(contentsOf: folder / "defense")
    #expect((defense.autoencoder != nil) == method.usesAutoencoder)
  }

  @Test("wrong settings are told by their names before anything is done") func mistakes() throws {
    func location(_ method: DefenseMethod = .zoDS, _ change: (inout TrainDefense) -> Void) -> String? {
      var training = training(method)
      change(&training)
      return #expect(throws: InputError.self) { try training.checked() }?.location
    }
    #expect(location(.zoAEDS) { $0.autoencoder = nil } == "autoencoder")
    #expect(location { $0.autoencoder = "x" } == "autoencoder")
    #expect(location { $0.box.weights = nil } == "weights")
    #expect(location { $0.box.program = "x" } == "weights")
    #expect(location { $0.box.form.layout = .nhwc } == "layout")
    #expect(location { $0.box.tokenFile = "x" } == "token-file")
    #expect(location { ($0.box.feedback, $0.estimator) = (.labels, .rge) } == "estimator")
    #expect(location { $0.recipe.sigma = 0 } == "sigma")
    #expect(location { $0.denoiser.depth = 1 } == "denoiser-depth")
    #expect(location { $0.ledger.price = -1 } == "price-per-1000")
    #expect(location { ($0.task.kind, $0.box.weights, $0.box.program) = (.reconstruction, nil, "x") } == "weights")
  }

  /// Stands for what speaks HTTP.
  private struct Connector: EndpointConnector {
    let box: URL

    func connect(
      to endpoint: String, _ settings: BlackBoxSettings, for dataset: ImageDataset
    ) throws -> any BlackBox {
      LocalBlackBox(
        try ModelFile(contentsOf: box).network, feedback: settings.feedback, version: endpoint,
        batchSize: settings.queryBatch)
    }
  }

  @Test("an endpoint is reached through the lab's service, and need not be where it was when the run goes on")
  func endpoint() throws {
    var training = training(.zoDS)
    (training.box.weights, training.box.endpoint) = (nil, "http://host:1/v2/models/box")
    let error = #expect(throws: InputError.self) { try Lab().perform(training, in: folder / "none") }
    #expect(error?.location == "endpoint")
    let listener = Listener()
    let lab = listener.lab(services: [Connector(box: folder / "box.safetensors")])
    let run = try lab.perform(training, in: folder / "defense")
    #expect(FileManager.default.fileExists(atPath: path("defense/\(DefenseProbe.fileName)")))
    #expect(run.outcome?.costs.purposes.counts[.probe] ?? 0 >= 64)
    training.box.endpoint = "http://host:2/v2/models/box"
    try lab.perform(training, in: folder / "defense", resumes: true)
    #expect(listener.notes.contains("this run is complete"))
    training.box.queryBatch = 64
    #expect(throws: InputError.self) { try lab.perform(training, in: folder / "defense", resumes: true) }
  }

  // MARK: - Reconstruction

  /// MNIST's files with 8 and 4 images of stripes.
  private func writeDigits() throws {
    for (name, count) in [("train", 8), ("t10k", 4)] {
      let number = UInt8(count)
      let pixels = (0..<count * 784).map { index -> UInt8 in UInt8(index * (index / 784 + 3) % 256) }
      let header: [UInt8] = [0, 0, 8, 3, 0, 0, 0, number, 0, 0, 0, 28, 0, 0, 0, 28]
      try Data(header + pixels).write(to: folder / "\(name)-images-idx3-ubyte")
      let labels: [UInt8] = [0, 0, 8, 1, 0, 0, 0, number] + Array(0..<number)
      try Data(labels).write(to: folder / "\(name)-labels-idx1-ubyte")
    }
  }

  @Test("a reconstructor, its defense and what is left of both under attack") func reconstruction() throws {
    try writeDigits()
    var selection = DataSelection()
    (selection.data, selection.dataDir) = (.mnist, folder.url.path)
    for part in [PretrainDefense.Part.autoencoder, .reconstructor] {
      var pretraining = PretrainDefense()
      (pretraining.part, pretraining.task.kind, pretraining.learning.selection) = (part, .reconstruction, selection)
      (pretraining.recipe.epochs, pretraining.recipe.batchSize) = (1, 4)
      let run = try Lab().perform(pretraining, in: folder / part.rawValue)
      #expect(try #require(run.outcome?.testMse) < 1 && !run.experiment.recipe.augmentation)
    }
    let weights = path("reconstructor/reconstructor.safetensors")
    var training = training()
    (training.task.kind, training.box.weights, training.learning.selection) = (.reconstruction, weights, selection)
    (training.recipe.epochs, training.recipe.batchSize) = (1, 4)
    let trained = try Lab().perform(training, in: folder / "defense")
    #expect(trained.outcome?.queries == 8 * 6 && trained.outcome?.costs.ledgerQueries == 8 * 6)

    var attack = AttackReconstructor()
    (attack.weights, attack.defense, attack.selection) = (weights, path("defense"), selection)
    (attack.evaluation.epsilons, attack.evaluation.steps, attack.evaluation.copies) = ([0, 2], 3, 2)
    let attacked = try Lab().perform(attack, in: folder / "attacked")
    let summary = try attacked.folder.readSummary()
    let (before, after) = (summary["rmse_0"]?.number, summary["rmse_2"]?.number)
    #expect(try #require(after) > #require(before) && summary["defended_ssim_2"] != nil)
    #expect(attacked.outcome?.figures.rows.map(\.epsilon) == [0, 2])
    #expect(attacked.report.html.contains("RMSE defended"))
    let table = try String(contentsOf: folder / "attacked/reconstruction.tsv", encoding: .utf8)
    #expect(table.hasPrefix("epsilon\trmse\tssim") && table.split(separator: "\n").count == 3)
    // A classifier is no reconstructor.
    try ModelFile(Network(.smallCNN(input: [1, 28, 28], classes: 10), seed: 1)).write(
      to: folder / "box.safetensors")
    attack.weights = path("box.safetensors")
    let error = #expect(throws: InputError.self) { try Lab().perform(attack, in: folder / "wrong") }
    #expect(error?.problem.contains("is no reconstructor") == true)
  }

  // MARK: - Earlier versions

  private func earlier<Work: Experiment>(
    _ type: Work.Type, _ words: [String], _ settings: Record, _ summary: Record
  ) throws -> PerformedRun<Work> {
    let url = folder / words.joined(separator: "-")
    let record = RunRecord(command: ["quench"] + words, settings: settings, outcome: .completed)
    try RunFolder(at: url, for: record).writeSummary(summary)
    return try PerformedRun<Work>(RunFolder(existing: url))
  }

  @Test("folders of version 0.1 have their pages") func earlier() throws {
    let pretrained = try earlier(
      PretrainDefense.self, ["defend", "pretrain", "denoiser"],
      ["part": "denoiser", "denoiser-depth": 17, "epochs": 3, "adam-epochs": 3, "sigma": 0.25, "data": "cifar10"],
      [
        "part": "denoiser", "data": "cifar10", "epochs": 3, "test_mse": 0.25, "n": 9, "parameters": 12,
        "seconds": 1.0, "images_per_second": 3.0, "queries": 0
      ])
    #expect(
      pretrained.report.html.contains("A defense&#39;s denoiser on cifar10")
        || pretrained.report.html.contains("A defense's denoiser on cifar10"))
    #expect(pretrained.outcome?.testMse == 0.25)

    let trained = try earlier(
      TrainDefense.self, ["defend", "train"],
      [
        "method": "zo-ae-ds", "autoencoder": "a", "feedback": "logits", "query-batch": 512, "classes": "10",
        "scale": "255", "mean": "0.5,0.4", "layout": "NHWC", "estimator": "rge", "epochs": 3, "sigma": 0.25
      ],
      [
        "method": "zo-ae-ds", "data": "cifar10", "epochs": 3, "queries": 10, "ledger_queries": 12, "code_size": 192,
        "seconds": 1.0, "images_per_second": 3.0, "query_share_of_time": 0.5, "peak_memory_mb": 1.0, "seed": 1
      ])
    #expect(trained.experiment.box.form.classes == 10 && trained.experiment.box.form.mean == [0.5, 0.4])
    #expect(trained.outcome?.costs.ledgerQueries == 12 && trained.outcome?.costs.retries == 0)
    #expect(trained.report.html.contains("A defense by zo-ae-ds"))

    let evaluated = try earlier(
      EvaluateDefense.self, ["defend", "evaluate"],
      ["weights": "box", "defense": "runs/defend", "sigma": 0.25, "target-radius": 0.25],
      [
        "model": "a defended model", "data": "cifar10", "method": "sequential", "images": 1,
        "certified_accuracy_0.25": 1.0, "certified_accuracy_0.25_low": 0.2, "certified_accuracy_0.25_high": 1.0,
        "average_certified_radius": 0.25, "abstained": 0, "no_answer": 0, "samples": 300,
        "samples_per_image": 300.0,
        "seconds": 1.0, "samples_per_second": 300.0, "sigma": 0.25, "n0": 100, "n": 10000, "alpha": 0.001,
        "largest_radius": 0.8, "model_version": "12", "statement": "as it was", "ledger_queries": 300, "retries": 0,
        "cached": 0, "ledger_certification": 300
      ])
    #expect(evaluated.experiment.defense == "runs/defend")
    #expect(evaluated.report.html.contains("In the ledger"))

    let attacked = try earlier(
      AttackReconstructor.self, ["defend", "reconstruct"],
      ["weights": "r", "epsilons": "0,1.5", "attack": "undefended", "steps": 40, "sigma": 0.25, "copies": 10],
      ["n": 4, "seconds": 1.0, "rmse_0": 0.1, "ssim_0": 0.9, "rmse_1.5": 0.2, "ssim_1.5": 0.7])
    #expect(attacked.experiment.evaluation.epsilons == [0, 1.5])
    #expect(attacked.outcome?.figures.rows.last?.error == 0.2 && attacked.report.html.contains("0.2000"))
  }
}
