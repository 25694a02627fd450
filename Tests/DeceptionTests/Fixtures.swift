import Foundation
import QuenchAttacks
import QuenchTorch
import ReferenceModels
import Testing

@testable import QuenchDeception

/// The reference setting: clean images, FGSM 2/255 on them, and a denoiser of one convolution.
enum Fixture {
  static let clean: @Sendable () -> Tensor = { Reference.convolutionalInputs() }

  /// x' of FGSM at `levels` / 255 on `model`, or on the convolutional model.
  static func attacked(_ levels: Double = 2, _ attack: (any Attack)? = nil, on model: AttackedModel? = nil)
    -> Tensor
  {
    let samples = Samples(
      images: clean(), labels: Tensor(Reference.convolutionalLabels), indices: Array(0..<8), seed: 0)
    return (attack ?? FGSM().bounded(by: levels / 255))
      .perturb(samples, on: model ?? AttackedModel(Reference.convolutionalNetwork()))
  }

  static func weight() -> Tensor { Reference.fill([3, 3, 3, 3], 31, 5, 47, 512) }

  /// D(x) = x - conv(x).
  static func denoise(_ images: Tensor) -> Tensor { images - images.conv2d(weight(), padding: 1) }
}

func expectClose(
  _ found: [Double], _ expected: [Double], _ tolerance: Double = 1e-4,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(found.count == expected.count, sourceLocation: sourceLocation)
  for (index, (a, b)) in zip(found, expected).enumerated() {
    #expect(abs(a - b) <= tolerance, "element \(index): found \(a), expected \(b)", sourceLocation: sourceLocation)
  }
}

extension Tensor {
  var values: [Double] { array(Double.self) }
  var flags: [Int] { to(.int64).array(Int64.self).map { Int($0) } }
}
