import Foundation
import QuenchPruning
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import quench

@Suite("quench evaluate and report") struct EvaluateTests {
  @Test("prints accuracy, n and the interval as JSON, and writes a run folder where asked") func json() async throws
  {
    let folder = try TemporaryFolder()
    let weights = (folder / "weights.safetensors").path
    try ModelFixture.smallCNN().write(to: URL(filePath: weights))
    let run = RunPlace(folder / "run")
    let outcome = try await Tool.run(
      ["evaluate", "--weights", weights, "--json", "--out", run.path] + Tool.tiny)
    #expect(outcome.code == 0, "\(outcome.errors)")
    let result = try outcome.json()
    let accuracy = try #require(result["accuracy"]?.number)
    let interval = try #require(result["accuracy_low"]?.number)...#require(result["accuracy_high"]?.number)
    #expect(interval.contains(accuracy))
    #expect(result["n"]?.integer == 40)
    #expect(try #require(result["images_per_second"]?.number) > 0)
    #expect(try run.folder.readSummary() == result)

    try FileManager.default.removeItem(at: run.file("report.html"))
    let again = try await Tool.run(["report", run.path, "--json"])
    #expect(again.code == 0)
    #expect(try again.json()["report"]?.string?.hasSuffix("report.html") == true)
    #expect(try String(contentsOf: run.file("report.html"), encoding: .utf8).contains("Accuracy by class"))
  }

  @Test(
    "in int8 answers like the network and says how many layers are; so does certify; commands that train refuse it",
    .enabled(if: IntegerOperators.areOffered(on: .cpu), "exact 8-bit products are not offered here"))
  func integers() async throws {
    let folder = try TemporaryFolder()
    let weights = (folder / "weights.safetensors").path
    try ModelFixture.smallCNN().write(to: URL(filePath: weights))
    let common = [
      "--data", "synthetic", "--limit", "40", "--threads", "1", "--precision", "int8", "--json"
    ]
    let calibrated = ["--weights", weights, "--calibration-images", "32"] + common
    let result = try await Tool.run(["evaluate"] + calibrated).json()
    #expect(result["precision"] == "int8" && result["plan_precision"] == "int8")
    let layers = try #require(result["layers"]?.integer)
    #expect(layers > 0 && result["int8_layers"]?.integer == layers)

    let certified = try await Tool.run(
      ["certify", "--n", "60", "--n0", "10", "--out", (folder / "run").path] + calibrated
    ).json()
    #expect(certified["precision"] == "int8" && certified["int8_layers"]?.integer == layers)
    #expect(certified["model_version"]?.string?.hasSuffix("-int8") == true)

    for (arguments, words) in [
      (["train", "--epochs", "1"], "auto, float32, bfloat16"),
      (["bench", "--batch-size", "2"], "is for 'evaluate'"),
      (["evaluate", "--weights", weights, "--calibration-images", "0"], "--calibration-images")
    ] {
      let isBench = arguments[0] == "bench"
      let outcome = try await Tool.run(arguments + (isBench ? ["--precision", "int8"] : common))
      #expect(outcome.code == 64 && (outcome.errors + outcome.output).contains(words), "\(outcome.errors)")
    }
  }

  @Test("gives the same accuracy as the network's own answers, and keeps its surest mistakes") func evaluation()
    throws
  {
    let dataset = try images(60)
    let plan = InferencePlan(try ModelFixture.smallCNN().network, dtype: .float32)
    let evaluation = try Evaluation(of: plan, on: dataset, batchSize: 25, examples: 5)
    #expect(evaluation.accuracy == (try dataset.accuracy(of: plan.callAsFunction)))
    #expect(evaluation.confusion.allSatisfy { $0.reduce(0, +) == 6 })
    #expect(evaluation.samples.map(\.label) == [0, 1, 2, 3, 4])
    #expect(evaluation.mistakes.count == 5)
    #expect(evaluation.mistakes.allSatisfy { $0.label != $0.predicted && (0.1...1).contains($0.confidence) })
    #expect(evaluation.mistakes.map(\.confidence) == evaluation.mistakes.map(\.confidence).sorted(by: >))

    let folder = try TemporaryFolder()
    try evaluation.write(to: folder / "evaluation.json")
    #expect(try Evaluation(contentsOf: folder / "evaluation.json") == evaluation)
    try Data("{}".utf8).write(to: folder / "evaluation.json")
    #expect(throws: InputError.self) { try Evaluation(contentsOf: folder / "evaluation.json") }
  }

