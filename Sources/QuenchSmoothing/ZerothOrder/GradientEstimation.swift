import QuenchTorch

/// An estimate in the making: what is to be asked, in rounds, and what each round's values add to the gradient.
final class GradientEstimation {
  typealias Probe = GradientEstimator.Probe

  /// Points that are asked for together, and what is done with their values.
  private struct Round {
    let points: Tensor
    let rows: Tensor
    var purpose = QueryLedger.Purpose.perturbation
    let take: (Tensor) -> Void
  }

  private let estimator: GradientEstimator
  private let points: Tensor
  private let batchSize: Int
  private let draw: () -> Tensor
  private let gradient: Tensor
  private var base = Tensor.zeros([0])
  private var queries = 0
  private var differences = (all: 0, zero: 0)
  /// Turns what the rounds added up into the gradient.
  private var finish: () -> Tensor
  /// Rounds whose values are not all there, with those that are.
  private var open: [(round: Round, missing: Int, values: [Tensor])] = []

  /// - Parameters:
  ///   - estimator: How.
  ///   - points: `[N, d]`, detached.
  ///   - batchSize: The most points in a probe.
  ///   - draw: The next direction of every point, `[N, d]`.
  init(_ estimator: GradientEstimator, at points: Tensor, batchSize: Int, draw: @escaping () -> Tensor) {
    self.estimator = estimator
    self.points = points
    self.batchSize = batchSize
    self.draw = draw
    gradient = points.zerosLike()
    let gradient = gradient
    finish = { gradient }
  }

  var estimate: GradientEstimator.Estimate {
    .init(gradient: finish(), values: base, queries: queries, differences: differences)
  }

  /// What is to be asked, each probe made when it is taken.
  var probes: AnyIterator<Probe> {
    let all = Tensor.arange(to: Double(points.size(0)), device: points.device)
    var first: Round? = Round(points: points, rows: all, purpose: .base) { self.base = $0 }
    let rounds =
      switch estimator.method {
      case .coordinatewise: coordinatewise()
      case .random(let directions): random(directions)
      case .smoothed(let directions, let deviation): smoothed(directions, deviation)
      }
    var pieces: [Probe] = []
    return AnyIterator {
      if pieces.isEmpty {
        guard let round = first ?? rounds.next() else { return nil }
        first = nil
        pieces = zip(round.points.split(self.batchSize), round.rows.split(self.batchSize)).map {
          Probe(points: $0, rows: $1, purpose: round.purpose)
        }
        self.open.append((round, pieces.count, []))
      }
      let probe = pieces.removeFirst()
      self.queries += probe.rows.count
      return probe
    }
  }

  /// Takes the values of the oldest probe that has none.
  func take(_ values: Tensor) {
    open[0].values.append(values.to(points.dtype))
    open[0].missing -= 1
    guard open[0].missing == 0 else { return }
    let (round, _, values) = open.removeFirst()
    round.take(Tensor.concatenated(values))
  }

  /// Forgets rounds that a failure left open.
  func end() { open = [] }

  // MARK: - Rounds

  /// Points moved by `moves`, `[M, d]`, of length 1, and what is done with their difference quotients.
  private func round(rows: Tensor, moves: Tensor, take: @escaping (_ quotients: Tensor) -> Void) -> Round {
    let (origins, step, count) = (points.selecting(rows), estimator.smoothingStep, rows.count)
    let ahead = origins + step * moves
    let isForward = estimator.difference == .forward
    return Round(
      points: isForward ? ahead : Tensor.concatenated([ahead, origins - step * moves]),
      rows: isForward ? rows : Tensor.concatenated([rows, rows])
    ) { values in
      let other = isForward ? self.base.selecting(rows) : values[count..<2 * count]
      let difference = values[0..<count] - other
      self.differences.all += count
      self.differences.zero += count - difference.nonzeroCount()
      take(difference / (isForward ? step : 2 * step))
    }
  }

  private var sides: Int { estimator.difference == .forward ? 1 : 2 }

  private func coordinatewise() -> AnyIterator<Round> {
    let isAsked = estimator.skipsDeadCoordinates ? points .!= 0 : points.onesLike() .!= 0
    var places = isAsked.nonzero().split(max(1, batchSize / sides)).filter { $0.size(0) > 0 }[...]
    return AnyIterator {
      places.popFirst().map { places in
        let (rows, coordinates) = (places[TensorIndex.all, 0], places[TensorIndex.all, 1])
        let moves = coordinates.oneHot(classes: self.points.size(1)).to(self.points.dtype)
        return self.round(rows: rows, moves: moves) { self.gradient.put($0, at: [rows, coordinates]) }
      }
    }
  }

  /// RGE: (d/q) Σ u (ℓ(z + μu) - ℓ(z)) / μ, with the d coordinates that are not left out.
  private func random(_ directions: Int) -> AnyIterator<Round> {
    let (points, gradient) = (points, gradient)
    let free =
      estimator.skipsDeadCoordinates
      ? (points .!= 0).to(points.dtype).sum([1], keepDimensions: true)
      : Tensor.full([points.size(0), 1], Double(points.size(1)), dtype: points.dtype, device: points.device)
    finish = { gradient * free * (1 / Double(directions)) }
    return draws(directions, queries: sides) { moves, rows in
      self.round(rows: rows, moves: moves.reshaped([-1, points.size(1)])) { quotients in
        gradient += (quotients.reshaped([points.size(0), -1, 1]) * moves).sum([1])
      }
    }
  }

  private func smoothed(_ directions: Int, _ deviation: Double) -> AnyIterator<Round> {
    let points = points
    // Σ L ξ, Σ L and Σ ξ suffice: L_j - mean of the others = (q L_j - Σ L) / (q - 1).
    let (weighted, sum) = (points.zerosLike(), points.zerosLike())
    let total = Tensor.zeros([points.size(0), 1], dtype: points.dtype, device: points.device)
    let q = Double(directions)
    finish = { (q * weighted - total * sum) * (1 / (max(q - 1, 1) * q * deviation)) }
    return draws(directions, queries: 1) { noise, rows in
      let moved = points.selecting(rows) + deviation * noise.reshaped([-1, points.size(1)])
      return Round(points: moved, rows: rows) { values in
        let losses = values.reshaped([points.size(0), -1, 1])
        weighted += (losses * noise).sum([1])
        sum += noise.sum([1])
        total += losses.sum([1])
      }
    }
  }

  /// Rounds of as many directions as a probe holds, `[N, k, d]`, with the points that they belong to. Directions are
  /// drawn one by one: how they are put together changes none.
  private func draws(
    _ directions: Int, queries: Int, _ round: @escaping (_ directions: Tensor, _ rows: Tensor) -> Round
  ) -> AnyIterator<Round> {
    let count = points.size(0)
    let most = max(1, batchSize / max(count * queries, 1))
    let all = Tensor.arange(to: Double(count), device: points.device)
    var left = directions
    return AnyIterator {
      guard left > 0 else { return nil }
      let k = min(most, left)
      left -= k
      return round(Tensor.stacked((0..<k).map { _ in self.draw() }, 1), all.repeatInterleaved(k, 0))
    }
  }
}
