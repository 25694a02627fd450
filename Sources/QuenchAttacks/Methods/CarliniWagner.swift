import Foundation
import QuenchReporting
import QuenchTorch

/// The L2 attack of Carlini and Wagner (2017, section VI), in the form with a search for the constant a sample.
///
/// Early abort is decided sample by sample, so that a result does not depend on the batch; a sample that has stopped is
/// not tested any more within that search step.
public struct CarliniWagner: Attack, Equatable, Codable, Sendable {
  /// Where the examples count as found; nil: at any distance.
  public var epsilon: Double?
  /// κ: by how much the wrong logit must win. A margin keeps examples adversarial under rounding.
  public var confidence = 0.0
  /// Search steps for the constant c, by bisection.
  public var searchSteps = 9
  /// Adam steps within each. The paper takes 10 000.
  public var steps = 1000
  public var learningRate = 0.01
  public var initialConstant = 1e-3
  /// Stop a sample whose loss has not fallen by a ten-thousandth in a tenth of the steps.
  public var abortsEarly = true
  /// Whether a sample leaves the batch with its first adversarial image within ``epsilon``, however much nearer the search
  /// would get.
  public var stopsAtSuccess = false

  public init() {}

  public var name: String { "cw" }
  public var norm: Norm { .l2 }
  public var isBounded: Bool { false }
  public var takesTargets: Bool { true }
  public var follows: AttackLoss? { .margin }
  public var settings: Record {
    [
      "confidence": .double(confidence), "search_steps": .int(searchSteps), "steps": .int(steps),
      "learning_rate": .double(learningRate), "initial_constant": .double(initialConstant),
      "stops_at_success": .bool(stopsAtSuccess)
    ]
  }

  public func bounded(by epsilon: Double) -> CarliniWagner {
    var copy = self
    copy.epsilon = epsilon
    return copy
  }

  /// What the bisection knows of each sample.
  private struct Search {
    var constant: Tensor
    var lower: Tensor
    var upper: Tensor
    /// The smallest ‖image - x‖₂ of an adversarial image, infinite where there is none.
    var distance: Tensor
    var images: Tensor
  }

  public func perturb(_ samples: Samples, on model: AttackedModel) -> Tensor {
    let zeros = Tensor.zeros([samples.count], device: samples.device)
    var search = Search(
      constant: zeros + initialConstant, lower: zeros, upper: zeros + Double.infinity,
      distance: zeros + Double.infinity, images: samples.images.cloned())
    for outer in 0..<searchSteps {
      if searchSteps >= 10, outer == searchSteps - 1 { search.constant = search.upper.clamped(to: ...1e10) }
      let places = open(search.distance)
      guard places.count > 0 else { break }
      let found = descend(samples, places, &search, on: model)
      search.upper = search.constant.choosing(where: found, otherwise: search.upper)
      search.lower = search.lower.choosing(where: found, otherwise: search.constant)
      let middle = (search.lower + search.upper) * 0.5
      search.constant = (search.constant * 10).choosing(where: search.upper .== .infinity, otherwise: middle)
    }
    return search.images
  }

  /// Where samples go on whose nearest adversarial images so far are at `distance`, `[n]`.
  private func open(_ distance: Tensor) -> Tensor {
    guard stopsAtSuccess, let epsilon else {
      return Tensor.arange(to: Double(distance.count), device: distance.device)
    }
    return (distance .> epsilon).positions()
  }

  /// The samples that a search step still works on.
  private struct Descent {
    var live: Samples
    /// Where they stand among all.
    var places: Tensor
    /// The images in tanh space, and the offsets from them.
    var base: Tensor
    var adam: SampleAdam
    /// The images as that space has them.
    var x: Tensor
    var constant: Tensor
    /// The losses when they were last looked at.
    var previous: Tensor

    init(_ samples: Samples, _ places: Tensor, _ constant: Tensor, learningRate: Double) {
      live = samples.selecting(places)
      self.places = places
      self.constant = constant.selecting(places)
      base = CarliniWagner.unbounded(live.images)
      adam = SampleAdam(like: base, learningRate: learningRate)
      x = CarliniWagner.image(base)
      previous = .full([places.count], .infinity, device: samples.device)
    }

    mutating func select(_ rest: Tensor) {
      live = live.selecting(rest)
      for path in [\Descent.places, \.base, \.x, \.constant, \.previous] {
        self[keyPath: path] = self[keyPath: path].selecting(rest)
      }
      adam = adam.selecting(rest)
    }
  }

