import ArgumentParser
import Deception
import Foundation
import Reporting
import Support
import Torch
import Vision

extension RedPreset: ExpressibleByArgument {}
extension RedObjective.Filter: ExpressibleByArgument {}
extension Transformation: ExpressibleByArgument {}

/// A victim by name and file: `v1=runs/train/model.safetensors`.
struct NamedFile: ExpressibleByArgument {
  let name: String
  let path: String

  init?(argument: String) {
    let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
    let isPlain = { (name: String) in name.allSatisfy { $0.isLetter || $0.isNumber || "_.".contains($0) } }
    guard parts.count == 2, isPlain(parts[0]) else { return nil }
    (name, path) = (parts[0], parts[1])
  }

  var text: String { "\(name)=\(path)" }

  /// The classifier in the file.
  /// - Parameters:
  ///   - shape: `[channels, height, width]` that it must take.
  ///   - precision: What attacks on it compute in.
  func victim(
    taking shape: [Int]?, on device: Device, attackedIn precision: Precision = .float32
  ) throws(InputError) -> Victim {
    let network = try ModelFile(contentsOf: URL(filePath: path), device: device).network
    let architecture = network.architecture
    guard architecture.outputShape.count == 1 else {
      throw InputError("the network is not a classifier", at: path, found: architecture.name)
    }
    if let shape, architecture.inputShape != shape {
      throw InputError(
        "the network takes images of another size", at: path, expected: "\(shape)",
        found: "\(architecture.inputShape)")
    }
    return Victim(name, network, precision: precision)
  }
}

extension [NamedFile] {
  /// - Throws: `ValidationError`, which begins with `option`, if two have one name.
  func requireDistinctNames(_ option: String) throws {
    guard Set(map(\.name)).count == count else { throw ValidationError("\(option): a name occurs twice.") }
  }

  /// The files' checksums for a run's record.
  func inputs(_ kind: String) throws(InputError) -> Record {
    var inputs: Record = [:]
    for file in self {
      inputs["\(kind) \(file.name)"] = .string(try Fingerprint.sha256(ofFile: URL(filePath: file.path)))
    }
    return inputs
  }
}

/// Built data sets, taken as one.
struct PairsOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("A run of 'quench red build-data'. Give several to join them.", valueName: "dir"),
    completion: .directory)
  var pairs: [String] = []

  func validate() throws { if pairs.isEmpty { throw ValidationError("--pairs is needed.") } }

  var value: Value { .string(pairs.joined(separator: ", ")) }

  func load() throws(InputError) -> RedDataset {
    try RedDataset(contentsOf: pairs.map { URL(filePath: $0, directoryHint: .isDirectory) })
  }
}

/// The victims of a data set.
struct VictimOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A victim to train on and test: a name and its weights. Give several.", valueName: "name=file"))
  var victim: [NamedFile] = []

  @Option(help: ArgumentHelp("A victim for tests only. Give several.", valueName: "name=file"))
  var unseen: [NamedFile] = []

  func validate() throws {
    guard !victim.isEmpty else {
      throw ValidationError("--victim is missing: a name and weights, v1=model.safetensors.")
    }
    try (victim + unseen).requireDistinctNames("--victim and --unseen")
  }

  var settings: Record {
    [
      "victims": .array(victim.map { .string($0.text) }), "unseen": .array(unseen.map { .string($0.text) })
    ]
  }

  func inputs() throws(InputError) -> Record { try (victim + unseen).inputs("victim") }
}

extension DataOptions {
  /// The flags that are given, but for a --data that names the default.
  var given: [String] {
    let standard = try? DataOptions.parse([])
    return [
      ("--data", data != standard?.data), ("--data-dir", dataDir != nil), ("--limit", limit != nil),
      ("--train-limit", trainLimit != nil), ("--limit-order", limitOrder != .balanced),
      ("--skip-corrupt", skipCorrupt)
    ].filter(\.1).map(\.0)
  }
}

/// The files of a denoiser's run.
enum RedRunFiles {
  static let denoiser = "denoiser.safetensors"
  static let last = "denoiser-last.safetensors"
  static let family = "family.safetensors"
  static let calibration = "calibration.json"
  static let cells = "cells.json"

  static func denoiser(in run: URL) throws(InputError) -> Network {
    try ModelFile(contentsOf: run.appending(path: denoiser)).network
  }

  /// Nil where the run has none: its data were of one attack.
  static func family(in run: URL) throws(InputError) -> OriginClassifier? {
    let url = run.appending(path: family)
    guard FileManager.default.fileExists(atPath: url.path) else { return nil }
    let file = try ModelFile(contentsOf: url)
    let families = file.classNames
    guard families.allSatisfy({ RedAttack(rawValue: $0) != nil }),
      families.count == file.network.architecture.outputShape.first
    else {
      throw InputError("the classifier of attack families is damaged", at: url.path)
    }
    return OriginClassifier(file.network, classes: families)
  }

  /// How often the classifier of attacks was right about test pairs; nil where that was not measured.
  static func familyAccuracy(in run: URL) -> Accuracy? {
    guard let summary = try? RunFolder(existing: run).readSummary(), let share = summary["family_accuracy"]?.number,
      let count = summary["family_n"]?.integer
    else { return nil }
    return Accuracy(correct: Int((share * Double(count)).rounded()), count: count)
  }

  static func calibration(in run: URL) throws(InputError) -> SuspicionCalibration {
    let url = run.appending(path: calibration)
    let data = try InputFile.read(url)
    return try SuspicionCalibration(Value(json: data, name: url.path), name: url.path)
  }
}
