import QuenchSmoothing
import QuenchSupport
import Testing

/// Classes of made-up noisy copies: class 1 with a known probability, else class 0.
private struct KnownClassifier {
  let probability: Double
  var random: SplitMix

  struct SplitMix {
    var state: UInt64
    mutating func uniform() -> Double {
      state &+= 0x9E37_79B9_7F4A_7C15
      var z = state
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return Double((z ^ (z >> 31)) >> 11) * 0x1p-53
    }
  }

  mutating func labels(_ count: Int) -> [Int] { (0..<count).map { _ in random.uniform() < probability ? 1 : 0 } }
}

/// n₀ copies of class 3, then k of n.
private func certified(_ certify: Certify, _ k: Int, of n: Int) -> Certificate {
  certify { purpose, range in
    range.map { purpose == .selection || $0 < k ? 3 : 5 }
  }.certificate
}

@Suite("CERTIFY") struct CertifyTests {
  @Test(
    "The radius of k of n copies equals the reference's (sigma 0.25, alpha 0.001)",
    arguments: [
      (10, 10, 0.0007439894428), (99, 100, 0.3373147597), (100, 100, 0.3751187560), (950, 1000, 0.3599655053),
      (1000, 1000, 0.6158156537), (5200, 10000, 0.002821175298), (8526, 10000, 0.2500145743),
      (8525, 10000, 0.2499081699), (9500, 10000, 0.3949171522), (9818, 10000, 0.5001644496),
      (9990, 10000, 0.7046495751), (9997, 10000, 0.7525390366), (10000, 10000, 0.7996443787)
    ]) func radius(k: Int, n: Int, radius: Double) throws
  {
    let certificate = certified(try Certify(fixed: n, sigma: 0.25), k, of: n)
    #expect(certificate.label == 3)
    #expect(agrees(certificate.radius, radius))
  }

  @Test("The radius grows with the noise")
  func sigma() throws {
    #expect(agrees(try Certify(fixed: 10_000, sigma: 0.5).largestRadius, 1.5992887574))
    #expect(agrees(try Certify(fixed: 100_000, sigma: 0.25).largestRadius, 0.9528641408))
  }

  @Test("It abstains where a probability of one half is not shown")
  func abstains() throws {
    #expect(certified(try Certify(fixed: 10_000, sigma: 0.25), 5100, of: 10_000) == .abstained)
  }

  @Test("The class most often given is selected, the lowest of equally frequent ones; no answer is never selected")
  func selection() throws {
    let certify = try Certify(fixed: 100, sigma: 0.25, selection: 5)
    func selected(_ votes: [Int]) -> Int? {
      certify { purpose, range in range.map { purpose == .selection ? votes[$0] : 0 } }.selected
    }
    #expect(selected([2, 1, 2, 1, 0]) == 1)
    #expect(selected([-1, -1, -1, 4, -1]) == 4)
    #expect(selected([-1, -1, -1, -1, -1]) == nil)
  }

  @Test("A copy without an answer counts against the class")
  func missing() throws {
    let certify = try Certify(fixed: 100, sigma: 0.25, selection: 5)
    let attempt = certify { purpose, range in range.map { $0 == 7 && purpose == .estimation ? -1 : 1 } }
    #expect(attempt.successes == 99 && attempt.trials == 100)
  }

  @Test("The sequential form decides the same whatever number of copies it gets at once", arguments: [1, 7, 400])
  func chunks(chunk: Int) throws {
    let certify = try Certify(radii: [0, 0.25, 0.5], atMost: 2000, sigma: 0.25)
    for probability in [0.4, 0.7, 0.9, 0.99] {
      func attempt(_ chunk: Int) -> Certify.Attempt {
        // Copy i of the stream is the same in every run.
        certify(chunk: chunk) { purpose, range in
          range.map { index in
            var copy = KnownClassifier(
              probability: probability, random: .init(state: UInt64(index) * 2 + UInt64(purpose.rawValue)))
            return copy.labels(3)[2]
          }
        }
      }
      let (a, b) = (attempt(chunk), attempt(64))
      #expect(a.certificate == b.certificate && a.trials == b.trials && a.successes == b.successes)
    }
  }

