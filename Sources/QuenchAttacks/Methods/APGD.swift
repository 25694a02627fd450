import QuenchReporting
import QuenchSupport
import QuenchTorch

/// Auto-PGD (Croce and Hein 2020, algorithm 1): PGD that halves its step size where progress stalls and restarts from the
/// best point, so that it has no step size to tune.
public struct APGD: Attack, Equatable, Codable, Sendable {
  public enum Start: String, Codable, Sendable {
    /// A random direction, as far as the ball reaches.
    case random
    /// The image itself.
    case image
  }

  public var norm = Norm.linf
  /// In pixel units.
  public var budget = 8.0 / 255
  public var loss = AttackLoss.crossEntropy
  public var steps = 100
  /// Independent runs; each works on the samples that the ones before left.
  public var restarts = 1
  /// ρ: the step is halved if the loss rose in no more than this share of the steps since the last test.
  public var risingShare = 0.75
  public var start = Start.random
  /// Whether a sample leaves the batch with its first adversarial iterate. If not, it takes all steps and returns its
  /// last adversarial iterate.
  public var stopsAtSuccess = true
  /// Return the point of the highest loss instead of an adversarial one.
  public var keepsHighestLoss = false
  /// Read the loss before the first test window as 0, as the reference implementation does, instead of the start's.
  public var readsUnfilledLoss = false

  public init() {}

  public init(_ loss: AttackLoss, norm: Norm = .linf, epsilon: Double = 8.0 / 255) {
    self.loss = loss
    self.norm = norm
    budget = epsilon
  }

  public var name: String { "apgd-\(loss.rawValue)" }
  public var epsilon: Double? { budget }
  public var takesTargets: Bool { true }
  public var follows: AttackLoss? { loss }
  public var settings: Record {
    [
      "steps": .int(steps), "restarts": .int(restarts), "rising_share": .double(risingShare),
      "stops_at_success": .bool(stopsAtSuccess)
    ]
  }

  public func bounded(by epsilon: Double) -> APGD {
    var copy = self
    copy.budget = epsilon
    return copy
  }

  public func check(_ model: AttackedModel) throws(InputError) {
    try model.require(
      classes: loss.fewestClasses(aimed: false), for: name,
      remedy: "use apgd-ce, whose loss needs two classes only")
  }

  public func perturb(_ samples: Samples, on model: AttackedModel) -> Tensor {
    var hunt = Hunt(samples)
    for restart in 0..<max(1, restarts) where !hunt.isOver {
      let run = run(hunt.live, restart: restart, stream: name, on: model)
      if restart == 0 || !keepsHighestLoss { hunt.keep(run.images) }
      _ = hunt.release(run.images, where: run.isBroken)
    }
    return hunt.found
  }

  /// What one run came to, in the order of its samples.
  struct Run {
    /// An adversarial image where there is one, else the one of the highest loss.
    var images: Tensor
    var isBroken: Tensor
    var highestLoss: Tensor
    /// How often the step size was halved, int64 `[N]`.
    var halvings: Tensor
  }

  /// The steps after which progress is tested.
  static func checkpoints(of steps: Int) -> [Int] {
    func share(_ fraction: Double) -> Int { max(Int(fraction * Double(steps)), 1) }
    var (window, next) = (share(0.22), share(0.22))
    var result: [Int] = []
    while next <= steps {
      result.append(next)
      window = max(window - share(0.03), share(0.06))
      next += window
    }
    return result
  }

