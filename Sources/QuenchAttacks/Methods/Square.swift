import Foundation
import QuenchReporting
import QuenchTorch

/// The Square attack (Andriushchenko et al. 2020): random search with square patches, from logits alone.
///
/// Each sample draws its own windows and signs. On images that are not square the window is bounded by the shorter side.
public struct Square: Attack, Equatable, Codable, Sendable {
  public var norm = Norm.linf
  /// In pixel units.
  public var budget = 8.0 / 255
  /// Forward passes a sample at most, the one at the start included.
  public var queries = 5000
  /// p₀: the share of the image that the first windows cover.
  public var initialShare = 0.8
  /// Stretch the schedule of window sizes, made for 10 000 queries, to ``queries``.
  public var rescales = false
  /// Whether a sample leaves the batch with its first adversarial image, or takes all queries to widen the margin.
  public var stopsAtSuccess = true

  public init() {}

  public init(norm: Norm, epsilon: Double) {
    self.norm = norm
    budget = epsilon
  }

  public var name: String { "square" }
  public var epsilon: Double? { budget }
  public var takesTargets: Bool { true }
  public var usesGradients: Bool { false }
  public var settings: Record {
    [
      "queries": .int(queries), "initial_share": .double(initialShare), "rescales": .bool(rescales),
      "stops_at_success": .bool(stopsAtSuccess)
    ]
  }

  public func remarks(on shape: [Int]) -> [Finding] {
    guard shape.count == 3, shape[1] != shape[2] else { return [] }
    return [Finding(.notSquare, "the images are not square: Square's windows are bounded by the shorter side")]
  }

  public func bounded(by epsilon: Double) -> Square {
    var copy = self
    copy.budget = epsilon
    return copy
  }

  /// The share of the image that the windows of an iteration cover.
  func share(at iteration: Int) -> Double {
    let place = rescales ? Int(Double(iteration) / Double(queries) * 10_000) : iteration
    let halvings = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000].count { place > $0 }
    return initialShare / pow(2, Double(halvings))
  }

  /// The side of the windows of an iteration; for L2 odd and at least 3.
  func side(at iteration: Int, height: Int, width: Int) -> Int {
    let wanted = Int((share(at: iteration) * Double(height * width)).squareRoot().rounded(.toNearestOrEven))
    let shorter = min(height, width)
    guard norm != .linf else { return min(max(wanted, 1), shorter) }
    let odd = max(wanted.isMultiple(of: 2) ? wanted + 1 : wanted, 3)
    return odd <= shorter ? odd : (shorter.isMultiple(of: 2) ? shorter - 1 : shorter)
  }

  public func perturb(_ samples: Samples, on model: AttackedModel) -> Tensor {
    var hunt = Hunt(samples)
    var random = samples.random(name)
    var images = norm == .linf ? stripes(samples.images, &random) : tiles(samples.images, &random)
    var (margin, isBroken) = score(images, hunt.live, on: model)
    for iteration in 1..<max(2, queries) {
      if stopsAtSuccess, let rest = hunt.release(images, where: isBroken) {
        if hunt.isOver { return hunt.found }
        (images, margin, random) = (images.selecting(rest), margin.selecting(rest), random.selecting(rest))
        isBroken = isBroken.selecting(rest)
      }
      let side = side(at: iteration, height: images.size(2), width: images.size(3))
      let candidate =
        norm == .linf
        ? patched(images, hunt.live.images, side, &random) : moved(images, hunt.live.images, side, &random)
      let (newMargin, newBroken) = score(candidate, hunt.live, on: model)
      // The reference takes every success; where a sample goes on, only a wider margin is progress.
      let accepts =
        stopsAtSuccess ? (newMargin .< margin).logicalOr(newMargin .<= 0) : newMargin .< margin
      images = candidate.choosing(where: accepts.perPixel(candidate), otherwise: images)
      margin = newMargin.choosing(where: accepts, otherwise: margin)
      isBroken = newBroken
    }
    hunt.keep(images)
    return hunt.found
  }

  /// The label's logit above the largest other one, and whether the answer is wrong.
  private func score(_ images: Tensor, _ samples: Samples, on model: AttackedModel) -> (Tensor, Tensor) {
    let logits = model.logits(images, samples)
    let margin =
      samples.demandsTarget ? -logits.margin(samples.targets ?? samples.labels) : logits.margin(samples.labels)
    return (margin, samples.broken(logits))
  }

  // MARK: - L∞

  /// Vertical stripes of ±ε.
  private func stripes(_ centers: Tensor, _ random: inout SampleRandom) -> Tensor {
    let signs = random.signs([centers.size(1), 1, centers.size(3)])
    return norm.projected(centers + signs * budget, around: centers, radius: budget)
  }

  /// ±2ε, a sign a channel, added inside one window a sample.
  private func patched(
    _ images: Tensor, _ centers: Tensor, _ side: Int, _ random: inout SampleRandom
  ) -> Tensor {
    let window = Window(side: side, in: images, &random)
    let signs = random.signs([images.size(1), 1, 1]) * (2 * budget)
    return norm.projected(images + window.mask * signs, around: centers, radius: budget)
  }

  /// One square a sample.
  struct Window {
    let rows: Tensor
    let columns: Tensor
    let side: Int
    let shape: [Int]

    /// At a corner drawn from 0 to size - side - 1, as the reference has it: the last position is never taken.
    init(side: Int, in images: Tensor, _ random: inout SampleRandom) {
      self.side = side
      shape = images.shape
      rows = random.integers(below: max(1, images.size(2) - side), [1])
      columns = random.integers(below: max(1, images.size(3) - side), [1])
    }

    private func inside(_ corner: Tensor, _ length: Int) -> Tensor {
      let places = Tensor.arange(to: Double(length), device: corner.device).unsqueezed(0)
      return (places .>= corner).logicalAnd(places .< corner + Double(side))
    }

    /// 1 inside, `[N, 1, H, W]`.
    var mask: Tensor {
      inside(rows, shape[2]).unsqueezed(2).logicalAnd(inside(columns, shape[3]).unsqueezed(1)).unsqueezed(1)
        .to(.float32)
    }

    /// Where its pixels lie in a plane, int64 `[N, 1, side · side]`.
    var places: Tensor {
      let steps = Tensor.arange(to: Double(side), device: rows.device)
      let down = rows.unsqueezed(2) + steps.reshaped([1, -1, 1])
      let across = columns.unsqueezed(2) + steps.reshaped([1, 1, -1])
      return (Tensor.multiplied(down, by: shape[3]) + across).reshaped([-1, 1, side * side])
    }
  }
}

extension Tensor {
  private static let multiplyOperator = Operator("aten::mul.Scalar")

  /// The product of integers.
  static func multiplied(_ tensor: Tensor, by factor: Int) -> Tensor { multiplyOperator(tensor, factor) }
}
