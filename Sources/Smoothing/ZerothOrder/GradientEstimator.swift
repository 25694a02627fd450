import Torch

/// A gradient estimated from values of the function alone, for a batch of points at once, each with a function of its
/// own (Zhang et al. 2022, equations 3 and 4).
///
/// All values that are compared are taken under the same randomness: what the caller's function holds fixed (the noise
/// that made the points) stays fixed over all queries of an estimate.
public struct GradientEstimator: Hashable, Codable, Sendable {
  public enum Method: Hashable, Codable, Sendable {
    /// RGE: `directions` (q) random unit vectors a point; (d/q) Σ u (ℓ(z + μu) - ℓ(z)) / μ.
    case random(directions: Int)
    /// CGE: every coordinate in turn.
    case coordinatewise
    /// For a function that only says right (0) or wrong (1): its mean under Gaussian noise of standard deviation τ,
    /// 1/(qτ) Σ (L - mean of the others) ξ.
    case smoothed(directions: Int, deviation: Double)
  }

  public enum Difference: String, Hashable, Codable, Sendable, CaseIterable {
    /// ℓ(z + μu) - ℓ(z): one query a direction.
    case forward
    /// (ℓ(z + μu) - ℓ(z - μu)) / 2: two, with an error of order μ² in place of μ.
    case antithetic
  }

  public var method: Method
  public var difference: Difference
  /// μ.
  public var smoothingStep: Double
  /// Leave out coordinates that are exactly 0: behind a ReLU the derivative there is 0 whatever the estimate, so the
  /// gradient of the parameters stays the same, bit for bit, and the queries are saved.
  public var skipsDeadCoordinates: Bool

  public init(
    _ method: Method = .coordinatewise, difference: Difference = .antithetic, smoothingStep: Double = 0.005,
    skipsDeadCoordinates: Bool = true
  ) {
    self.method = method
    self.difference = difference
    self.smoothingStep = smoothingStep
    self.skipsDeadCoordinates = skipsDeadCoordinates
  }

  /// The function: values `[M]` at `points`, `[M, d]`, the i-th of them for the function of the batch's point
  /// `rows[i]`, int64. The purpose is ``QueryLedger/Purpose/base`` for the points of the batch themselves, which come
  /// first, and ``QueryLedger/Purpose/perturbation`` for those round them.
  public typealias Function = (_ points: Tensor, _ rows: Tensor, _ purpose: QueryLedger.Purpose) throws -> Tensor

  public struct Estimate {
    /// `[N, d]`.
    public let gradient: Tensor
    /// The values at the points themselves, `[N]`.
    public let values: Tensor
    /// How many values were asked for.
    public let queries: Int
  }

  /// - Parameters:
  ///   - points: `[N, d]`.
  ///   - batchSize: How many values are asked for at once; memory does not grow with the number of directions.
  ///   - generator: Draws the directions.
  ///   - function: What is differentiated.
  public func callAsFunction(
    at points: Tensor, batchSize: Int = 512, using generator: Generator, _ function: Function
  ) rethrows -> Estimate {
    try withoutGradient {
      let points = points.detached()
      var count = 0
      /// Values at many points, in batches.
      func values(_ points: Tensor, _ rows: Tensor, _ purpose: QueryLedger.Purpose) throws -> Tensor {
        count += rows.count
        let batches = zip(points.split(batchSize), rows.split(batchSize))
        return Tensor.concatenated(try batches.map { try function($0, $1, purpose).to(points.dtype) })
      }
      let all = Tensor.arange(to: Double(points.size(0)), device: points.device)
      let base = try values(points, all, .base)
      let gradient =
        switch method {
        case .coordinatewise: try coordinatewise(points, base, batchSize, values)
        case .random(let directions):
          try random(points, base, directions, batchSize, values) { normalDirections(points, $0, generator) }
        case .smoothed(let directions, let deviation):
          try smoothed(points, directions, deviation, batchSize, generator, values)
        }
      return Estimate(gradient: gradient, values: base, queries: count)
    }
  }

  /// The most queries an estimate takes for a point of `dimension` coordinates.
  public func queries(dimension: Int) -> Int {
    let sides = difference == .forward ? 1 : 2
    return switch method {
    case .coordinatewise: 1 + sides * dimension
    case .random(let directions): 1 + sides * directions
    case .smoothed(let directions, _): 1 + directions
    }
  }

