import CryoEM
import Reporting
import Support

/// What `quench cryo calibrate` does: fits every way from predictions to probabilities, and judges them.
struct CalibrationRun {
  let train: Survey
  let test: Survey?
  let threshold: Double
  let bins: Int

  /// The ways, in the order in which they are told of.
  static let methods = ["logistic", "isotonic", "uncalibrated"]

  func perform() throws(InputError) -> Record {
    let logistic = try LogisticCalibration(fitting: train, threshold: threshold)
    let isotonic = try IsotonicCalibration(fitting: train, threshold: threshold)
    let isClassifier = train.predictionKind == .classes
    let ways: [Calibration] = [.logistic(logistic), .isotonic(isotonic), isClassifier ? .scores : .hard]
    var summary: Record = [
      "threshold": .double(threshold), "predictor": .string(isClassifier ? "classifier" : "regressor"),
      "logistic_intercept": .double(logistic.intercept), "logistic_slope": .double(logistic.slope),
      "isotonic_steps": .array(isotonic.steps.map { [.double($0.rank), .double($0.probability)] })
    ]
    summary["warning"] = try LearnedCalibration(train, threshold: threshold).warning.map { .string($0) }
    let base = Double(train.goodCount(threshold: threshold)) / Double(max(train.measurements.count, 1))
    let splits = [("train", train)] + (test.map { [("test", $0)] } ?? [])
    for (name, survey) in splits {
      let measured = survey.holes.count { $0.fit.isMeasured }
      summary["\(name)_n"] = .int(measured)
      summary["\(name)_good"] = .int(survey.goodCount(threshold: threshold))
      let constant = CalibrationScore(survey.holes.map { _ in base }, of: survey, threshold: threshold)
      summary["\(name)_base_rate_log_loss"] = .double(constant.logLoss)
      summary["\(name)_base_rate_brier"] = .double(constant.brier)
      for (method, way) in zip(Self.methods, ways) {
        let probabilities = way.probabilities(of: survey, threshold: threshold)
        let score = CalibrationScore(probabilities, of: survey, threshold: threshold)
        let reliability = Reliability(probabilities, of: survey, threshold: threshold, bins: bins)
        summary["\(name)_\(method)_log_loss"] = .double(score.logLoss)
        summary["\(name)_\(method)_brier"] = .double(score.brier)
        summary["\(name)_\(method)_calibration_error"] = .double(reliability.expectedError)
        summary["\(name)_\(method)_reliability"] = .array(reliability.bins.map(Self.record))
      }
    }
    return summary
  }

  private static func record(_ bin: Reliability.Bin) -> Value {
    let observed = bin.observed
    return [
      "from": .double(bin.range.lowerBound), "to": .double(bin.range.upperBound),
      "predicted": .double(bin.predicted),
      "observed": .double(observed.fraction), "low": .double(observed.interval.lowerBound),
      "high": .double(observed.interval.upperBound), "n": .int(bin.count)
    ]
  }
}