  @Test("a network that answers infinity has no accuracy anywhere, and the count is told")
  func noNumbers() async throws {
    let folder = try TemporaryFolder()
    let weights = (folder / "weights.safetensors").path
    try ModelFixture.overflowing().write(to: URL(filePath: weights))
    // Slimming compares the two networks' answers before anything is tested.
    let count = "the network answers NaN or infinity to 40 of 40 images"
    for (command, words) in [
      (["evaluate"], count),
      (["slim", "--policy", "none", "--recalibrate", "1", "--seconds", "0"], "found nan"),
      (["prune", "omp", "--keep", "0.9", "--epochs", "1", "--batch-size", "16"], count)
    ] {
      let outcome = try await Tool.run(
        command + ["--weights", weights, "--quiet", "--out", (folder / command[0]).path] + Tool.tiny)
      #expect(outcome.code == 1, "\(command)")
      #expect(outcome.output == "", "\(command)")
      #expect(outcome.errors.contains(words), "\(outcome.errors)")
    }
    var settings = LearningSettings()
    (settings.selection.data, settings.selection.limit, settings.selection.trainLimit) = (.synthetic, 40, 64)
    settings.holdOut = 8
    let data = try settings.load(on: .cpu, RunConsole())
    let error = #expect(throws: InputError.self) {
      try data.validation(of: try ModelFixture.overflowing().network, .float32)
    }
    #expect(error?.problem.contains("8 of 8 images") == true)
  }

  @Test(
    "a page says how training images were treated, whose answers it shows, and which classes it knows nothing of")
  func words() throws {
    var evaluation = try Evaluation(
      of: InferencePlan(ModelFixture.smallCNN().network, dtype: .float32), on: images(20), examples: 1)
    for label in 1..<10 { evaluation.confusion[label] = [Int](repeating: 0, count: 10) }
    func page(_ change: (inout Train) -> Void = { _ in }) throws -> String {
      let folder = try TemporaryFolder()
      var train = Train()
      (train.work.recipe.epochs, train.work.learning.selection.data) = (1, .synthetic)
      change(&train)
      let record = RunRecord(command: [], kind: Train.kind, settings: try train.settings, outcome: .completed)
      let run = try RunFolder(at: folder / "run", for: record)
      try run.writeSummary([
        "model": "small-cnn", "data": "synthetic", "epochs": 1, "accuracy": 1, "accuracy_low": 0.8,
        "accuracy_high": 1,
        "n": 20, "left_out_per_epoch": 104, "seconds": 1, "images_per_second": 1, "test_images_per_second": 1,
        "peak_memory_mb": 1, "parameters": 1, "multiply_adds": 1, "training_images": 1000, "skipped_pictures": 0,
        "seed": 1
      ])
      try evaluation.write(to: run.artefact(Evaluation.fileName))
      try Data(#"{"step": 1, "epoch": 1, "loss": 2, "accuracy": 0.1}"#.utf8 + [10]).write(to: run.metrics)
      return try PerformedRun<Train>(run).report.html
    }
    let plain = try page { $0.work.recipe.augmentation = false }
    #expect(plain.contains("as they were learned from, not augmented;"))
    #expect(plain.contains("for 1 epoch and"))
    #expect(plain.contains("each epoch leaves 104 of 1,000 training images out"))
    #expect(plain.contains("all are of one class, '0'"))
    #expect(plain.contains("These are the answers of <code>small-cnn</code>"))
    #expect(try page { $0.noise = 0.25 }.contains("cropped and mirrored at random, with noise;"))
  }

  @Test("equal networks are told to show no difference in speed, whatever the medians say")
  func speeds() {
    func figures(_ low: Double) -> LatencyFigures {
      // Medians 3.15 and 1; single rounds from `low` to 3.6.
      LatencyFigures(Latency(batchSize: 64, rounds: [[low, 3.15, 3.6], [1, 1, 1]]))
    }
    #expect(figures(0.9).times == "no difference")
    #expect(figures(0.9).statement(than: "dense").contains("shows no difference in speed from dense"))
    #expect(figures(2.8).times == "3.15 times")
    #expect(figures(2.8).statement(than: "dense").contains("(2.80 to 3.60 in single rounds)."))
  }

  @Test("images that are too small for a model are refused") func tooSmall() throws {
    let error = #expect(throws: InputError.self) { try images(10, side: 8).architecture(of: .vgg16BN) }
    #expect(error?.location == "vgg16-bn")
    #expect(error?.found == "[3, 8, 8]")
    #expect(try images(10, side: 16).architecture(of: .smallCNN).mean == [0.5, 0.5, 0.5])
  }

  private func images(_ count: Int, side: Int = 32) throws -> ImageDataset {
    var synthetic = Synthetic()
    synthetic.testCount = count
    synthetic.side = side
    return ImageDataset(
      name: "synthetic", block: try synthetic.make(.test), classNames: (0..<10).map { "\($0)" },
      statistics: ChannelStatistics(mean: [0.5, 0.5, 0.5], standardDeviation: [0.2, 0.2, 0.2]), fingerprint: "")
  }

  @Test("a run that has only begun has a report, and a folder without a run has none") func unfinished()
    async throws
  {
    let folder = try TemporaryFolder()
    let record = RunRecord(command: [], kind: "prune-bip", settings: ["keep": 0.1, "data": "cifar10"])
    let begun = try PerformedRun<Prune<BiP>>(RunFolder(at: folder / "begun", for: record)).report.html
    #expect(begun.contains("has not finished"))
    #expect(begun.contains("BiP keeps 10.0 %"))

    let outcome = try await Tool.run(["report", (folder / "none").path])
    #expect(outcome.code == 1)
    #expect(outcome.errors.contains("there is no run here"))
    try RunFolder(at: folder / "other", for: RunRecord(command: ["quench", "bake"], settings: [:])).finish(
      .completed)
    let other = try await Tool.run(["report", (folder / "other").path])
    #expect(other.code == 1 && other.errors.contains("there is no report for this kind of run"), "\(other.errors)")
  }

  @Test("help has examples", arguments: [["train"], ["evaluate"], ["prune", "omp"], ["prune", "bip"], ["report"]])
  func help(command: [String]) async throws {
    let outcome = try await Tool.run(command + ["--help"])
    #expect(outcome.code == 0)
    #expect(outcome.output.contains("Examples:\n  quench \(command.joined(separator: " "))"))
  }
}
