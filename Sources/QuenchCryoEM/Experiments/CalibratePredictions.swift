import Foundation
import QuenchReporting
import QuenchSupport

/// The fitting and judging of every way from predictions to probabilities.
public struct CalibratePredictions: Experiment {
  public static let kind = "cryo-calibrate"

  /// Holes with their measured CTF, to fit to.
  public var source = SurveySelection()
  /// Other holes, to judge by, with what was predicted for them.
  public var testSurvey: String?
  public var testPredictions: String?
  /// Å up to which a hole is good.
  public var threshold = 6.0
  /// Spans of probability in the reliability plot.
  public var bins = 10

  public init() {}

  /// How well a way's probabilities say what was measured.
  public struct Score: PrefixedGroup, Hashable, Sendable {
    public var logLoss: Double
    public var brier: Double
    public var calibrationError: Double
    public var reliability: [Bin]
  }

  /// The holes whose probability lies in one span.
  public struct Bin: Codable, Hashable, Sendable {
    public var from: Double
    public var to: Double
    /// The mean probability that was given.
    public var predicted: Double
    /// The share of good holes, with the ends of Wilson's 95 % interval.
    public var observed: Double
    public var low: Double
    public var high: Double
    public var n: Int
  }

  /// The scores on one survey.
  public struct Split: PrefixedGroup, Hashable, Sendable {
    /// Measured holes.
    public var n: Int
    public var good: Int
    /// Of the share of good holes among those that were fitted to, as the probability of each.
    public var baseRateLogLoss: Double
    public var baseRateBrier: Double
    public var logistic: Score
    public var isotonic: Score
    /// Of the predictions as they are.
    public var uncalibrated: Score
  }

  public struct Outcome: Codable, Sendable {
    public var threshold: Double
    /// `regressor` or `classifier`.
    public var predictor: String
    public var logisticIntercept: Double
    public var logisticSlope: Double
    /// The worst rank of each step and its probability.
    public var isotonicSteps: [[Double]]
    /// What to heed of the predictions, if anything.
    public var warning: String?
    public var train: Split
    public var test: Split?
  }

  public func checked() throws(InputError) -> CalibratePredictions {
    try source.validate()
    try source.requirePredictions()
    guard (testSurvey == nil) == (testPredictions == nil) else {
      throw InputError(
        "a survey to judge by and its predictions go together",
        at: testSurvey == nil ? "test-survey" : "test-predictions", remedy: "name both files, or neither")
    }
    try requireSetting(
      threshold > 0 && threshold < CTFFit.clip, "threshold", "above 0 and below \(Int(CTFFit.clip)) Å", threshold)
    try requireSetting((2...100).contains(bins), "bins", "2 to 100", bins)
    return self
  }

  public func run(in context: RunContext) throws -> Outcome {
    let train = try source.load(context.console).survey
    let test = try testSurvey.map { path throws(InputError) in
      var test = SurveySelection(path, predictions: testPredictions)
      test.extraPredictions = source.extraPredictions
      return try test.load(context.console).survey
    }
    let logistic = try LogisticCalibration(fitting: train, threshold: threshold)
    let isotonic = try IsotonicCalibration(fitting: train, threshold: threshold)
    let isClassifier = train.predictionKind == .classes
    let warning = try LearnedCalibration(train, threshold: threshold).warning
    if let warning { context.console.note("warning: \(warning)") }
    _ = try context.open(
      inputs: Fingerprint.inputs(source.files)
        .merging(Fingerprint.inputs(["test-survey": testSurvey, "test-predictions": testPredictions])))

    let rate = Double(train.goodCount(threshold: threshold)) / Double(max(train.measurements.count, 1))
    func split(_ survey: Survey) -> Split {
      let constant = CalibrationScore(survey.holes.map { _ in rate }, of: survey, threshold: threshold)
      return Split(
        n: survey.holes.count { $0.fit.isMeasured }, good: survey.goodCount(threshold: threshold),
        baseRateLogLoss: constant.logLoss, baseRateBrier: constant.brier,
        logistic: score(.logistic(logistic), survey), isotonic: score(.isotonic(isotonic), survey),
        uncalibrated: score(isClassifier ? .scores : .hard, survey))
    }
    return Outcome(
      threshold: threshold, predictor: isClassifier ? "classifier" : "regressor",
      logisticIntercept: logistic.intercept, logisticSlope: logistic.slope,
      isotonicSteps: isotonic.steps.map { [$0.rank, $0.probability] }, warning: warning, train: split(train),
      test: test.map(split))
  }

  private func score(_ way: Calibration, _ survey: Survey) -> Score {
    let probabilities = way.probabilities(of: survey, threshold: threshold)
    let score = CalibrationScore(probabilities, of: survey, threshold: threshold)
    let reliability = Reliability(probabilities, of: survey, threshold: threshold, bins: bins)
    return Score(
      logLoss: score.logLoss, brier: score.brier, calibrationError: reliability.expectedError,
      reliability: reliability.bins.map { bin in
        let observed = bin.observed
        return Bin(
          from: bin.range.lowerBound, to: bin.range.upperBound, predicted: bin.predicted,
          observed: observed.fraction, low: observed.interval.lowerBound, high: observed.interval.upperBound,
          n: bin.count)
      })
  }
}
