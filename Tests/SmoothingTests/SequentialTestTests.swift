import Testing

@testable import QuenchSmoothing

/// Reference values were computed with SciPy 1.17; α = 0.001 where nothing else is said.
@Suite("Sequential tests") struct SequentialTestTests {
  private static let phi = [0.5] + [1.0, 2, 3].map { Threshold(radius: $0, sigma: 1).probability }

  @Test(
    "The KT bet's wealth equals SciPy's",
    arguments: [
      (1, 1, 0.5, 0), (2, 2, 0.5, 0.4054651081), (10, 10, 0.5, 5.1953195090), (9, 10, 0.5, 2.2508805298),
      (3, 4, 0.5, -0.4700036292), (50, 100, 0.5, -2.5308764040), (95, 100, 0.9, -0.8673123797),
      (950, 1000, 0.9, 13.0258716798), (9900, 10000, 0.98, 26.3623686928)
    ]) func wealth(h: Int, t: Int, p: Double, value: Double)
  {
    #expect(agrees(ConfidenceSequence.logWealth(successes: h, of: t, against: p), value))
  }

  @Test(
    "The truncated mixture's evidence equals SciPy's",
    arguments: [
      (1, 1, 0.5, 0.4926330004), (2, 2, 0.5, 1.0200161476), (10, 10, 0.5, 5.8883052164), (9, 10, 0.5, 2.9403309956),
      (95, 100, 0.9, 0.6796512424), (950, 1000, 0.9, 14.6114330904), (9900, 10000, 0.98, 28.7666048500)
    ]) func evidence(h: Int, t: Int, p: Double, value: Double)
  {
    #expect(agrees(ConfidenceSequence.logEvidence(successes: h, of: t, above: Threshold(p)), value))
  }

  @Test(
    "The KT interval's ends equal SciPy's",
    arguments: [
      (10, 10, 0.4213081533, 1), (50, 50, 0.8279747389, 1), (100, 100, 0.9067943844, 1),
      (95, 100, 0.7994520091, 0.9969783433), (50, 100, 0.2926203595, 0.7073796405),
      (950, 1000, 0.9118456339, 0.9755790968), (9900, 10000, 0.9843866433, 0.9940843865)
    ]) func interval(h: Int, t: Int, low: Double, high: Double)
  {
    let interval = ConfidenceSequence.interval(successes: h, of: t, failureProbability: 0.001)
    #expect(agrees(interval.lowerBound, low) && agrees(interval.upperBound, high), "\(interval)")
  }

  @Test(
    "The truncated mixture's lower end equals SciPy's",
    arguments: [
      (50, 50, 0.8511022071), (100, 100, 0.9224980189), (95, 100, 0.8131101467), (950, 1000, 0.9154767224),
      (9900, 10000, 0.9851173239)
    ]) func lowerEnd(h: Int, t: Int, low: Double)
  {
    #expect(agrees(ConfidenceSequence.lowerBound(successes: h, of: t, failureProbability: 0.001), low))
  }

  @Test(
    "A look of the union bound equals SciPy's",
    arguments: [
      (16, 16, 0.5250249250), (64, 64, 0.8429650369), (128, 128, 0.9163303894), (1000, 1024, 0.9491890987),
      (8000, 8192, 0.9682961154)
    ]) func unionBound(h: Int, t: Int, low: Double)
  {
    #expect(agrees(ConfidenceSequence.unionLowerBound(successes: h, of: t, failureProbability: 0.001), low))
  }

  private func leastAccepting(_ t: Int, _ p: Double, _ logValue: (Int, Double) -> Double) -> Int? {
    (Int(Double(t) * p)...t).first { logValue($0, p) >= 6.907755279 }
  }

  @Test("The least numbers of successes that reject equal SciPy's")
  func leastSuccesses() {
    let times = [100, 200, 500, 1000, 2000, 5000, 10000]
    let mixture = times.map { t in
      leastAccepting(t, Self.phi[1]) { h, _ in
        ConfidenceSequence.logEvidence(successes: h, of: t, above: Threshold(radius: 1, sigma: 1))
      }
    }
    #expect(mixture == [97, 188, 453, 889, 1752, 4321, 8578])
    let bet = times.map { t in
      leastAccepting(t, Self.phi[1]) { ConfidenceSequence.logWealth(successes: $0, of: t, against: $1) }
    }
    #expect(bet == [98, 189, 456, 892, 1757, 4328, 8588])
    let single = times.map { Binomial.criticalCount(of: $0, failing: 1 - Self.phi[1], failureProbability: 0.001) }
    #expect(single == [95, 184, 446, 877, 1733, 4287, 8526])
  }

