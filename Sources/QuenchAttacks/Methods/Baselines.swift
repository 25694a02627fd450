import QuenchReporting
import QuenchSupport
import QuenchTorch

/// Random noise of the budget's size: what any attack must beat.
public struct NoiseBaseline: Attack, Equatable, Codable, Sendable {
  public enum Distribution: String, CaseIterable, Codable, Sendable {
    /// Uniform in the L∞ cube, or on the L2 sphere's surface by direction.
    case uniform
    /// Gaussian, scaled to the budget.
    case gaussian
  }

  public var distribution = Distribution.uniform
  public var norm = Norm.linf
  /// In pixel units.
  public var budget = 8.0 / 255

  public init() {}

  public var name: String { "noise-\(distribution.rawValue)" }
  public var epsilon: Double? { budget }
  public var usesGradients: Bool { false }
  public var settings: Record { [:] }

  public func bounded(by epsilon: Double) -> NoiseBaseline {
    var copy = self
    copy.budget = epsilon
    return copy
  }

  public func perturb(_ samples: Samples, on model: AttackedModel) -> Tensor {
    var random = samples.random(name)
    let shape = Array(samples.images.shape.dropFirst())
    var noise = distribution == .uniform ? random.uniform(shape) * 2 - 1 : random.normal(shape)
    if distribution == .gaussian || norm != .linf { noise = noise / noise.perSample(norm).perPixel(noise) }
    return norm.projected(samples.images + noise * budget, around: samples.images, radius: budget)
  }
}
