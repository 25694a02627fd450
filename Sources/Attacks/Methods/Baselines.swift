import Reporting
import Support
import Torch

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

/// An attack made on one model and judged on another.
public struct Transfer<Base: Attack>: Attack {
  public var base: Base
  /// What the attack sees.
  public let source: AttackedModel

  public init(_ base: Base, from source: AttackedModel) {
    self.base = base
    self.source = source
  }

  public var name: String { "\(base.name) from \(source.name)" }
  public var norm: Norm { base.norm }
  public var epsilon: Double? { base.epsilon }
  public var isBounded: Bool { base.isBounded }
  public var settings: Record {
    var settings = base.settings
    settings["source"] = .string(source.name)
    return settings
  }

  public func bounded(by epsilon: Double) -> Transfer<Base> { Transfer(base.bounded(by: epsilon), from: source) }

  public func check(_ model: AttackedModel) throws(InputError) {
    try base.check(source)
    guard source.inputShape == model.inputShape, source.classes == model.classes else {
      throw InputError(
        "the models of a transfer do not fit together", at: source.name,
        expected: "\(model.inputShape) in \(model.classes) classes",
        found: "\(source.inputShape) in \(source.classes)")
    }
  }

  public func perturb(_ samples: Samples, on model: AttackedModel) -> Tensor { base.perturb(samples, on: source) }
}
