import QuenchSmoothing
import Testing

/// Whether two values agree to 1e-9, or half a unit of the last of the ten digits that the reference has.
func agrees(_ value: Double, _ reference: Double, relative: Double = 1e-9, absolute: Double = 0.5001e-10) -> Bool {
  abs(value - reference) <= max(relative * abs(reference), absolute)
}

/// Reference values were computed with SciPy 1.17.
@Suite("Binomial bounds") struct BinomialTests {
  @Test(
    "The Clopper-Pearson lower bound equals SciPy's",
    arguments: [
      (1, 1, 0.05, 0.05), (1, 10, 0.05, 0.005116196892), (60, 100, 0.05, 0.5129758203),
      (10, 10, 0.001, 0.5011872336), (99, 100, 0.001, 0.9113731113), (100, 100, 0.001, 0.9332543008),
      (950, 1000, 0.001, 0.9250467801), (990, 1000, 0.001, 0.9760361872), (1000, 1000, 0.001, 0.9931160484),
      (5100, 10000, 0.001, 0.4944993067), (5200, 10000, 0.001, 0.5045018489), (8525, 10000, 0.001, 0.8412558489),
      (8526, 10000, 0.001, 0.8413588519), (9500, 10000, 0.001, 0.9429086109), (9818, 10000, 0.001, 0.9772853599),
      (9990, 10000, 0.001, 0.9975883080), (9997, 10000, 0.001, 0.9986944329), (9999, 10000, 0.001, 0.9990770387),
      (10000, 10000, 0.001, 0.9993094630), (84492, 100000, 0.001, 0.8413545580),
      (99000, 100000, 0.001, 0.9889893404), (99900, 100000, 0.001, 0.9986509924),
      (100000, 100000, 0.001, 0.9999309248), (0, 100, 0.001, 0)
    ]) func lowerBound(k: Int, n: Int, alpha: Double, bound: Double)
  {
    #expect(agrees(Binomial.lowerBound(successes: k, of: n, failureProbability: alpha), bound))
  }

  @Test(
    "The Clopper-Pearson upper bound equals SciPy's",
    arguments: [
      (0, 100, 0.0667456992), (50, 100, 0.6552019936), (500, 1000, 0.5492289460), (99, 100, 0.9999899950),
      (100, 100, 1)
    ]) func upperBound(k: Int, n: Int, bound: Double)
  {
    #expect(agrees(Binomial.upperBound(successes: k, of: n, failureProbability: 0.001), bound))
  }