  /// What a run carries from step to step, of the samples in play.
  fileprivate struct State {
    var images: Tensor
    var before: Tensor
    var gradient: Tensor
    var best: Tensor
    var bestGradient: Tensor
    var bestLoss: Tensor
    var lastLoss: Tensor
    var stepSize: Tensor
    /// Steps since the last test at which the loss rose.
    var rises: Tensor
    var bestLossAtTest: Tensor
    var halvedAtTest: Tensor
    var halvings: Tensor

    func selecting(_ rows: Tensor) -> State {
      State(
        images: images.selecting(rows), before: before.selecting(rows), gradient: gradient.selecting(rows),
        best: best.selecting(rows), bestGradient: bestGradient.selecting(rows), bestLoss: bestLoss.selecting(rows),
        lastLoss: lastLoss.selecting(rows), stepSize: stepSize.selecting(rows), rises: rises.selecting(rows),
        bestLossAtTest: bestLossAtTest.selecting(rows), halvedAtTest: halvedAtTest.selecting(rows),
        halvings: halvings.selecting(rows))
    }
  }

  /// One run over `samples`.
  func run(_ samples: Samples, restart: Int, stream: String, on model: AttackedModel) -> Run {
    var (live, places) = (samples, Tensor.arange(to: Double(samples.count), device: samples.device))
    let result = Run(
      images: samples.images.cloned(),
      isBroken: .zeros([samples.count], dtype: .bool, device: samples.device),
      highestLoss: .full([samples.count], -.infinity, device: samples.device),
      halvings: .zeros([samples.count], dtype: .int64, device: samples.device))
    let first = point(samples, restart, stream)
    var found = model.gradient(at: first, live) { loss($0, live) }
    var state = State(
      images: first, before: first, gradient: found.gradient, best: first, bestGradient: found.gradient,
      bestLoss: found.loss, lastLoss: readsUnfilledLoss ? found.loss.zerosLike() : found.loss,
      stepSize: found.loss.fullLike(2 * budget), rises: found.loss.zerosLike(), bestLossAtTest: found.loss,
      halvedAtTest: found.loss.onesLike().to(.bool), halvings: result.halvings.cloned())
    func collect(_ candidate: Tensor, _ mask: Tensor) {
      let positions = mask.positions()
      result.images.setRows(candidate.selecting(positions), at: places.selecting(positions))
      result.isBroken.setRows(mask.logicalOr(result.isBroken.selecting(places)), at: places)
    }
    func leave(_ mask: Tensor) {
      guard stopsAtSuccess, !keepsHighestLoss, mask.any() else { return }
      let rest = mask.logicalNot().positions()
      (live, places, state) = (live.selecting(rest), places.selecting(rest), state.selecting(rest))
    }
    let isWrong = live.broken(found.logits)
    collect(first, isWrong)
    leave(isWrong)

    let tests = APGD.checkpoints(of: steps)
    var lastTest = 0
    for step in 1...max(1, steps) where !live.isEmpty {
      let next = advance(state, isFirst: step == 1, around: live.images)
      (state.before, state.images) = (state.images, next)
      if step < steps {
        found = model.gradient(at: next, live) { loss($0, live) }
        state.gradient = found.gradient
      } else {
        found.logits = model.logits(next, live)
        found.loss = loss(found.logits, live)
      }
      state.note(found.loss, next)
      let isWrong = live.broken(found.logits)
      collect(next, isWrong)
      if tests.contains(step) {
        state.test(steps: step - lastTest, risingShare: risingShare)
        lastTest = step
      }
      leave(isWrong)
    }
    if !live.isEmpty {
      result.highestLoss.setRows(state.bestLoss, at: places)
      result.halvings.setRows(state.halvings, at: places)
      let open = keepsHighestLoss ? places.onesLike().to(.bool) : result.isBroken.selecting(places).logicalNot()
      let positions = open.positions()
      result.images.setRows(state.best.selecting(positions), at: places.selecting(positions))
    }
    return result
  }

  /// The next point: a step up the loss, with a quarter of the last move kept.
  private func advance(_ state: State, isFirst: Bool, around centers: Tensor) -> Tensor {
    let step = norm.direction(state.gradient) * state.stepSize.perPixel(state.gradient)
    let target = norm.projected(state.images + step, around: centers, radius: budget)
    guard !isFirst else { return target }
    let moved = state.images + (target - state.images) * 0.75 + (state.images - state.before) * 0.25
    return norm.projected(moved, around: centers, radius: budget)
  }

