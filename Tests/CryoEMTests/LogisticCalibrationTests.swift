import Foundation
import QuenchSupport
import Testing

@testable import QuenchCryoEM

@Suite("A logistic calibration") struct LogisticCalibrationTests {
  /// A survey of one patch with these predictions and outcomes.
  static func survey(_ holes: [(prediction: Prediction, isGood: Bool)]) throws -> Survey {
    try Survey(
      holes.enumerated().map { index, hole in
        Survey.Entry(
          name: "\(index)", patch: "\(index / 10)", square: "S", tile: "T", fit: .resolution(hole.isGood ? 4 : 9),
          prediction: hole.prediction)
      }, from: "made up")
  }

  static func loss(_ curve: LogisticCalibration, _ survey: Survey) -> Double {
    CalibrationScore(Calibration.logistic(curve).probabilities(of: survey, threshold: 6), of: survey, threshold: 6)
      .logLoss
  }

  static func baseLoss(_ survey: Survey) -> Double {
    let base = Double(survey.goodCount(threshold: 6)) / Double(survey.count)
    return CalibrationScore(survey.holes.map { _ in base }, of: survey, threshold: 6).logLoss
  }

  @Test("that is assumed takes a classifier's probability as it is") func classes() {
    let curve = LogisticCalibration(assumingThreshold: 6, for: .classes)
    for p in [0.05, 0.3, 0.5, 0.95] { #expect(abs(curve.probability(.classes([p, 1 - p])) - p) < 1e-12) }
    let resolutions = LogisticCalibration(assumingThreshold: 4)
    #expect(abs(resolutions.probability(.resolution(4)) - 0.5) < 1e-12)
    #expect(resolutions.probability(.resolution(3)) > 0.8)
  }

  @Test("falls with the prediction where this separates good from bad, and is finite") func separable() throws {
    let values = [
      3.8, 4.01, 3.73, 9.28, 6.59, 8.1, 7.7, 4.4, 5.1, 3.2, 11.4, 12.9, 6.4, 5.6, 4.9, 9.9, 14.0, 4.2, 7.1, 3.5
    ]
    let survey = try Self.survey(values.map { (.resolution($0), $0 < 6) })
    let curve = try LogisticCalibration(fitting: survey, threshold: 6)
    #expect(curve.slope < -6.2 && curve.slope > -40)
    #expect(Self.loss(curve, survey) < 0.2)
    #expect(curve.probability(.resolution(3.5)) > 0.9 && curve.probability(.resolution(10)) < 0.1)
  }

  @Test("is never worse than the base rate, nor of the wrong sign, on few holes", arguments: [10, 20])
  func fewHoles(_ count: Int) throws {
    for seed in 0..<200 {
      var generator = SplitMix64(UInt64(seed), UInt64(count))
      var holes = (0..<count).map { _ -> (Prediction, Bool) in
        let predicted = Double.random(in: 2.5...15, using: &generator)
        let p = 1 / (1 + exp(6.2 * log(predicted / 6)))
        return (.resolution(predicted), Double.random(in: 0..<1, using: &generator) < 0.15 + 0.7 * p)
      }
      (holes[0].1, holes[1].1) = (true, false)
      let survey = try Self.survey(holes.map { (prediction: $0.0, isGood: $0.1) })
      let curve = try LogisticCalibration(fitting: survey, threshold: 6)
      #expect(curve.slope <= 0 && curve.slope.isFinite && curve.intercept.isFinite)
      #expect(Self.loss(curve, survey) <= Self.baseLoss(survey) + 1e-12, "seed \(seed)")
    }
  }

  @Test("says where the sign is not the expected one, and goes by an assumed curve or the base rate")
  func wrongSign() throws {
    // Worse by chance.
    let few = try Self.survey((0..<12).map { (.resolution(3 + Double($0)), [1, 4, 5, 7, 9, 10].contains($0)) })
    #expect(try LogisticCalibration(fitting: few, threshold: 6).slope == 0)
    #expect(abs(Self.loss(try LogisticCalibration(fitting: few, threshold: 6), few) - Self.baseLoss(few)) < 1e-12)
    let assumed = try LearnedCalibration(few, threshold: 6)
    #expect(!assumed.isFitted && assumed.curve == LogisticCalibration(assumingThreshold: 6))
    #expect(assumed.warning?.contains("an assumed curve is used") == true)
    // Turned round.
    let many = try Self.survey(
      (0..<300).map { index -> (Prediction, Bool) in
        let score = Double(index % 10) / 10
        return (.classes([score, 1 - score]), index % 10 < 4 || index % 70 == 5)
      })
    let none = try LearnedCalibration(many, threshold: 6)
    #expect(!none.isFitted && none.curve.slope == 0)
    #expect(none.warning?.contains("predictions are not used") == true)
  }

  @Test("knows predictions of holes that a predictor was trained on by their never being wrong") func seen() throws
  {
    let seen = try LearnedCalibration(
      Self.survey((0..<80).map { (.classes($0 % 2 == 0 ? [1, 0] : [0, 1]), $0 % 2 == 0) }), threshold: 6)
    #expect(seen.isFitted && seen.warning?.contains("calibrate on holes that it has not seen") == true)
    let unseen = try LearnedCalibration(
      Self.survey((0..<80).map { (.classes($0 % 2 == 0 ? [0.9, 0.1] : [0.1, 0.9]), $0 % 2 == 0 || $0 == 7) }),
      threshold: 6)
    #expect(unseen.isFitted && unseen.warning == nil)
  }

  /// Predictions of two classes that are right in 75 of 100 holes and say so with 99 %.
  static func overconfident(_ seed: UInt64) throws -> Survey {
    var synthetic = SyntheticSurvey()
    synthetic.tiles = 3
    let survey = try synthetic.make(seed: seed)
    var generator = SplitMix64(seed, 3)
    return survey.predicting(
      survey.holes.map { hole in
        let isRight = Double.random(in: 0..<1, using: &generator) < 0.75
        let says = hole.fit.isGood(threshold: 6) == isRight
        let p = says ? Double.random(in: 0.9...1, using: &generator) : Double.random(in: 0...0.1, using: &generator)
        return .classes([p, 1 - p])
      })
  }

  @Test("that is far too sure does not lead the closed loop below what the plan without outcomes reaches")
  func tooSure() throws {
    let survey = try Self.overconfident(4)
    let training = survey.predicting(
      survey.holes.map { .classes($0.fit.isGood(threshold: 6) ? [1, 0] : [0, 1]) })
    let environment = try Environment(survey, rules: AcquisitionRules(budget: 120))
    let planner = try ClosedLoopPlanner(training: training, threshold: 6)
    var (closed, open, assumed) = (0, 0, 0)
    for start in [0, 100, 200] {
      func good(_ policy: some Policy) -> Int { environment.run(policy, from: start).steps.count(where: \.isGood) }
      closed += good(planner)
      assumed += good(ClosedLoopPlanner(assumingThreshold: 6, for: .classes))
      open += good(PlanPolicy.treeDP(survey, .scores, threshold: 6))
    }
    #expect(
      Double(closed) >= 0.95 * Double(open) && Double(assumed) >= 0.95 * Double(open),
      "\(closed) \(assumed) \(open)")
  }
}