  @Test(
    "The randomized bound equals SciPy's, and the plain one for w = 1",
    arguments: [
      (100, 100, 0.5, 0.9397455978), (100, 100, 0.1, 0.9549925860), (99, 100, 0.3, 0.9214895178),
      (950, 1000, 0.5, 0.9255816696)
    ]) func randomized(k: Int, n: Int, w: Double, bound: Double)
  {
    #expect(agrees(Binomial.randomizedLowerBound(successes: k, of: n, failureProbability: 0.001, w: w), bound))
    #expect(
      agrees(
        Binomial.randomizedLowerBound(successes: k, of: n, failureProbability: 0.001, w: 1),
        Binomial.lowerBound(successes: k, of: n, failureProbability: 0.001)))
  }

  @Test("The randomized bound's ends need no root")
  func randomizedEnds() {
    #expect(Binomial.randomizedLowerBound(successes: 0, of: 9, failureProbability: 0.1, w: 0.5) == 0)
    #expect(Binomial.randomizedLowerBound(successes: 9, of: 9, failureProbability: 0.1, w: 0.05) == 1)
  }

  @Test(
    "The normal quantile equals SciPy's",
    arguments: [
      (0.5, 0), (0.6, 0.2533471031), (0.75, 0.6744897502), (0.8, 0.8416212336), (0.9, 1.281551566),
      (0.95, 1.644853627), (0.975, 1.959963985), (0.99, 2.326347874), (0.999, 3.090232306), (0.9999, 3.719016485),
      (0.99999, 4.264890794), (1e-10, -6.361340902)
    ]) func normalQuantile(p: Double, quantile: Double)
  {
    #expect(agrees(Normal.quantile(p), quantile, absolute: 0.5001e-9))
  }

  @Test("The normal distribution equals SciPy's and keeps its tails")
  func normalCDF() {
    #expect(agrees(Normal.cdf(1), 0.8413447461))
    #expect(agrees(Normal.cdf(2), 0.9772498681))
    #expect(agrees(Normal.cdf(3), 0.9986501020))
    #expect(abs(Normal.cdf(-10) / 7.61985302416e-24 - 1) < 1e-9)
    #expect(Normal.quantile(0) == -.infinity && Normal.quantile(1) == .infinity)
  }

  @Test(
    "The two-sided test's p-values equal SciPy's",
    arguments: [
      (60, 40, 0.05688793364), (65, 35, 0.003517641723), (66, 34, 0.001789930391), (67, 33, 0.0008737198368),
      (552, 448, 0.001115049179), (553, 447, 0.0008899859648), (10, 0, 0.001953125), (11, 0, 0.0009765625),
      (7, 3, 0.34375), (5, 5, 1)
    ]) func twoSidedTest(a: Int, b: Int, p: Double)
  {
    #expect(agrees(Binomial.twoSidedTest(a, b), p))
    #expect(Binomial.twoSidedTest(a, b) == Binomial.twoSidedTest(b, a))
  }

  @Test(
    "The least count that certifies a radius equals SciPy's",
    arguments: [
      (100, [95, nil, nil]), (1_000, [877, 991, nil]), (10_000, [8526, 9818, 9997]),
      (100_000, [84492, 97870, 99900])
    ] as [(Int, [Int?])]) func criticalCounts(n: Int, counts: [Int?])
  {
    let found = [1.0, 2, 3].map {
      Binomial.criticalCount(of: n, failing: Normal.cdf(-$0), failureProbability: 0.001)
    }
    #expect(found == counts)
  }

  @Test(
    "So many copies that all agree are needed for a radius", arguments: [(0.0, 10), (1, 40), (2, 301), (3, 5114)])
  func fewest(ratio: Double, n: Int) {
    let q = Normal.cdf(-ratio)
    #expect(Binomial.criticalCount(of: n, failing: q, failureProbability: 0.001) == n)
    #expect(Binomial.criticalCount(of: n - 1, failing: q, failureProbability: 0.001) == nil)
  }

  /// P[bound ≤ p], summed over all outcomes.
  private func coverage(_ n: Int, _ p: Double, _ covers: (Int) -> Double) -> Double {
    (0...n).reduce(0) { sum, k in
      let probability =
        Binomial.upperTail(k, of: n, probability: p) - Binomial.upperTail(k + 1, of: n, probability: p)
      return sum + probability * covers(k)
    }
  }

  @Test("Clopper and Pearson's bound covers at least as often as it says", arguments: [1, 2, 5, 10, 25, 50])
  func coverageOfClopperPearson(n: Int) {
    for p in stride(from: 0.02, to: 1, by: 0.07) {
      let covered = coverage(n, p) { k in
        Binomial.lowerBound(successes: k, of: n, failureProbability: 0.05) <= p ? 1 : 0
      }
      #expect(covered >= 0.95 - 1e-12)
    }
  }

  @Test("The randomized bound covers exactly as often as it says", arguments: [3, 10, 50])
  func coverageOfRandomized(n: Int) {
    for p in stride(from: 0.05, to: 1, by: 0.15) {
      let covered = coverage(n, p) { k in
        // It covers for w from where P[X > k] + w P[X = k] = α on.
        let above = Binomial.upperTail(k + 1, of: n, probability: p)
        let at = Binomial.upperTail(k, of: n, probability: p) - above
        let edge = min(max((0.05 - above) / at, 0), 1)
        for w in [edge - 1e-6, edge + 1e-6] where (0...1).contains(w) {
          let bound = Binomial.randomizedLowerBound(successes: k, of: n, failureProbability: 0.05, w: w)
          #expect((bound <= p) == (w > edge))
        }
        return 1 - edge
      }
      #expect(abs(covered - 0.95) < 1e-9)
    }
  }
}
