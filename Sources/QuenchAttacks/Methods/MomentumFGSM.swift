import QuenchReporting
import QuenchTorch

/// The momentum iterative method MI-FGSM (Dong et al. 2018, algorithm 1): it transfers better between models.
public struct MomentumFGSM: Attack, Equatable, Codable, Sendable {
  /// In pixel units.
  public var budget = 8.0 / 255
  /// Nil: a quarter of the budget.
  public var stepSize: Double?
  public var steps = 10
  /// μ, the share of the old direction that is kept.
  public var decay = 1.0
  /// Whether a sample leaves the batch with its first adversarial iterate.
  public var stopsAtSuccess = false

  public init() {}

  public var name: String { "mi-fgsm" }
  public var norm: Norm { .linf }
  public var epsilon: Double? { budget }
  var step: Double { stepSize ?? budget / 4 }
  public var takesTargets: Bool { true }
  public var follows: AttackLoss? { .crossEntropy }
  public var settings: Record {
    [
      "step_size": .double(step), "steps": .int(steps), "decay": .double(decay),
      "stops_at_success": .bool(stopsAtSuccess)
    ]
  }

  public func bounded(by epsilon: Double) -> MomentumFGSM {
    var copy = self
    copy.budget = epsilon
    return copy
  }

  public func perturb(_ samples: Samples, on model: AttackedModel) -> Tensor {
    var hunt = Hunt(samples)
    var images = samples.images
    var momentum = images.zerosLike()
    for _ in 0..<steps {
      let found = model.gradient(at: images, hunt.live) { AttackLoss.crossEntropy($0, hunt.live) }
      var gradient = found.gradient
      if stopsAtSuccess, let rest = hunt.release(images, where: hunt.live.broken(found.logits)) {
        if hunt.isOver { break }
        (images, momentum, gradient) = (
          images.selecting(rest), momentum.selecting(rest), gradient.selecting(rest)
        )
      }
      let scale = gradient.abs().mean(Array(1..<gradient.rank), keepDimensions: true)
      momentum = momentum * decay + gradient / scale.filled(with: 1, where: scale .== 0)
      images = norm.projected(images + momentum.sign() * step, around: hunt.live.images, radius: budget)
    }
    if !hunt.isOver { hunt.keep(images) }
    return hunt.found
  }
}
