import QuenchReporting
import QuenchTorch

/// Projected gradient descent (Madry et al. 2018, section 2.1), in the L∞ or L2 ball.
public struct PGD: Attack, Equatable, Codable, Sendable {
  public var name = "pgd"
  public var norm = Norm.linf
  /// In pixel units.
  public var budget = 8.0 / 255
  /// Nil: a quarter of the budget in L∞ (2/255 of 8/255), a fifth in L2.
  public var stepSize: Double?
  public var steps = 10
  /// Begin at a point drawn uniformly from the ball instead of at the image.
  public var randomStart = true
  /// Independent attempts; each works on the samples that the ones before left.
  public var restarts = 1
  public var loss = AttackLoss.crossEntropy
  /// Whether a sample leaves the batch with its first adversarial iterate. If not, every sample takes all steps and
  /// returns its last iterate, as the paper's algorithm does.
  public var stopsAtSuccess = false
  /// Return the iterate of the highest loss over steps and restarts instead of the last one.
  public var keepsHighestLoss = false

  public init() {}

  /// The basic iterative method (Kurakin et al. 2017): PGD in L∞ from the image itself.
  /// - Parameters:
  ///   - epsilon: In pixel units.
  ///   - steps: Nil: the paper's min(255ε + 4, 1.25 · 255ε).
  public static func bim(epsilon: Double = 8.0 / 255, steps: Int? = 10) -> PGD {
    var attack = PGD()
    attack.name = "bim"
    attack.budget = epsilon
    attack.randomStart = false
    attack.steps = steps ?? max(1, Int(min(255 * epsilon + 4, 1.25 * 255 * epsilon)))
    return attack
  }

  public var epsilon: Double? { budget }
  var step: Double { stepSize ?? budget / (norm == .linf ? 4 : 5) }

  public var takesTargets: Bool { true }
  public var follows: AttackLoss? { loss }
  public var settings: Record {
    [
      "step_size": .double(step), "steps": .int(steps), "random_start": .bool(randomStart),
      "restarts": .int(restarts), "loss": .string(loss.rawValue), "stops_at_success": .bool(stopsAtSuccess)
    ]
  }

  public func bounded(by epsilon: Double) -> PGD {
    var copy = self
    copy.budget = epsilon
    return copy
  }

  public func perturb(_ samples: Samples, on model: AttackedModel) -> Tensor {
    var hunt = Hunt(samples)
    let highest = Tensor.full([samples.count], -Double.infinity, device: samples.device)
    for restart in 0..<max(1, restarts) where !hunt.isOver {
      let (images, loss, live) = attempt(restart, &hunt, on: model)
      guard !hunt.isOver else { break }
      if keepsHighestLoss {
        let isHigher = loss .> highest.selecting(live)
        hunt.keep(images, where: isHigher)
        highest.setRows(loss.maximum(highest.selecting(live)), at: live)
      } else if restarts <= 1 || restart == 0 {
        hunt.keep(images)
      }
      if restarts > 1, !keepsHighestLoss {
        _ = hunt.release(images, where: hunt.live.broken(model.logits(images, hunt.live)))
      }
    }
    return hunt.found
  }

  /// One run over the live samples; those that leave on the way are kept by `hunt`.
  /// - Returns: For the others the image to return, its loss where that decides, and where they stand.
  private func attempt(
    _ restart: Int, _ hunt: inout Hunt, on model: AttackedModel
  ) -> (images: Tensor, loss: Tensor, places: Tensor) {
    var images = start(hunt.live, restart)
    var (best, highest) = (images, Tensor.full([hunt.live.count], -Double.infinity, device: images.device))
    func note(_ candidate: Tensor, _ loss: Tensor) {
      guard keepsHighestLoss else { return }
      let isHigher = loss .> highest
      best = candidate.choosing(where: isHigher.perPixel(candidate), otherwise: best)
      highest = highest.maximum(loss)
    }
    for _ in 0..<steps {
      var found = model.gradient(at: images, hunt.live) { loss($0, hunt.live) }
      note(images, found.loss)
      if stopsAtSuccess, let rest = hunt.release(images, where: hunt.live.broken(found.logits)) {
        if hunt.isOver { break }
        images = images.selecting(rest)
        best = best.selecting(rest)
        highest = highest.selecting(rest)
        found.gradient = found.gradient.selecting(rest)
      }
      images = norm.projected(
        images + norm.direction(found.gradient) * step, around: hunt.live.images, radius: budget)
    }
    guard keepsHighestLoss, !hunt.isOver else { return (images, highest, hunt.places) }
    note(images, loss(model.logits(images, hunt.live), hunt.live))
    return (best, highest, hunt.places)
  }

  private func start(_ samples: Samples, _ restart: Int) -> Tensor {
    guard randomStart else { return samples.images }
    var random = samples.random(name, restart: restart)
    let noise = random.inBall(of: norm, like: samples.images)
    return norm.projected(samples.images + noise * budget, around: samples.images, radius: budget)
  }
}

extension SampleRandom {
  /// Points drawn uniformly from the unit ball: in L2 the first n of n + 2 normal numbers of unit length.
  mutating func inBall(of norm: Norm, like images: Tensor) -> Tensor {
    let shape = Array(images.shape.dropFirst())
    let noise: Tensor
    if norm == .linf {
      noise = uniform(shape) * 2 - 1
    } else {
      let count = shape.reduce(1, *)
      let numbers = normal([count + 2])
      let unit = numbers / numbers.norm(2, [1], keepDimensions: true)
      noise = unit[TensorIndex.all, ..<count].reshaped([-1] + shape)
    }
    return noise.contiguous(images.rank == 4 ? .channelsLast : .contiguous)
  }
}
