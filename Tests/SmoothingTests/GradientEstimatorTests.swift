import Foundation
import QuenchTorch
import Testing

@testable import QuenchSmoothing

/// f(x) = ½ xᵀA x + bᵀx + 3, whose slope at `x` is (1, -6.5, 9.5) and value 17.75.
private enum Quadratic {
  static var a: Tensor { Tensor([2, 1, 0, 1, 3, -1, 0, -1, 4] as [Double], shape: [3, 3]) }
  static var b: Tensor { Tensor([1, -2, 0.5] as [Double]) }
  static var x: Tensor { Tensor([0.5, -1, 2] as [Double], shape: [1, 3]) }
  static let slope = [1, -6.5, 9.5]

  static func values(_ points: Tensor, _: Tensor, _: QueryLedger.Purpose) -> Tensor {
    (points.matmul(a) * points).sum([1]) * 0.5 + points.matmul(b.reshaped([3, 1])).reshaped([-1]) + 3
  }
}

private func isClose(_ tensor: Tensor, _ expected: [Double], relative: Double = 1e-9) -> Bool {
  zip(tensor.array(Double.self), expected).allSatisfy { abs($0 - $1) <= relative * max(1, abs($1)) }
}

@Suite("Zeroth-order gradients") struct GradientEstimatorTests {
  private let generator = Generator(seed: 3)

  @Test("Coordinatewise differences of a quadratic are exact but for the forward bias")
  func coordinatewise() {
    let forward = GradientEstimator(.coordinatewise, difference: .forward)(
      at: Quadratic.x, using: generator, Quadratic.values)
    #expect(isClose(forward.gradient, [1.005, -6.4925, 9.51]))
    #expect(isClose(forward.values, [17.75]) && forward.queries == 4)
    let antithetic = GradientEstimator()(at: Quadratic.x, using: generator, Quadratic.values)
    #expect(isClose(antithetic.gradient, Quadratic.slope) && antithetic.queries == 7)
  }

  @Test("Random directions give the reference's estimates")
  func random() {
    let unit = [[0.6, 0.8, 0], [0, 0.6, -0.8]]
    func estimate(_ directions: [[Double]], _ difference: GradientEstimator.Difference) -> Tensor {
      let estimator = GradientEstimator(.random(directions: directions.count), difference: difference)
      var left = directions[...]
      let draw = { Tensor(left.popFirst() ?? [], shape: [1, 3]) }
      return estimator.estimate(at: Quadratic.x, batchSize: 100, draw: draw) { probes, take in
        for probe in probes { take(Quadratic.values(probe.points, probe.rows, probe.purpose)) }
      }.gradient
    }
    #expect(isClose(estimate(unit, .forward), [-4.1319, -15.84885, 13.7862]))
    #expect(isClose(estimate([unit[0]], .forward), [-8.2638, -11.0184, 0]))
    #expect(isClose(estimate(unit, .antithetic), [-4.14, -15.87, 13.8]))
    #expect(isClose(estimate([[1, 0, 0], [0, 1, 0], [0, 0, 1]], .forward), [1.005, -6.4925, 9.51]))
  }

  @Test("Random directions are right on average, with the error that theory says")
  func statistics() {
    let draws = 20_000
    let points = Quadratic.x.expanded([draws, 3]).contiguous()
    let estimator = GradientEstimator(.random(directions: 1), skipsDeadCoordinates: false)
    let estimates = estimator(at: points, batchSize: 100_000, using: generator, Quadratic.values).gradient
    let error = (estimates.mean([0]) - Tensor(Quadratic.slope)).abs() / estimates.standardDeviation([0])
    #expect((error * Double(draws).squareRoot()).max([]).item() < 3)

    // E |ĝ - g|² = (d - 1) / q · |g|² for a linear function.
    let slope = Tensor.normal([1, 12], dtype: .float64, using: generator)
    let origins = Tensor.zeros([4000, 12], dtype: .float64)
    let linear = GradientEstimator(.random(directions: 4), skipsDeadCoordinates: false)(
      at: origins, batchSize: 100_000, using: generator
    ) { points, _, _ in (points * slope).sum([1]) }
    let squared = (linear.gradient - slope).square().sum([1]).mean().item() / slope.square().sum().item()
    #expect(abs(squared / (11.0 / 4) - 1) < 0.05)
  }

  @Test("Every point has its own directions and its own function")
  func rows() {
    let slopes = Tensor((0..<15).map(Double.init), shape: [5, 3])
    func function(_ points: Tensor, _ rows: Tensor, _: QueryLedger.Purpose) -> Tensor {
      (points * slopes.selecting(rows)).sum([1])
    }
    let points = Tensor.ones([5, 3], dtype: .float64)
    let exact = GradientEstimator()(at: points, batchSize: 4, using: generator, function).gradient
    #expect(exact.isClose(to: slopes, relative: 1e-9, absolute: 1e-9))
    let drawn = GradientEstimator(.random(directions: 3))(at: points, batchSize: 7, using: generator, function)
    #expect(!drawn.gradient[1].isClose(to: drawn.gradient[2]))
    #expect(drawn.queries == 5 * 7)
  }

  @Test("Queries are counted exactly, and batches stay within their size", arguments: [1, 3, 64])
  func queries(batchSize: Int) {
    let points = Tensor([0, 1, 2, 0, 0, 3] as [Double], shape: [2, 3])
    for (estimator, count) in [
      (GradientEstimator(), 2 + 2 * 3), (GradientEstimator(skipsDeadCoordinates: false), 2 * (1 + 2 * 3)),
      (GradientEstimator(difference: .forward), 2 + 3), (GradientEstimator(.random(directions: 5)), 2 * 11),
      (GradientEstimator(.random(directions: 5), difference: .forward), 2 * 6),
      (GradientEstimator(.smoothed(directions: 5, deviation: 1)), 2 * 6)
    ] {
      var (asked, base) = (0, 0)
      let estimate = estimator(at: points, batchSize: batchSize, using: generator) { points, rows, purpose in
        #expect(points.size(0) <= batchSize && rows.shape == [points.size(0)])
        asked += points.size(0)
        if purpose == .base { base += points.size(0) }
        return points.sum([1])
      }
      #expect(asked == count && estimate.queries == count && base == 2)
      #expect(count <= 2 * estimator.queries(dimension: 3))
    }
  }