@Suite("Calibrations on the real survey", .enabled(if: RealData.isPresent, RealData.absence))
struct RealCalibrationTests {
  @Test("of ten or twenty holes are never worse than the base rate", arguments: [10, 20]) func draws(_ count: Int)
    throws
  {
    let train = try RealData.survey("train")
    for seed in 0..<200 {
      var generator = SplitMix64(UInt64(seed), UInt64(count))
      let holes = train.holes.indices.shuffled(using: &generator).prefix(count)
      let survey = try train.subset(holes, from: "draw")
      guard let curve = try? LogisticCalibration(fitting: survey, threshold: 6) else { continue }
      #expect(curve.slope <= 0)
      #expect(
        LogisticCalibrationTests.loss(curve, survey) <= LogisticCalibrationTests.baseLoss(survey) + 1e-12,
        "seed \(seed)")
    }
  }

  @Test("of the two-class predictor do not lead the closed loop below the plan on its raw scores") func twoClasses()
    throws
  {
    let (train, val) = (try RealData.patchSplit("train").survey, try RealData.patchSplit("val").survey)
    let environment = try Environment(val, rules: AcquisitionRules(minutes: .oldMinutes, budget: 120))
    let fitted = try ClosedLoopPlanner(training: train, threshold: 6)
    var good = [0, 0, 0]
    for start in [100, 400] {
      func run(_ policy: some Policy) -> Int { environment.run(policy, from: start).steps.count(where: \.isGood) }
      good[0] += run(PlanPolicy.treeDP(val, .scores, threshold: 6))
      good[1] += run(ClosedLoopPlanner(assumingThreshold: 6, for: .classes))
      good[2] += run(fitted)
    }
    #expect(good[0] > 80 && good[1] > 80 && good[2] > 80, "\(good)")
  }
}
