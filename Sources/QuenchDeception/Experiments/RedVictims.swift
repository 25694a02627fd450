import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// A classifier's file of weights and the name that cells and reports call it: `v1=runs/train/model.safetensors`.
public struct NamedWeights: Codable, Hashable, Sendable {
  public var name: String
  public var path: String

  public init(_ name: String, _ path: String) { (self.name, self.path) = (name, path) }

  /// - Parameter text: Name and path with an equals sign between them; nil comes of other text, and of a name with more
  ///   than letters, digits, dots and underscores.
  public init?(_ text: String) {
    let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
    guard parts.count == 2, parts[0].allSatisfy({ $0.isLetter || $0.isNumber || "_.".contains($0) }) else {
      return nil
    }
    self.init(parts[0], parts[1])
  }

  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let weights = NamedWeights(text) else {
      throw InputError(
        "weights need a name",
        expected: "letters, digits, dots or underscores before the path: v1=model.safetensors",
        found: "'\(text)'")
    }
    self = weights
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(text)
  }

  public var text: String { "\(name)=\(path)" }

  /// The classifier in the file.
  /// - Parameters:
  ///   - shape: `[channels, height, width]` that it must take.
  ///   - device: Where it goes.
  ///   - precision: What attacks on it compute in.
  /// - Throws: `InputError` if the file is damaged, is no classifier's, or if the classifier takes other images.
  func victim(
    taking shape: [Int], on device: Device, attackedIn precision: Precision = .float32
  ) throws(InputError) -> Victim {
    let network = try ModelFile(contentsOf: URL(filePath: path), device: device).network
    let architecture = network.architecture
    guard architecture.outputShape.count == 1 else {
      throw InputError("the network is not a classifier", at: path, found: architecture.name)
    }
    guard architecture.inputShape == shape else {
      throw InputError(
        "the network takes images of another size", at: path, expected: "\(shape)",
        found: "\(architecture.inputShape)")
    }
    return Victim(name, network, precision: precision)
  }
}

extension [NamedWeights] {
  /// - Throws: `InputError` at the setting `key` if there are none, or if two have one name.
  func validate(_ key: String) throws(InputError) {
    try requireSetting(!isEmpty, key, "a name and weights, v1=model.safetensors", "nothing")
    guard Set(map(\.name)).count == count else {
      throw InputError("a name occurs twice", at: key, found: map(\.name).joined(separator: ", "))
    }
  }

  /// The files' fingerprints for a run's record.
  func inputs(_ kind: String) throws(InputError) -> Record {
    var inputs = Record()
    for file in self {
      inputs["\(kind) \(file.name)"] = .string(try Fingerprint.sha256(ofFile: URL(filePath: file.path)))
    }
    return inputs
  }
}

/// The classifiers that a data set's attacks are made on.
public struct RedVictims: InlineGroup, Hashable, Sendable {
  /// Those to train on and test.
  public var victim: [NamedWeights] = []
  /// Those for tests alone.
  public var unseen: [NamedWeights] = []

  public init() {}

  public var all: [NamedWeights] { victim + unseen }

  /// - Throws: `InputError` if there are none, or if two have one name.
  func validate() throws(InputError) {
    try victim.validate("victim")
    try all.validate("unseen")
  }
}