  private func point(_ samples: Samples, _ restart: Int, _ stream: String) -> Tensor {
    guard start == .random else { return samples.images }
    var random = samples.random(stream, restart: restart)
    let shape = Array(samples.images.shape.dropFirst())
    let noise = norm == .linf ? random.uniform(shape) * 2 - 1 : random.normal(shape)
    let unit = noise / (noise.perSample(norm) + 1e-12).perPixel(noise)
    let format: MemoryFormat = unit.rank == 4 ? .channelsLast : .contiguous
    return norm.projected(
      samples.images + unit.contiguous(format) * budget, around: samples.images, radius: budget)
  }
}

extension APGD.State {
  /// Takes in the loss at the new point.
  fileprivate mutating func note(_ loss: Tensor, _ point: Tensor) {
    rises += (loss .> lastLoss).to(.float32)
    lastLoss = loss
    let isBetter = loss .> bestLoss
    best = point.choosing(where: isBetter.perPixel(point), otherwise: best)
    bestGradient = gradient.choosing(where: isBetter.perPixel(gradient), otherwise: bestGradient)
    bestLoss = loss.maximum(bestLoss)
  }

  /// Halves the step size and goes back to the best point where the loss rose too seldom, or where nothing was gained
  /// since the last test although the step size stayed (conditions 1 and 2 of the paper).
  fileprivate mutating func test(steps: Int, risingShare: Double) {
    let risesSeldom = rises .<= risingShare * Double(steps)
    let standsStill = halvedAtTest.logicalNot().logicalAnd(bestLossAtTest .>= bestLoss)
    let halves = risesSeldom.logicalOr(standsStill)
    halvedAtTest = halves
    bestLossAtTest = bestLoss
    stepSize = (stepSize * 0.5).choosing(where: halves, otherwise: stepSize)
    images = best.choosing(where: halves.perPixel(images), otherwise: images)
    gradient = bestGradient.choosing(where: halves.perPixel(gradient), otherwise: gradient)
    halvings += halves.to(.int64)
    rises = rises.zerosLike()
  }
}

/// Targeted Auto-PGD: one run a target class, over the classes next to the label's by their clean logits, with the
/// targeted DLR loss. Any misclassification is success.
public struct TargetedAPGD: Attack, Equatable, Codable, Sendable {
  /// Steps, loss and budget of each run; its loss is always DLR.
  public var run = APGD(.dlr)
  /// How many classes are aimed at; fewer where the model knows fewer.
  public var targets = 9

  public init(norm: Norm = .linf, epsilon: Double = 8.0 / 255) {
    run.norm = norm
    run.budget = epsilon
  }

  public var name: String { "apgd-t" }
  public var norm: Norm { run.norm }
  public var epsilon: Double? { run.budget }
  public var follows: AttackLoss? { run.loss }
  public var settings: Record {
    var settings = run.settings
    settings["targets"] = .int(targets)
    return settings
  }

  public func bounded(by epsilon: Double) -> TargetedAPGD {
    var copy = self
    copy.run.budget = epsilon
    return copy
  }

  public func check(_ model: AttackedModel) throws(InputError) {
    try model.require(
      classes: AttackLoss.dlr.fewestClasses(aimed: true), for: name,
      remedy: "use apgd-dlr for three classes or apgd-ce for two")
  }

  public func perturb(_ samples: Samples, on model: AttackedModel) -> Tensor {
    var hunt = Hunt(samples)
    let count = min(targets, model.classes - 1)
    let order = model.logits(samples.images, samples).otherClasses(than: samples.labels, count: count)
    for (rank, target) in order.unbound(1).enumerated() where !hunt.isOver {
      let aimed = hunt.live.aiming(at: target.selecting(hunt.places))
      let found = run.run(aimed, restart: rank, stream: name, on: model)
      if rank == 0 { hunt.keep(found.images) }
      _ = hunt.release(found.images, where: found.isBroken)
    }
    return hunt.found
  }
}
