import QuenchReporting
import QuenchTorch

/// DeepFool (Moosavi-Dezfooli et al. 2016, algorithm 2): steps to the nearest boundary of the linearised classifier.
public struct DeepFool: Attack, Equatable, Codable, Sendable {
  public enum Form: String, CaseIterable, Codable, Sendable {
    /// Steps are added up, and the sum is stretched by the overshoot at each test.
    case accumulated
    /// Each step is stretched by itself; L2 only.
    case stepwise
  }

  public var norm = Norm.l2
  /// Where the examples count as found; nil: at any distance.
  public var epsilon: Double?
  public var steps = 50
  public var overshoot = 0.02
  public var form = Form.accumulated
  /// Only the classes with the highest clean logits are tried.
  public var classes = 10

  public init() {}

  public var name: String { "deepfool" }
  public var isBounded: Bool { false }
  public var follows: AttackLoss? { .margin }
  public var settings: Record {
    [
      "steps": .int(steps), "overshoot": .double(overshoot), "form": .string(form.rawValue),
      "classes": .int(classes)
    ]
  }

  public func bounded(by epsilon: Double) -> DeepFool {
    var copy = self
    copy.epsilon = epsilon
    return copy
  }

  public func perturb(_ samples: Samples, on model: AttackedModel) -> Tensor {
    var hunt = Hunt(samples)
    var images = samples.images
    var sum = images.zerosLike()
    let count = form == .stepwise ? model.classes : min(classes, model.classes)
    var others = model.logits(images, samples).otherClasses(than: samples.labels, count: count - 1)
    for _ in 0..<steps {
      var view = model.linearised(at: images, hunt.live)
      if let rest = hunt.release(images, where: hunt.live.broken(view.logits)) {
        if hunt.isOver { return hunt.found }
        (images, sum, others) = (images.selecting(rest), sum.selecting(rest), others.selecting(rest))
        view = view.selecting(rest)
      }
      let boundary = view.nearest(among: others, norm, floor: 1e-8)
      let (distance, direction) = (boundary.distance, boundary.slope)
      switch form {
      case .accumulated:
        sum = sum + step(direction) * (distance + 1e-4).perPixel(direction)
        images = (hunt.live.images + sum * (1 + overshoot)).clamped(to: 0...1)
      case .stepwise:
        let length = direction.perSample(.l2)
        let factor = distance / length * (1 + overshoot)
        images = (images + direction * factor.perPixel(direction)).clamped(to: 0...1)
      }
    }
    hunt.keep(images)
    return hunt.found
  }

  private func step(_ gradient: Tensor) -> Tensor {
    norm == .linf ? gradient.sign() : gradient / (gradient.perSample(.l2) + 1e-8).perPixel(gradient)
  }
}

extension Tensor {
  /// For logits `[N, classes]` the `count` highest classes that are not the labels': `[N, count]`, highest first.
  func otherClasses(than labels: Tensor, count: Int) -> Tensor {
    scattered(1, labels.unsqueezed(1), -Double.infinity).sorted(1, descending: true)
      .indices[TensorIndex.all, ..<count]
  }
}
