import QuenchReporting
import QuenchTorch

/// The fast gradient sign method (Goodfellow et al. 2015, section 4): one step up the cross-entropy.
///
/// With the L2 norm the step goes along the gradient instead of its sign.
public struct FGSM: Attack, Equatable, Codable, Sendable {
  public var norm = Norm.linf
  /// In pixel units.
  public var budget = 8.0 / 255

  public init() {}

  public var name: String { "fgsm" }
  public var epsilon: Double? { budget }
  public var takesTargets: Bool { true }
  public var follows: AttackLoss? { .crossEntropy }
  public var settings: Record { [:] }

  public func bounded(by epsilon: Double) -> FGSM {
    var copy = self
    copy.budget = epsilon
    return copy
  }

  public func perturb(_ samples: Samples, on model: AttackedModel) -> Tensor {
    let found = model.gradient(at: samples.images, samples) { AttackLoss.crossEntropy($0, samples) }
    return norm.projected(
      samples.images + norm.direction(found.gradient) * budget, around: samples.images, radius: budget)
  }
}