  /// One search step: Adam on the offset in tanh space from zero, of the samples at `places`.
  /// - Returns: Which samples became adversarial, bool `[N]`.
  private func descend(
    _ samples: Samples, _ places: Tensor, _ search: inout Search, on model: AttackedModel
  ) -> Tensor {
    var descent = Descent(samples, places, search.constant, learningRate: learningRate)
    let found = Tensor.zeros([samples.count], dtype: .bool, device: samples.device)
    let interval = Int((Double(steps) / 10).rounded(.up))
    for step in 0..<steps {
      var state = loss(
        at: descent.base + descent.adam.value, around: descent.x, descent.constant, descent.live, on: model)
      /// - Returns: Whether any sample goes on.
      func keep(_ rest: Tensor) -> Bool {
        if rest.count > 0, rest.count < descent.live.count {
          descent.select(rest)
          state = state.selecting(rest)
        }
        return rest.count > 0
      }
      if abortsEarly, step % interval == 0 {
        let goesOn = state.loss .<= descent.previous * 0.9999
        descent.previous = state.loss
        guard keep(goesOn.positions()) else { break }
      }
      if note(state, descent.live, descent.places, found, &search) {
        guard keep(open(search.distance.selecting(descent.places))) else { break }
      }
      descent.adam.step(state.gradient)
    }
    return found
  }

  private struct State {
    var images: Tensor
    var logits: Tensor
    var loss: Tensor
    var gradient: Tensor

    func selecting(_ rows: Tensor) -> State {
      State(
        images: images.selecting(rows), logits: logits.selecting(rows), loss: loss.selecting(rows),
        gradient: gradient.selecting(rows))
    }
  }

  /// ‖image(w) - x̃‖₂² + c · max(0, margin + κ), and its gradient by w.
  private func loss(
    at point: Tensor, around x: Tensor, _ constant: Tensor, _ samples: Samples, on model: AttackedModel
  ) -> State {
    let images = Self.image(point)
    let found = model.gradient(at: images, samples) { logits in
      constant * (confidence - AttackLoss.margin(logits, samples)).relu()
    }
    let difference = images - x
    // d image / d w = ½ (1 - tanh² w), and tanh w = 2 · image - 1.
    let slope = (1 - (images * 2 - 1).square()) * 0.5
    return State(
      images: images, logits: found.logits, loss: found.loss + difference.square().sumPerSample(),
      gradient: (found.gradient + difference * 2) * slope)
  }

  /// Keeps iterates that are adversarial by the margin and nearer to the image than those before.
  /// - Returns: Whether any is adversarial.
  private func note(
    _ state: State, _ samples: Samples, _ places: Tensor, _ found: Tensor, _ search: inout Search
  ) -> Bool {
    let wins = isAdversarial(state.logits, samples)
    guard wins.any() else { return false }
    let distance = (state.images - samples.images).perSample(.l2)
    let isNearer = wins.logicalAnd(distance .< search.distance.selecting(places))
    let positions = isNearer.positions()
    let rows = places.selecting(positions)
    search.images.setRows(state.images.selecting(positions), at: rows)
    search.distance.setRows(distance.selecting(positions), at: rows)
    found.setRows(wins.logicalOr(found.selecting(places)), at: places)
    return true
  }

  /// Whether another class wins with κ added to the label's logit (aimed: the target's lowered by κ).
  private func isAdversarial(_ logits: Tensor, _ samples: Samples) -> Tensor {
    let isAimed = samples.demandsTarget
    let classes = (samples.demandsTarget ? samples.targets : nil) ?? samples.labels
    let shift = logits.zerosLike().scattered(1, classes.unsqueezed(1), isAimed ? -confidence : confidence)
    return samples.broken(logits + shift)
  }

  /// atanh of the pixel in (-1, 1); the factor keeps 0 and 1 finite.
  static func unbounded(_ images: Tensor) -> Tensor {
    let y = (images * 2 - 1) * 0.999999
    return (y.log1p() - (-y).log1p()) * 0.5
  }

  static func image(_ point: Tensor) -> Tensor { point.tanh() * 0.5 + 0.5 }
}

/// Adam on one tensor of `[N, ...]` from zero, of which samples can be taken out.
struct SampleAdam {
  private(set) var value: Tensor
  private var mean: Tensor
  private var square: Tensor
  private var steps = 0.0
  private let learningRate: Double

  init(like tensor: Tensor, learningRate: Double) {
    value = tensor.zerosLike()
    mean = tensor.zerosLike()
    square = tensor.zerosLike()
    self.learningRate = learningRate
  }

  mutating func step(_ gradient: Tensor) {
    steps += 1
    mean = mean * 0.9 + gradient * 0.1
    square = (square * 0.999).adding(productOf: gradient, gradient, scaledBy: 0.001)
    let scale = learningRate / (1 - pow(0.9, steps))
    let root = square.sqrt() / (1 - pow(0.999, steps)).squareRoot() + 1e-8
    value = value - mean / root * scale
  }

  func selecting(_ rows: Tensor) -> SampleAdam {
    var copy = self
    copy.value = value.selecting(rows)
    copy.mean = mean.selecting(rows)
    copy.square = square.selecting(rows)
    return copy
  }
}
