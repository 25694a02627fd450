import CryoFixtures
import Foundation
import QuenchSupport
import Testing

@testable import QuenchCryoEM

@Suite("A belief") struct BeliefTests {
  static func survey() throws -> Survey { try PlannerTests.random(11, grids: 2) }

  @Test("without outcomes is the prediction, drawn to one half by its doubt") func prior() throws {
    let survey = try Self.survey()
    let logits = survey.holes.indices.map { Double($0) - 4 }
    let sure = Belief(survey, logits: logits, variances: EffectVariances(patch: 0, square: 0, tile: 0))
    let unsure = Belief(
      survey, logits: logits, variances: EffectVariances(patch: 1, square: 0.5, tile: 0.25, grid: 0.25))
    for (hole, logit) in logits.enumerated() {
      #expect(abs(sure.probability(hole) - 1 / (1 + exp(-logit))) < 1e-12)
      #expect(abs(unsure.probability(hole) - 1 / (1 + exp(-logit / (1 + Double.pi / 4).squareRoot()))) < 1e-12)
    }
    #expect(sure.probabilities() == survey.holes.indices.map(sure.probability))
  }

  @Test("lies at the mode: each effect is its variance times the residuals below it", arguments: 0..<4)
  func mode(_ seed: Int) throws {
    let survey = try PlannerTests.random(UInt64(seed), grids: 2)
    var generator = SplitMix64(UInt64(seed), 7)
    let logits = survey.holes.map { _ in Double.random(in: -2...2, using: &generator) }
    let variances = EffectVariances(patch: 0.7, square: 0.3, tile: 0.5, grid: 0.2)
    var belief = Belief(survey, logits: logits, variances: variances)
    let outcomes = survey.holes.indices.dropLast(2).map { (hole: $0, isGood: Bool.random(using: &generator)) }
    belief.observe(outcomes)
    // The sum of effects at a patch, rebuilt from the residuals that the mode implies.
    func residuals(_ level: Survey.Level, _ region: Int) -> Double {
      outcomes.filter { survey.region(of: $0.hole, level) == region }.reduce(0) { sum, outcome in
        let eta = logits[outcome.hole] + belief.effect(ofPatch: survey.region(of: outcome.hole, .patch)).mean
        return sum + (outcome.isGood ? 1 : 0) - 1 / (1 + exp(-eta))
      }
    }
    for (patch, region) in survey.patches.enumerated() {
      let hole = region.holes.lowerBound
      let expected = Survey.Level.allCases.reduce(0) { sum, level in
        sum + variances[level] * residuals(level, survey.region(of: hole, level))
      }
      #expect(abs(belief.effect(ofPatch: patch).mean - expected) < 1e-5)
    }
  }

  @Test("knows how sure it is: one patch's variance is that of a Gaussian") func variance() throws {
    let survey = try Survey(leginon: "a_1gr_1sq_1hl_1en", "a_1gr_1sq_1hl_2en", "a_1gr_1sq_2hl_1en")
    var belief = Belief(
      survey, logits: [0.3, -0.2, 0], variances: EffectVariances(patch: 0.8, square: 0.5, tile: 0))
    belief.observe([(0, true), (1, false)])
    // Exact inverse of the curvature in (patch 0, square).
    let (mean, variance) = belief.effect(ofPatch: 0)
    let weight = [0.3, -0.2].reduce(0) { sum, logit in
      let p = 1 / (1 + exp(-(logit + mean)))
      return sum + p * (1 - p)
    }
    let (a, b) = (1 / 0.8 + weight, 1 / 0.5 + weight)
    let determinant = a * b - weight * weight
    #expect(abs(variance - (a + b - 2 * weight) / determinant) < 1e-6)
    #expect(abs(belief.effect(ofPatch: 1).variance - (0.8 + a / determinant)) < 1e-6)
  }

