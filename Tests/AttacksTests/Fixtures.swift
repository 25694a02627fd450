import Foundation
import Support
import Testing
import Torch
import Vision

@testable import Attacks

/// The deterministic models of the reference cases: every weight and pixel is exact in float32.
enum Fixture {
  /// Element k, row-major: (((a·k + b) mod m) - ⌊m/2⌋) / s.
  static func fill(_ shape: [Int], _ a: Int, _ b: Int, _ m: Int, _ s: Int) -> Tensor {
    let count = shape.reduce(1, *)
    return Tensor((0..<count).map { Float((a * $0 + b) % m - m / 2) / Float(s) }, shape: shape)
  }

  /// Element k: (((a·k + b) mod 193) + 32) / 256.
  static func images(_ shape: [Int], _ a: Int, _ b: Int) -> Tensor {
    let count = shape.reduce(1, *)
    return Tensor((0..<count).map { Float((a * $0 + b) % 193 + 32) / 256 }, shape: shape)
  }

  static let linearInputs: @Sendable () -> Tensor = { images([3, 1, 2, 4], 57, 10) }
  static let linearLabels = [1, 4, 4]

  /// z = W x + β on eight pixels.
  static func linearNetwork() -> Network {
    var builder = ArchitectureBuilder(input: [1, 2, 4])
    _ = builder.linear("fc", builder.append("flatten", .flatten, builder.input), 5)
    let network = Network(builder.build("lin"), seed: 0)
    withoutGradient {
      network.parameters[0].tensor.copy(from: fill([5, 8], 37, 11, 64, 32))
      network.parameters[1].tensor.copy(from: fill([5], 13, 5, 32, 64))
    }
    return network
  }

  static func linear() -> AttackedModel { AttackedModel(linearNetwork()) }

  static let convolutionalInputs: @Sendable () -> Tensor = { images([8, 3, 8, 8], 73, 29) }
  static let convolutionalLabels = [5, 8, 7, 0, 2, 4, 1, 3]

  static func convolutionalNetwork() -> Network {
    var builder = ArchitectureBuilder(input: [3, 8, 8])
    var x = builder.relu("relu1", builder.conv("conv1", builder.input, 4, bias: true))
    x = builder.relu("relu2", builder.conv("conv2", x, 6, bias: true))
    x = builder.append("pool", .averagePool(kernel: 2, stride: 2), x)
    _ = builder.linear("fc", builder.append("flatten", .flatten, x), 10)
    let network = Network(builder.build("cnn"), seed: 0)
    let values = [
      fill([4, 3, 3, 3], 77, 6, 61, 32), fill([4], 5, 3, 16, 64), fill([6, 4, 3, 3], 37, 31, 53, 32),
      fill([6], 7, 1, 16, 64), fill([10, 96], 35, 37, 59, 32), fill([10], 11, 2, 32, 64)
    ]
    withoutGradient { for (entry, value) in zip(network.parameters, values) { entry.tensor.copy(from: value) } }
    return network
  }

  static func convolutional() -> AttackedModel { AttackedModel(convolutionalNetwork()) }

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

/// A folder that is gone when nobody holds it any more.
final class TemporaryFolder {
  let url = FileManager.default.temporaryDirectory.appending(path: "quench-\(UUID().uuidString)")

  init() throws { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }
  deinit { try? FileManager.default.removeItem(at: url) }
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
