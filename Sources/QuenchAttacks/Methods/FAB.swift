import QuenchReporting
import QuenchSupport
import QuenchTorch

/// The fast adaptive boundary attack (Croce and Hein 2020): looks for the nearest adversarial image by projecting onto
/// linearised decision boundaries and pulling back towards the original.
public struct FAB: Attack, Equatable, Codable, Sendable {
  public var norm = Norm.linf
  /// Where the examples count as found; nil: at any distance.
  public var epsilon: Double?
  public var steps = 100
  /// α_max: the largest pull towards the original.
  public var pull = 0.1
  /// η: how far to step beyond the boundary.
  public var overshoot = 1.05
  /// β: the share of the way to the original that is kept after a success.
  public var backward = 0.9
  /// Independent runs; the first begins at the image, unless ``beginsAtRandom``.
  public var restarts = 1
  public var beginsAtRandom = false
  /// FAB-T: the boundary to one class a run, over so many classes next to the label's; nil: to the nearest of all.
  public var targets: Int?
  /// Whether a sample leaves the batch with its first adversarial image within ``epsilon``.
  public var stopsAtSuccess = true

  public init() {}

  public init(norm: Norm, epsilon: Double?, targets: Int? = nil) {
    self.norm = norm
    self.epsilon = epsilon
    self.targets = targets
  }

  public var name: String { targets == nil ? "fab" : "fab-t" }
  public var isBounded: Bool { false }
  public var follows: AttackLoss? { .margin }
  public var settings: Record {
    [
      "steps": .int(steps), "restarts": .int(restarts), "pull": .double(pull), "overshoot": .double(overshoot),
      "backward": .double(backward), "targets": targets.map { .int($0) } ?? .null
    ]
  }

  public func bounded(by epsilon: Double) -> FAB {
    var copy = self
    copy.epsilon = epsilon
    return copy
  }

  public func perturb(_ samples: Samples, on model: AttackedModel) -> Tensor {
    let nearest = Nearest(samples)
    let logits = model.logits(samples.images, samples)
    // A sample that is wrong from the start is its own nearest example.
    nearest.note(samples.images, nearest.places, samples.broken(logits), norm)
    let others = logits.otherClasses(than: samples.labels, count: model.classes - 1)
    let runs = targets.map { min($0, model.classes - 1) } ?? 1
    for restart in 0..<max(1, restarts) {
      for rank in 0..<runs {
        let places = nearest.open(within: stopsAtSuccess ? epsilon : nil)
        guard places.count > 0 else { return nearest.images }
        let classes = targets == nil ? others : others[TensorIndex.all, rank..<rank + 1]
        run(
          samples.selecting(places), classes.selecting(places), places, nearest, stream: restart * runs + rank,
          startsAtRandom: beginsAtRandom || restart > 0, on: model)
      }
    }
    return nearest.images
  }

  /// The smallest perturbations found.
  final class Nearest {
    let images: Tensor
    let distance: Tensor
    let places: Tensor
    private let centers: Tensor

    init(_ samples: Samples) {
      centers = samples.images
      images = samples.images.cloned()
      distance = .full([samples.count], .infinity, device: samples.device)
      places = .arange(to: Double(samples.count), device: samples.device)
    }

    /// Keeps those of `candidates`, which stand at `places`, that `mask` says are adversarial and that are nearer.
    func note(_ candidates: Tensor, _ places: Tensor, _ mask: Tensor, _ norm: Norm) {
      guard mask.any() else { return }
      let size = (candidates - centers.selecting(places)).perSample(norm)
      let positions = mask.logicalAnd(size .< distance.selecting(places)).positions()
      let rows = places.selecting(positions)
      images.setRows(candidates.selecting(positions), at: rows)
      distance.setRows(size.selecting(positions), at: rows)
    }

    /// Those without an example within `epsilon`; all if that is nil, but for the ones that were wrong from the start.
    func open(within epsilon: Double?) -> Tensor { (distance .> (epsilon ?? 0)).positions() }
  }

  private func run(
    _ samples: Samples, _ classes: Tensor, _ start: Tensor, _ nearest: Nearest, stream: Int, startsAtRandom: Bool,
    on model: AttackedModel
  ) {
    var (live, others, places) = (samples, classes, start)
    var images = startsAtRandom ? randomStart(live, nearest.distance.selecting(places), stream) : live.images
    for _ in 0..<steps {
      let view = model.linearised(at: images, live)
      images = approach(images, live.images, view.nearest(among: others, norm, floor: 1e-12))
      let isWrong = live.broken(model.logits(images, live))
      nearest.note(images, places, isWrong, norm)
      let retreat = live.images + (images - live.images) * backward
      images = retreat.choosing(where: isWrong.perPixel(images), otherwise: images)
      if stopsAtSuccess, let epsilon, isWrong.any() {
        let rest = (nearest.distance.selecting(places) .> epsilon).positions()
        guard rest.count > 0 else { return }
        if rest.count < live.count {
          (live, others, places) = (live.selecting(rest), others.selecting(rest), places.selecting(rest))
          images = images.selecting(rest)
        }
      }
    }
  }

  /// One iteration: the biased step between the projections of the iterate and of the original.
  private func approach(_ images: Tensor, _ centers: Tensor, _ boundary: Linearisation.Boundary) -> Tensor {
    let (x, origin) = (images.flattened(from: 1), centers.flattened(from: 1))
    let (residual, normal) = (boundary.margin, boundary.slope.flattened(from: 1))
    let shifted = (normal * (origin - x)).sum([1]) + residual
    let count = images.size(0)
    let moves = BoxProjection.move(
      .concatenated([x, origin]), normals: .concatenated([normal, normal]),
      residuals: .concatenated([residual, shifted]), norm: norm)
    let (d1, d2) = (moves[..<count], moves[count...])
    let (near, far) = (d1.perSample(norm).clamped(to: 1e-8...), d2.perSample(norm).clamped(to: 1e-8...))
    let share = (near / (near + far)).clamped(to: 0...pull).unsqueezed(1)
    let next = (x + d1 * overshoot) * (1 - share) + (origin + d2 * overshoot) * share
    return next.clamped(to: 0...1).reshaped(images.shape)
      .contiguous(images.rank == 4 ? .channelsLast : .contiguous)
  }

  /// Half the way to the smaller of the budget and the best distance, in a random direction.
  private func randomStart(_ samples: Samples, _ distance: Tensor, _ stream: Int) -> Tensor {
    var random = samples.random(name, restart: stream)
    let shape = Array(samples.images.shape.dropFirst())
    let noise = norm == .linf ? random.uniform(shape) * 2 - 1 : random.normal(shape)
    // Without a budget and without an example yet there is no length to go by: begin at the image.
    let bound = distance.clamped(to: ...(epsilon ?? .infinity))
    let radius = bound.filled(with: 0, where: bound .== .infinity) * 0.5
    let unit = noise / noise.perSample(norm).clamped(to: 1e-12...).perPixel(noise)
    return (samples.images + unit * radius.perPixel(unit)).clamped(to: 0...1)
      .contiguous(samples.images.rank == 4 ? .channelsLast : .contiguous)
  }
}
