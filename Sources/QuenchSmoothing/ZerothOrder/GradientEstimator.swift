import QuenchTorch
import QuenchVision

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
  /// Whether it takes differences over ``smoothingStep``.
  public var isOfDifferences: Bool { if case .smoothed = method { false } else { true } }
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

  /// Points `[M, d]`, of which the i-th is a matter of the function of the batch's point `rows[i]`, int64. The purpose is
  /// ``QueryLedger/Purpose/base`` for the points of the batch themselves, which come first, and
  /// ``QueryLedger/Purpose/perturbation`` for those round them.
  public struct Probe {
    public let points: Tensor
    public let rows: Tensor
    public let purpose: QueryLedger.Purpose
  }

  /// The function, asked for a stream of probes: hands the values `[M]` of each to `take`, in their order, and may take
  /// further probes before it does.
  public typealias Stream = (_ probes: AnyIterator<Probe>, _ take: (Tensor) -> Void) throws -> Void

  /// The function, asked for one probe after the other.
  public typealias Function = (_ points: Tensor, _ rows: Tensor, _ purpose: QueryLedger.Purpose) throws -> Tensor

  public struct Estimate {
    /// `[N, d]`.
    public let gradient: Tensor
    /// The values at the points themselves, `[N]`.
    public let values: Tensor
    /// How many values were asked for.
    public let queries: Int
    /// How many differences were taken, and how many of them were exactly 0: where that is no accident, the step is too
    /// short for the function's resolution.
    public let differences: (all: Int, zero: Int)
  }

  /// - Parameters:
  ///   - points: `[N, d]`.
  ///   - batchSize: The most points in a probe; memory does not grow with the number of directions.
  ///   - part: Of the whole batch, for which directions are drawn; nil: the points are all of it.
  ///   - generator: Draws the directions.
  ///   - function: What is differentiated.
  public func callAsFunction(
    at points: Tensor, batchSize: Int = 512, part: BatchPart? = nil, using generator: Generator,
    stream function: Stream
  ) rethrows -> Estimate {
    try estimate(at: points, batchSize: batchSize, draw: { direction(at: points, of: part, generator) }, function)
  }

  /// As above, one probe after the other.
  public func callAsFunction(
    at points: Tensor, batchSize: Int = 512, using generator: Generator, _ function: Function
  ) rethrows -> Estimate {
    try self(at: points, batchSize: batchSize, using: generator) { probes, take in
      for probe in probes { take(try function(probe.points, probe.rows, probe.purpose)) }
    }
  }

  /// The estimate along `draw`'s directions, `[N, d]` each: unit vectors, or for ``Method/smoothed`` noise.
  func estimate(
    at points: Tensor, batchSize: Int, draw: @escaping () -> Tensor, _ function: Stream
  ) rethrows -> Estimate {
    try withoutGradient {
      let estimation = GradientEstimation(self, at: points.detached(), batchSize: batchSize, draw: draw)
      defer { estimation.end() }
      try function(estimation.probes) { estimation.take($0) }
      return estimation.estimate
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

  /// Unit vectors, uniform on the sphere of the coordinates that are not left out; for ``Method/smoothed`` normal ones.
  func direction(at points: Tensor, of part: BatchPart? = nil, _ generator: Generator) -> Tensor {
    let part = part ?? BatchPart(0..<points.size(0), of: points.size(0))
    let whole = Tensor.normal([part.count] + points.shape.dropFirst(), using: generator)
    var normal = whole[part.rows].to(points.dtype)
    if case .smoothed = method { return normal }
    if skipsDeadCoordinates { normal = normal * (points .!= 0).to(points.dtype) }
    return normal / normal.norm(2, [1], keepDimensions: true).clamped(to: 1e-30...)
  }
}
