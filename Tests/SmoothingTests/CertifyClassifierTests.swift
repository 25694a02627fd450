import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import Synchronization
import TestSupport
import Testing

@testable import QuenchSmoothing

/// A lab that remembers what it was told.
final class Listener: Sendable {
  private let heard = Mutex<[String]>([])

  var notes: String { heard.withLock { $0.joined(separator: "\n") } }

  func lab(services: [any Sendable] = []) -> Lab {
    var lab = Lab()
    lab.console = RunConsole { [self] note in heard.withLock { $0.append(note) } }
    lab.services = services
    return lab
  }
}

extension RunFolder {
  /// Makes the run one that was killed.
  func forgetEnd() throws {
    let text = try String(contentsOf: config, encoding: .utf8)
    try Data(text.replacing("outcome: completed", with: "outcome: null").utf8).write(to: config)
  }
}

@Suite("The certification of a classifier") struct CertifyClassifierTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A fresh network is a classifier as good as any for what is tested here.
  private func certification() throws -> CertifyClassifier {
    let weights = folder / "model.safetensors"
    try ModelFile(Network(.smallCNN(input: [3, 32, 32], classes: 10), seed: 1)).write(to: weights)
    var experiment = CertifyClassifier()
    (experiment.weights, experiment.precision) = (weights.path, .float32)
    (experiment.selection.data, experiment.selection.limit) = (.synthetic, 6)
    (experiment.certification.sigma, experiment.certification.selection) = (0.1, 10)
    experiment.certification.estimation = 60
    return experiment
  }

  @Test("writes a row for each image and the figures over them", arguments: [true, false])
  func writes(isFixed: Bool) throws {
    var experiment = try certification()
    (experiment.certification.fixed, experiment.certification.radii) = (isFixed, isFixed ? nil : [0.1, 0])
    let run = try Lab().perform(experiment, in: folder / "run")
    let summary = try run.folder.readSummary()
    let rows = try CertifiedTable.read(folder / "run/certified.tsv")
    #expect(rows.map(\.index) == Array(0..<6))
    #expect(summary["model"] == "small-cnn" && summary["data"] == "synthetic" && summary["images"] == 6)
    #expect(summary["method"]?.string == (isFixed ? "fixed" : "sequential"))
    #expect(summary["accuracy"]?.number == rows.certifiedAccuracy(at: 0).fraction)
    #expect(summary["certified_accuracy_0"]?.number == summary["accuracy"]?.number)
    let accuracy = rows.certifiedAccuracy(at: isFixed ? 0.25 : 0.1)
    let key = isFixed ? "certified_accuracy_0.25" : "certified_accuracy_0.1"
    #expect(summary[key]?.number == accuracy.fraction)
    #expect(summary["\(key)_low"]?.number == accuracy.interval.lowerBound)
    #expect(summary["abstained"]?.integer == rows.count { $0.predicted == nil })
    #expect(summary["samples"]?.integer == rows.reduce(0) { $0 + ($1.queries ?? 0) })
    #expect(summary["samples"]?.integer ?? 0 >= 60 && summary["seconds"]?.number ?? 0 > 0)
    if isFixed { #expect(summary["samples"]?.integer == 6 * 70) }
    // The figures are read back as they were written.
    #expect(
      run.outcome?.figures.certifiedAccuracies.entries.map(\.radius) == (isFixed ? [0, 0.25, 0.5, 0.75] : [0, 0.1]))
    #expect(run.text.contains("certified accuracy"))
    let page = try String(contentsOf: run.folder.report, encoding: .utf8)
    #expect(page.contains("Certified accuracy over radius"))
  }

  @Test("killed, goes on behind its last whole row to the same rows, in batches of another size") func resumes()
    throws
  {
    var experiment = try certification()
    experiment.certification.radii = [0, 0.1]
    let run = try Lab().perform(experiment, in: folder / "run")
    let table = folder / "run/certified.tsv"
    func rows() throws -> [CertifiedRow] {
      try CertifiedTable.read(table).map { row in
        var row = row
        (row.seconds, row.details) = (0, [])
        return row
      }
    }
    let whole = try rows()
    // What a kill leaves: a torn row, and a run that has not ended.
    let lines = try String(contentsOf: table, encoding: .utf8).split(separator: "\n")
    try Data((lines.prefix(4).joined(separator: "\n") + "\n3\t3").utf8).write(to: table)
    try run.folder.forgetEnd()
    experiment.certification.batchSize = 7
    let listener = Listener()
    try listener.lab().perform(experiment, in: folder / "run", resumes: true)
    #expect(!listener.notes.contains("nothing is left to do"))
    #expect(try rows() == whole)

    experiment.certification.sigma = 0.2
    let error = #expect(throws: InputError.self) {
      try Lab().perform(experiment, in: folder / "run", resumes: true)
    }
    #expect(error?.problem.contains("sigma differ") == true, "\(String(describing: error))")
  }

  @Test("names what it certifies by its weights and the type that it computes in; a change within a run is a note")
  func versions() throws {
    var experiment = try certification()
    (experiment.certification.fixed, experiment.selection.limit) = (true, 2)
    var versions: [String] = []
    for precision in [InferencePrecision.bfloat16, .float32] {
      experiment.precision = precision
      let run = try Lab().perform(experiment, in: folder / precision.rawValue)
      let version = try #require(run.outcome?.figures.modelVersion)
      let rows = try CertifiedTable.read(run.folder.artefact(CertifiedTable.fileName))
      #expect(version.hasSuffix("-\(precision.rawValue)") && rows.allSatisfy { $0.version == version })
      versions.append(String(version.dropLast(precision.rawValue.count)))
    }
    #expect(versions[0] == versions[1])
    // A run whose first row another type certified, as on a machine of another processor.
    let table = folder / "float32/certified.tsv"
    let lines = try String(contentsOf: table, encoding: .utf8).split(separator: "\n")
    try Data((lines.prefix(2).joined(separator: "\n").replacing("-float32", with: "-bfloat16") + "\n").utf8)
      .write(to: table)
    try RunFolder(existing: folder / "float32").forgetEnd()
    let listener = Listener()
    try listener.lab().perform(experiment, in: folder / "float32", resumes: true)
    #expect(
      listener.notes.contains(
        "certificates of \(versions[0])bfloat16, those from here on of \(versions[0])float32"),
      "\(listener.notes)")
  }

  @Test("asked for one radius, tells of no other, and of no accuracy beside it") func asked() throws {
    var experiment = try certification()
    experiment.certification.targetRadius = 0.05
    let run = try Lab().perform(experiment, in: folder / "run")
    let summary = try run.folder.readSummary()
    #expect(summary["accuracy"] == nil && summary["certified_accuracy_0.05"] != nil)
    #expect(summary["average_certified_radius_is"]?.string?.contains("lower bound") == true)
    let html = run.report.html
    #expect(html.contains("Certified accuracy at 0.05") && !html.contains("Accuracy under noise"))
  }

  @Test("tells of noise other than the network was trained with") func otherNoise() throws {
    var train = Train()
    (train.work.model, train.work.recipe.epochs, train.work.recipe.batchSize) = (.smallCNN, 1, 16)
    (train.work.learning.selection.data, train.work.learning.precision) = (.synthetic, .float32)
    (train.work.learning.selection.limit, train.work.learning.selection.trainLimit) = (10, 32)
    for (name, noise) in [("noisy", 0.2), ("clean", 0.0)] {
      train.noise = noise
      try Lab().perform(train, in: folder / name)
    }
    var experiment = try certification()
    experiment.selection.limit = 1
    for (name, sigma, words) in [
      ("noisy", 0.1, "was trained with noise of 0.2, and is certified under 0.1"), ("noisy", 0.2, nil),
      ("clean", 0.1, "was trained without noise")
    ] as [(String, Double, String?)] {
      experiment.weights = (folder / "\(name)/model.safetensors").path
      experiment.certification.sigma = sigma
      let listener = Listener()
      try listener.lab().perform(experiment) { _ in }
      #expect(listener.notes.contains("the network was trained") == (words != nil), "\(listener.notes)")
      if let words { #expect(listener.notes.contains(words)) }
    }
  }

  @Test("its settings are those of the flags, read back as they were written") func settings() throws {
    let written: Record = [
      "weights": "x", "sigma": 0.5, "n0": 20, "n": 200, "alpha": 0.01, "radii": [0.25, 0.5], "shard": "2/3",
      "limit": 10, "seed": 7
    ]
    let experiment = try CertifyClassifier(settings: written, name: "x")
    #expect(experiment.certification.estimation == 200 && experiment.certification.shard == Shard("2/3"))
    let settings = try experiment.checked().settings
    for (key, value) in written { #expect(settings[key] == value, "\(key)") }
    #expect(try CertifyClassifier(settings: settings, name: "x").settings == settings)
    #expect(throws: InputError.self) { try CertifyClassifier(settings: ["shard": "4/3"], name: "x") }
    var both = experiment
    both.certification.fixed = true
    #expect(throws: InputError.self) { try both.checked() }
  }

  @Test("a folder of version 0.1 has its page") func earlier() throws {
    let record = RunRecord(
      command: ["quench", "certify", "--weights", "x"],
      settings: [
        "weights": "x", "sigma": 0.25, "n0": 100, "n": 10000, "alpha": 0.001, "fixed": false, "radii": "0.25,0.5",
        "shard": "1/2", "data": "fashion-mnist", "limit": 1, "seed": 1, "precision": "auto"
      ], outcome: .completed)
    let run = try RunFolder(at: folder / "run", for: record)
    try run.writeSummary([
      "model": "small-cnn", "data": "fashion-mnist", "method": "sequential", "images": 1,
      "certified_accuracy_0.25": 1.0, "certified_accuracy_0.25_low": 0.2, "certified_accuracy_0.25_high": 1.0,
      "average_certified_radius": 0.25, "abstained": 0, "samples": 300, "samples_per_image": 300.0, "seconds": 1.0,
      "samples_per_second": 300.0, "sigma": 0.25, "n0": 100, "n": 10000, "alpha": 0.001, "largest_radius": 0.8,
      "model_version": "12", "statement": "as it was"
    ])
    let header = "idx\tlabel\tpredict\tradius\tcorrect\ttime"
    try Data("\(header)\n0\t1\t1\t0.25\t1\t0:00:01.000000\n".utf8).write(to: folder / "run/certified.tsv")
    let read = try PerformedRun<CertifyClassifier>(RunFolder(existing: folder / "run"))
    #expect(read.experiment.certification.radii == [0.25, 0.5] && read.outcome?.figures.noAnswer == 0)
    #expect(read.outcome?.figures.certifiedAccuracies[0.25]?.value == 1)
    let html = read.report.html
    #expect(html.contains("Certified accuracy of small-cnn on fashion-mnist") && html.contains(">300<"))
  }
}

@Suite("Predictions under noise") struct PredictUnderNoiseTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func prediction() throws -> PredictUnderNoise {
    let weights = folder / "model.safetensors"
    try ModelFile(Network(.smallCNN(input: [3, 32, 32], classes: 10), seed: 1)).write(to: weights)
    var experiment = PredictUnderNoise()
    (experiment.weights, experiment.precision, experiment.sigma) = (weights.path, .float32, 0.5)
    (experiment.selection.data, experiment.selection.limit) = (.synthetic, 6)
    experiment.predict.votes = 40
    return experiment
  }

  private func rows(_ run: PerformedRun<PredictUnderNoise>) throws -> [Record] {
    try MetricStream.read(run.folder.metrics).map { row in
      var row = row
      row["seconds"] = nil
      return row
    }
  }

  @Test("are those of the votes, however copies are put into batches and wherever the run was broken off")
  func votes() throws {
    var experiment = try prediction()
    let run = try Lab().perform(experiment, in: folder / "run")
    let whole = try rows(run)
    #expect(whole.map { $0["image"]?.integer } == Array(0..<6))
    for row in whole {
      let votes = try #require(row["votes"]?.array).compactMap(\.integer)
      #expect(votes.reduce(0, +) <= 40 && votes == votes.sorted(by: >))
      let isClear = Binomial.twoSidedTest(votes[0], votes.count > 1 ? votes[1] : 0) <= 0.001
      #expect((row["predicted"] != nil) == isClear)
    }
    let outcome = try #require(run.outcome)
    let right = whole.count { $0["predicted"] == $0["label"] }
    #expect(outcome.accuracy.value == Double(right) / 6 && outcome.samplesPerImage == 40)
    #expect(outcome.abstained == whole.count { $0["predicted"] == nil })
    #expect(run.report.html.contains("Predictions by class"))

    // What a kill leaves: a torn row, and a run that has not ended.
    let lines = try String(contentsOf: run.folder.metrics, encoding: .utf8).split(separator: "\n")
    try Data((lines.prefix(2).joined(separator: "\n") + "\n{\"ima").utf8).write(to: run.folder.metrics)
    try run.folder.forgetEnd()
    experiment.batchSize = 17
    #expect(try rows(Lab().perform(experiment, in: folder / "run", resumes: true)) == whole)
    // A part of the images gets the same predictions.
    experiment.shard = try #require(Shard("2/2"))
    let part = try rows(Lab().perform(experiment, in: folder / "part"))
    #expect(part == [whole[1], whole[3], whole[5]])
  }

  @Test("agree with the selection by as many copies where the network is sure") func certain() throws {
    let sure = Tensor([0, 9] as [Float]).reshaped([1, 2])
    func classify(_ images: Tensor) -> Tensor { sure.repeatInterleaved(images.size(0), 0) }
    var vote = NoisyVote(Predict(votes: 20), sigma: 0.1, seed: 3)
    vote.batchSize = 64
    var labels: [Int?] = []
    let test = try Datasets.load(.synthetic, split: .test).prefix(5)
    try vote(0..<5, of: test, classify: classify) { result in
      labels.append(result.prediction.label)
      #expect(result.counts == [0, 20])
    }
    #expect(labels == [1, 1, 1, 1, 1])
  }

  @Test("of too few copies are refused") func tooFew() throws {
    var experiment = try prediction()
    experiment.predict.votes = 10
    let error = #expect(throws: InputError.self) { try experiment.checked() }
    #expect(error?.location == "n" && error?.expected == "at least 11")
  }
}