  /// The difference quotient ``difference`` of each moved point; `moves` are `[M, d]`, of length 1.
  private func quotients(
    _ points: Tensor, _ base: Tensor, rows: Tensor, moves: Tensor, _ values: Function
  ) rethrows -> Tensor {
    let origins = points.selecting(rows)
    let ahead = try values(origins + smoothingStep * moves, rows, .perturbation)
    switch difference {
    case .forward: return (ahead - base.selecting(rows)) / smoothingStep
    case .antithetic:
      let behind = try values(origins - smoothingStep * moves, rows, .perturbation)
      return (ahead - behind) / (2 * smoothingStep)
    }
  }

  private func coordinatewise(
    _ points: Tensor, _ base: Tensor, _ batchSize: Int, _ values: Function
  ) rethrows -> Tensor {
    let gradient = points.zerosLike()
    let isAsked = skipsDeadCoordinates ? points .!= 0 : points.onesLike() .!= 0
    for places in isAsked.nonzero().split(batchSize) where places.size(0) > 0 {
      let (rows, coordinates) = (places[TensorIndex.all, 0], places[TensorIndex.all, 1])
      let moves = coordinates.oneHot(classes: points.size(1)).to(points.dtype)
      gradient.put(try quotients(points, base, rows: rows, moves: moves, values), at: [rows, coordinates])
    }
    return gradient
  }

  /// RGE along `draw(k)`: k unit vectors for every point, `[N, k, d]`.
  func random(
    _ points: Tensor, _ base: Tensor, _ directions: Int, _ batchSize: Int, _ values: Function,
    draw: (Int) -> Tensor
  ) rethrows -> Tensor {
    let (count, dimension) = (points.size(0), points.size(1))
    let gradient = points.zerosLike()
    let perRound = max(1, batchSize / max(count, 1))
    for start in stride(from: 0, to: directions, by: perRound) {
      let k = min(perRound, directions - start)
      let moves = draw(k)
      let rows = Tensor.arange(to: Double(count), device: points.device).repeatInterleaved(k, 0)
      let slopes = try quotients(points, base, rows: rows, moves: moves.reshaped([-1, dimension]), values)
      gradient += (slopes.reshaped([count, k, 1]) * moves).sum([1])
    }
    let free = skipsDeadCoordinates ? (points .!= 0).to(points.dtype).sum([1], keepDimensions: true) : nil
    gradient *= 1 / Double(directions)
    return free.map { gradient * $0 } ?? gradient * Double(dimension)
  }

  /// Unit vectors, uniform on the sphere; of the coordinates that are not left out.
  private func normalDirections(_ points: Tensor, _ k: Int, _ generator: Generator) -> Tensor {
    var normal = Tensor.normal([points.size(0), k, points.size(1)], using: generator).to(points.dtype)
    if skipsDeadCoordinates { normal = normal * (points .!= 0).to(points.dtype).unsqueezed(1) }
    return normal / normal.norm(2, [2], keepDimensions: true).clamped(to: 1e-30...)
  }

  private func smoothed(
    _ points: Tensor, _ directions: Int, _ deviation: Double, _ batchSize: Int, _ generator: Generator,
    _ values: Function
  ) rethrows -> Tensor {
    let (count, dimension) = (points.size(0), points.size(1))
    let perRound = max(1, batchSize / max(count, 1))
    // Σ L ξ, Σ L and Σ ξ suffice: L_j - mean of the others = (q L_j - Σ L) / (q - 1).
    let (weighted, sum) = (points.zerosLike(), points.zerosLike())
    let total = Tensor.zeros([count, 1], dtype: points.dtype, device: points.device)
    for start in stride(from: 0, to: directions, by: perRound) {
      let k = min(perRound, directions - start)
      let noise = Tensor.normal([count, k, dimension], using: generator).to(points.dtype)
      let rows = Tensor.arange(to: Double(count), device: points.device).repeatInterleaved(k, 0)
      let moved = points.selecting(rows) + deviation * noise.reshaped([-1, dimension])
      let losses = try values(moved, rows, .perturbation).reshaped([count, k, 1])
      weighted += (losses * noise).sum([1])
      sum += noise.sum([1])
      total += losses.sum([1])
    }
    let q = Double(directions)
    return (q * weighted - total * sum) * (1 / (max(q - 1, 1) * q * deviation))
  }
}
