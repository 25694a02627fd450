import Foundation
import QuenchSupport
import QuenchTorch
import QuenchVision
import ReferenceModels
import Testing

@testable import QuenchAttacks

/// The reference models as attacked ones, and their samples.
enum Fixture {
  static func fill(_ shape: [Int], _ a: Int, _ b: Int, _ m: Int, _ s: Int) -> Tensor {
    Reference.fill(shape, a, b, m, s)
  }

  static func linear() -> AttackedModel { AttackedModel(Reference.linearNetwork()) }
  static func convolutional() -> AttackedModel { AttackedModel(Reference.convolutionalNetwork()) }
  static func convolutionalNetwork() -> Network { Reference.convolutionalNetwork() }
  static func linearInputs() -> Tensor { Reference.linearInputs() }
  static func convolutionalInputs() -> Tensor { Reference.convolutionalInputs() }
  static let linearLabels = Reference.linearLabels
  static let convolutionalLabels = Reference.convolutionalLabels

  static func linearSamples(seed: UInt64 = 0) -> Samples {
    Samples(images: linearInputs(), labels: Tensor(linearLabels), indices: [0, 1, 2], seed: seed)
  }

  static func convolutionalSamples(seed: UInt64 = 0, targets: [Int]? = nil) -> Samples {
    Samples(
      images: convolutionalInputs().contiguous(.channelsLast), labels: Tensor(convolutionalLabels),
      targets: targets.map { Tensor($0) }, indices: Array(0..<8), seed: seed)
  }

  static func linearData() throws -> AttackData {
    try AttackData(images: linearInputs(), labels: Tensor(linearLabels))
  }

  static func convolutionalData() throws -> AttackData {
    try AttackData(images: convolutionalInputs(), labels: Tensor(convolutionalLabels))
  }
}

extension AttackedModel {
  func crossEntropy(_ images: Tensor, _ labels: [Int]) -> [Double] {
    score(images).crossEntropy(Tensor(labels), reduction: .none).array(Double.self)
  }

  func predictions(_ images: Tensor) -> [Int] { score(images).argmax(1).array(Int64.self).map { Int($0) } }
}

/// Whether every number lies within `tolerance` of what is expected.
func expectClose(
  _ found: [Double], _ expected: [Double], _ tolerance: Double = 1e-4, relative: Double = 0,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(found.count == expected.count, sourceLocation: sourceLocation)
  for (index, (a, b)) in zip(found, expected).enumerated() {
    #expect(
      abs(a - b) <= tolerance + relative * abs(b), "element \(index): found \(a), expected \(b)",
      sourceLocation: sourceLocation)
  }
}

extension Tensor {
  /// The elements as Swift numbers.
  var values: [Double] { array(Double.self) }
  var flags: [Int] { to(.int64).array(Int64.self).map { Int($0) } }
}

/// What `body` throws, which must be an `InputError`.
func inputError<Result>(_ body: () throws -> Result) -> InputError? {
  do {
    _ = try body()
    Issue.record("nothing was thrown")
    return nil
  } catch {
    return error as? InputError
  }
}