  @Test("learns the variances that made the outcomes") func variances() throws {
    var generator = SplitMix64(5)
    func normal(_ variance: Double) -> Double {
      (-2 * variance * log(Double.random(in: 1e-12..<1, using: &generator))).squareRoot()
        * cos(2 * .pi * Double.random(in: 0..<1, using: &generator))
    }
    var entries: [Survey.Entry] = []
    for tile in 0..<30 {
      let tileEffect = normal(0.5)
      for square in 0..<3 {
        let squareEffect = tileEffect + normal(0.3)
        for patch in 0..<4 {
          let effect = squareEffect + normal(0.8)
          for hole in 0..<10 {
            let isGood = Double.random(in: 0..<1, using: &generator) < 1 / (1 + exp(-effect - 0.4))
            entries.append(
              Survey.Entry(
                name: "\(tile) \(square) \(patch) \(hole)", patch: "\(patch)", square: "\(square)", tile: "\(tile)",
                fit: .resolution(isGood ? 4 : 9)))
          }
        }
      }
    }
    let survey = try Survey(entries, from: "made up")
    let (found, shift) = Belief.fit(
      survey, logits: Array(repeating: 0, count: survey.count), threshold: 6, fitsIntercept: true, iterations: 25)
    #expect((0.55...1.05).contains(found.patch) && (0.1...0.5).contains(found.square))
    #expect((0.25...0.85).contains(found.tile) && abs(shift - 0.4) < 0.3)
  }

  @Test("of several hypotheses trusts the one that foretells") func hypotheses() throws {
    var entries: [Survey.Entry] = []
    for hole in 0..<40 {
      var entry = Survey.Entry(
        name: "\(hole)", patch: "\(hole / 4)", square: "S", tile: "T", fit: .resolution(hole % 2 == 0 ? 3 : 9))
      entry.prediction = .resolution(hole % 2 == 0 ? 9 : 3)
      entries.append(entry)
    }
    let survey = try Survey(entries, from: "misled")
    let planner = ClosedLoopPlanner(assumingThreshold: 6)
    var belief = MixedBelief(survey.withoutMeasurements, hypotheses: planner.hypotheses)
    #expect(abs(belief.weights[0] - 0.7) < 1e-9)
    let environment = try Environment(survey, rules: AcquisitionRules(budget: 1e4))
    var episode = environment.start(at: 0)
    for hole in 1..<12 { episode.visit(hole) }
    belief.update(episode.acquisition)
    #expect(belief.weights[1] > 0.95)
  }
}

@Suite("A calibration") struct CalibrationTests {
  @Test("by steps falls with the prediction and pools what does not") func isotonic() throws {
    var entries: [Survey.Entry] = []
    for (index, isGood) in [true, true, true, false, true, true, false, false, true, false, false, false]
      .enumerated()
    {
      var entry = Survey.Entry(
        name: "\(index)", patch: "P", square: "S", tile: "T", fit: .resolution(isGood ? 4 : 9))
      entry.prediction = .resolution(Double(index + 2))
      entries.append(entry)
    }
    let survey = try Survey(entries, from: "steps")
    let fit = try IsotonicCalibration(fitting: survey, threshold: 6)
    // Blocks: 3 of 3 good, 2 of 3, 1 of 3, 0 of 3; each with one good and one bad hole added.
    #expect(fit.steps.map(\.rank) == [4, 7, 10, 13])
    #expect(fit.steps.map(\.probability) == [0.8, 0.6, 0.4, 0.2])
    #expect([1.0, 4, 4.1, 10, 99].map { fit.probability(.resolution($0)) } == [0.8, 0.8, 0.6, 0.4, 0.2])
  }

  @Test("needs outcomes of both kinds") func tooLittle() throws {
    let survey = try HandGrid.survey()
    let error = inputError { try LogisticCalibration(fitting: survey, threshold: 1) }
    #expect(error?.problem == "the training survey cannot calibrate predictions")
    #expect(inputError { try CalibrationName.isotonic.make(training: nil, for: survey, threshold: 6) } != nil)
  }

  @Test("of a classifier is its own score where nothing can be learned") func scores() throws {
    let survey = try HandGrid.survey().predicting((0..<12).map { _ in .classes([0.25, 0.5, 0.25]) })
    let calibration = try CalibrationName.automatic.make(training: nil, for: survey, threshold: 6)
    #expect(calibration == .scores)
    #expect(calibration.probabilities(of: survey, threshold: 6) == Array(repeating: 0.75, count: 12))
  }
}