  @Test(
    "Of 2,000 certificates at alpha 0.05 no more than the allowed share is wrong",
    arguments: [0.5, Threshold(radius: 1, sigma: 1).probability, 0.9], [false, true])
  func guarantee(probability: Double, isFixed: Bool) throws {
    // The radius that is true for this classifier; at one half or less none is.
    let truth = max(0, Normal.quantile(probability))
    let certify =
      try isFixed
      ? Certify(fixed: 400, sigma: 1, selection: 20, failureProbability: 0.05)
      : Certify(
        radii: [0, 0.5, 1, Normal.quantile(0.9), 1.5], atMost: 400, sigma: 1, selection: 20,
        failureProbability: 0.05)
    var classifier = KnownClassifier(probability: probability, random: .init(state: 20_261_124))
    var wrong = 0
    for _ in 0..<2000 {
      let attempt = certify { _, range in classifier.labels(range.count) }
      guard case .certified(let label, let radius) = attempt.certificate else { continue }
      let isTrue = label == 1 ? radius < truth + 1e-12 : probability < 0.5
      // A radius is claimed for every change below it: at the true radius itself the claim still holds.
      if !isTrue || label == 1 && probability <= 0.5 { wrong += 1 }
    }
    // Three standard errors above 0.05 · 2,000.
    #expect(wrong <= 129, "\(wrong) of 2,000")
  }

  @Test("A threshold that is exactly true is accepted no more often than alpha", arguments: [0.0, 1, 2])
  func size(ratio: Double) throws {
    let test = SequentialTest(
      threshold: Threshold(radius: ratio, sigma: 1), limit: 300, failureProbability: 0.05)
    var classifier = KnownClassifier(probability: test.threshold.probability, random: .init(state: 7))
    var accepted = 0
    for _ in 0..<4000 {
      var ladder = LadderTest([test])
      while !ladder.isDecided { ladder.add(success: classifier.labels(1)[0] == 1) }
      accepted += ladder.accepted
    }
    #expect(accepted <= 241, "\(accepted) of 4,000")  // three standard errors above 200
    #expect(accepted > 20)
  }

  @Test("Too few copies for alpha are refused before anything starts, with the number needed")
  func tooFew() throws {
    #expect {
      _ = try Certify(fixed: 9, sigma: 0.25)
    } throws: { error in
      "\(error)" == "n: so few noisy copies certify nothing at this error probability (expected at least 10, "
        + "found 9); raise it, or alpha"
    }
    _ = try Certify(fixed: 10, sigma: 0.25)
    #expect(throws: InputError.self) { _ = try Certify(radii: [0.5], atMost: 200, sigma: 0.25) }
    _ = try Certify(radii: [0.5], atMost: 400, sigma: 0.25)
  }

  @Test("Values out of range are refused by name", arguments: ["sigma", "n0", "alpha", "radii", "n"])
  func outOfRange(flag: String) {
    #expect {
      switch flag {
      case "sigma": _ = try Certify(fixed: 100, sigma: 0)
      case "n0": _ = try Certify(fixed: 100, sigma: 1, selection: 0)
      case "alpha": _ = try Certify(fixed: 100, sigma: 1, failureProbability: 1)
      case "n": _ = try Certify(fixed: 0, sigma: 1)
      default: _ = try Certify(radii: [0.5, 0.25], sigma: 1)
      }
    } throws: { error in
      (error as? InputError)?.location == flag
    }
  }
}

@Suite("PREDICT") struct PredictTests {
  @Test("It answers where the two-sided test is significant")
  func answers() {
    #expect(Predict()(counts: [33, 67]) == .label(1))
    #expect(Predict()(counts: [34, 66]) == .abstained)
    #expect(Predict()(counts: [553, 447, 0]) == .label(0))
    #expect(Predict()(counts: [552, 448, 0]) == .abstained)
  }

  @Test("Ten votes never suffice at alpha 0.001, eleven can")
  func fewVotes() {
    #expect(Predict()(counts: [0, 10]) == .abstained)
    #expect(Predict()(counts: [0, 11]) == .label(1))
  }
}