  @Test("An estimate does not depend on how its queries are put together, nor on how many are on their way")
  func batches() {
    let points = Tensor([0.5, -1, 2, 3, 1, -2] as [Double], shape: [2, 3])
    for estimator in [
      GradientEstimator(), GradientEstimator(.random(directions: 5), difference: .forward),
      GradientEstimator(.random(directions: 5)), GradientEstimator(.smoothed(directions: 5, deviation: 1))
    ] {
      let estimates = [1, 3, 64].flatMap { batchSize -> [Tensor] in
        let one = estimator(at: points, batchSize: batchSize, using: Generator(seed: 3), Quadratic.values)
        let all = estimator(at: points, batchSize: batchSize, using: Generator(seed: 3)) { probes, take in
          for probe in Array(probes) { take(Quadratic.values(probe.points, probe.rows, probe.purpose)) }
        }
        return [one.gradient, all.gradient]
      }
      #expect(estimates.allSatisfy { $0.isClose(to: estimates[0], relative: 1e-9, absolute: 1e-9) })
    }
  }

  @Test("Differences that are exactly zero are counted")
  func zeros() {
    let points = Tensor([0.5, -1, 1.7] as [Double], shape: [1, 3])
    let rounded = GradientEstimator(smoothingStep: 0.01)(at: points, using: generator) { points, _, _ in
      points.sum([1]).rounded()
    }
    #expect(rounded.differences == (3, 3))
    #expect(GradientEstimator()(at: points, using: generator, Quadratic.values).differences == (3, 0))
  }

  @Test("Coordinates that a ReLU holds at zero cost nothing and change no parameter's gradient, bit for bit")
  func deadCoordinates() {
    let weight = Tensor([1, 2, -1, 0.5, 0, 3] as [Double], shape: [3, 2])
    let offset = Tensor([0, 0.5 - 1, 2] as [Double])
    func gradients(_ estimator: GradientEstimator) -> (slope: Tensor, parameters: Tensor) {
      let input = Tensor([0.5, 0] as [Double], shape: [1, 2]).requiringGrad()
      let code = (input.linear(weight) + offset).relu()
      let slope = estimator(at: code, using: generator, Quadratic.values).gradient
      let surrogate = (slope * code).sum()
      return (slope, grad(of: surrogate, withRespectTo: [input])[0])
    }
    let sparing = gradients(GradientEstimator())
    let whole = gradients(GradientEstimator(skipsDeadCoordinates: false))
    #expect(isClose(whole.slope, [2, -3.5, 8.5]) && isClose(sparing.slope, [2, 0, 8.5]))
    #expect(isClose(sparing.parameters, [2, 29.5]))
    #expect(sparing.parameters.isEqual(to: whole.parameters))
  }

  @Test("The scalar whose gradient is taken chains the slope through what lies before the code")
  func surrogate() {
    let weight = Tensor([1, 2, -1, 0.5, 0, 3] as [Double], shape: [3, 2])
    let input = Tensor([0.5, 0] as [Double], shape: [1, 2]).requiringGrad()
    let code = input.linear(weight) + Tensor([0, -0.5, 2] as [Double])
    let slope = GradientEstimator()(at: code, using: generator, Quadratic.values).gradient
    let surrogate = (slope * code).sum()
    #expect(abs(surrogate.item() - 26) < 1e-9)
    #expect(isClose(grad(of: surrogate, withRespectTo: [input])[0], [7.5, 27.25]))
  }

  @Test("Antithetic coordinatewise differences of a smooth network agree with its derivative to 1e-5")
  func smooth() {
    let first = Tensor.normal([8, 6], standardDeviation: 0.5, dtype: .float64, using: generator)
    let second = Tensor.normal([4, 8], standardDeviation: 0.5, dtype: .float64, using: generator)
    func loss(_ points: Tensor, _ rows: Tensor) -> Tensor {
      points.linear(first).tanh().linear(second).crossEntropy(rows, reduction: .none)
    }
    let points = Tensor.normal([4, 6], dtype: .float64, using: generator).requiringGrad()
    let exact = grad(of: loss(points, Tensor([0, 1, 2, 3])).sum(), withRespectTo: [points])[0]
    let estimate = GradientEstimator()(at: points, using: generator) { points, rows, _ in loss(points, rows) }
    #expect(((estimate.gradient - exact).norm().item() / exact.norm().item()) < 1e-5)
  }

  @Test("Smoothed right-or-wrong answers point where being wrong becomes more frequent")
  func smoothedLabels() {
    let points = Tensor.zeros([3, 4], dtype: .float64)
    let estimator = GradientEstimator(.smoothed(directions: 4000, deviation: 0.5))
    // Wrong where the first coordinate is positive: the slope of Φ(x/τ) at 0 is 1 / (τ √(2π)).
    let gradient = estimator(at: points, batchSize: 5000, using: generator) { points, _, _ in
      (points[TensorIndex.all, 0] .> 0).to(.float64)
    }.gradient
    for row in 0..<3 {
      #expect(abs(gradient[row, 0].item() - 0.7978845608) < 0.08)
      #expect(gradient[row, 1..<4].abs().max([]).item() < 0.08)
    }
  }
}