  @Test("Higher thresholds reject where SciPy's do")
  func higherThresholds() {
    let times = [500, 1000, 2000, 5000, 10000]
    let two = times.map { t in
      leastAccepting(t, Self.phi[2]) { h, _ in
        ConfidenceSequence.logEvidence(successes: h, of: t, above: Threshold(radius: 2, sigma: 1))
      }
    }
    #expect(two == [499, 994, 1980, 4929, 9835])
    let bet = times.map { t in
      leastAccepting(t, Self.phi[2]) { ConfidenceSequence.logWealth(successes: $0, of: t, against: $1) }
    }
    #expect(bet == [500, 996, 1982, 4933, 9841])
    let three = Threshold(radius: 3, sigma: 1)
    #expect(
      leastAccepting(10000, three.probability) { h, _ in
        ConfidenceSequence.logEvidence(successes: h, of: 10000, above: three)
      } == 9999)
    #expect(
      leastAccepting(10000, three.probability) {
        ConfidenceSequence.logWealth(successes: $0, of: 10000, against: $1)
      }
        == 10000)
  }

  /// The hybrid tests at α = 0.001 and N = 10,000 for radii of 0, 1, 2 and 3 standard deviations.
  private static let hybrid = [0.0, 1, 2, 3].map {
    SequentialTest(threshold: Threshold(radius: $0, sigma: 1), limit: 10_000, failureProbability: 0.001)
  }

  @Test("A run of successes alone is accepted after as many trials as the reference says")
  func allSuccesses() {
    let runs = Self.hybrid.map { test in (1...10_000).first { Int(test.accept[$0]) <= $0 } }
    #expect(runs == [16, 61, 457, 7779])
    func run(_ logValue: (Int) -> Double) -> Int? { (1...10_000).first { logValue($0) >= 6.907755279 } }
    let thresholds = [0.0, 1, 2, 3].map { Threshold(radius: $0, sigma: 1) }
    let mixture = thresholds.map { p in
      run { ConfidenceSequence.logEvidence(successes: $0, of: $0, above: p) }
    }
    #expect(mixture == [12, 47, 351, 5977])
    let bet = thresholds.map { p in
      run { ConfidenceSequence.logWealth(successes: $0, of: $0, against: p.probability) }
    }
    #expect(bet == [13, 55, 459, 8904])
  }

  @Test("The hybrid test's bounds equal the reference's")
  func hybridTables() {
    #expect([500, 1000, 5000].map { Self.hybrid[1].accept[$0] } == [457, 895, 4333])
    #expect([1000, 5000].map { Self.hybrid[2].accept[$0] } == [996, 4933])
    #expect(Self.hybrid[2].accept[500] == 500)
    #expect(Self.hybrid.map { $0.accept[10_000] } == [5157, 8527, 9819, 9997])
    let futile = Self.hybrid.map { test in [10, 50, 100, 500, 1000, 5000].map { Int(test.futile[$0]) } }
    #expect(futile[0] == [0, 12, 32, 207, 438, 2355])
    #expect(futile[1] == [3, 31, 69, 387, 793, 4096])
    #expect(futile[2] == [6, 43, 90, 473, 955, 4838])
    // At three standard deviations only three failures are allowed in all, which no path may exceed.
    #expect(futile[3] == [8, 47, 96, 496, 996, 4996])
  }

  @Test("Every bound moves by at most one a trial, and every path is decided at the last")
  func shape() {
    for test in Self.hybrid {
      for t in 1...test.limit {
        #expect((0...1).contains(test.accept[t] - test.accept[t - 1]) || t == test.limit)
        #expect(test.futile[t] < test.accept[t])
      }
      #expect(test.futile[test.limit] == test.accept[test.limit] - 1)
    }
  }

  @Test("The group-sequential test's boundaries, size and power equal the reference's")
  func groupSequential() {
    let small = GroupSequentialTest(
      looks: [5, 10, 20], threshold: Threshold(0.6), failureProbability: 0.05, exponent: 1)
    #expect(small.boundaries == [nil, 10, 17])
    #expect(agrees(small.size, 0.01969627578))
    #expect(agrees(small.power(at: 0.9), 0.8715080864))
  }

  @Test(
    "Its boundaries for a radius of one standard deviation equal the reference's",
    arguments: [
      (0.5, [nil, 97, 187, 363, 710, 1399, 2765, 5485, 8539]), (1, [nil, 98, 189, 365, 713, 1400, 2765, 5483, 8534])
    ] as [(Double, [Int?])]) func longGroupSequential(exponent: Double, boundaries: [Int?])
  {
    let looks = [50, 100, 200, 400, 800, 1600, 3200, 6400, 10000]
    let test = GroupSequentialTest(
      looks: looks, threshold: Threshold(radius: 1, sigma: 1), failureProbability: 0.001, exponent: exponent)
    #expect(test.boundaries == boundaries)
    #expect(test.size <= 0.001)
  }

  @Test("A rung is decided by the first crossing on the path, whatever happens after")
  func firstCrossing() {
    let rungs = [0.0, 1].map {
      SequentialTest(threshold: Threshold(radius: $0, sigma: 1), limit: 200, failureProbability: 0.01)
    }
    var ladder = LadderTest(rungs)
    for _ in 0..<20 { ladder.add(success: true) }
    #expect(ladder.accepted == 1 && !ladder.isDecided)
    for _ in 0..<60 { ladder.add(success: false) }
    #expect(ladder.accepted == 1 && ladder.isDecided)
    // Even an unbroken run of successes does not bring the upper rung back.
    for _ in 0..<110 { ladder.add(success: true) }
    #expect(ladder.accepted == 1)
  }

  @Test("A ladder is not decided before as many trials as it says, and a single rung at once after them")
  func fewestTrials() {
    for radii in [[0.0], [1], [0, 0.5, 1]] {
      let rungs = radii.map {
        SequentialTest(threshold: Threshold(radius: $0, sigma: 1), limit: 120, failureProbability: 0.01)
      }
      for share in [0, 0.4, 0.6, 0.8, 0.95, 1] {
        var ladder = LadderTest(rungs)
        for trial in 1... {
          let fewest = ladder.fewestTrials
          #expect((fewest == 0) == ladder.isDecided)
          guard fewest > 0 else { break }
          let runs = [true, false].map { success in
            var other = ladder
            for _ in 1..<fewest { other.add(success: success) }
            #expect(!other.isDecided)
            other.add(success: success)
            return other.isDecided
          }
          #expect(radii.count > 1 || runs.contains(true))
          ladder.add(success: Int(Double(trial) * share) > Int(Double(trial - 1) * share))
        }
      }
    }
  }
}
