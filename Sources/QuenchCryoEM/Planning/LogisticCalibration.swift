import Foundation
import QuenchSupport

/// P(good) = σ(a + b x), where x is the logarithm of the predicted resolution in Å, or the log-odds of a classifier
/// (Platt 1999).
public struct LogisticCalibration: Hashable, Sendable {
  /// a
  public var intercept: Double
  /// b; below 0 for resolutions, of which low ones are good, above 0 for log-odds.
  public var slope: Double

  public init(intercept: Double, slope: Double) {
    self.intercept = intercept
    self.slope = slope
  }

  /// The likeliest curve for the measured and predicted holes of `survey`, under a weak penalty on its slope.
  ///
  /// Its loss on these holes is never above that of their base rate. Where worse predictions turned out better than good
  /// ones, no curve that falls with the prediction beats the base rate, and the curve is the base rate: its slope is 0.
  /// - Throws: `InputError` if there are fewer than ten holes, or all or none are good.
  public init(fitting survey: Survey, threshold: Double) throws(InputError) {
    let fit = LogisticFit(try CalibrationSample.all(in: survey, threshold: threshold))
    self = fit.isExpected ? fit.curve : fit.baseRate
  }

  /// A stand-in where nothing is known of the predictor.
  ///
  /// For resolutions: half of the holes that are predicted at the threshold are good, with the slope that a published
  /// ResNet-50 showed (-6.2). A classifier's probabilities are taken as they are.
  public init(assumingThreshold threshold: Double, for kind: Prediction.Kind = .resolution) {
    slope = kind.assumedSlope
    intercept = kind == .resolution ? -slope * log(threshold) : 0
  }

  /// x of a prediction.
  static func feature(_ prediction: Prediction) -> Double {
    switch prediction {
    case .resolution(let resolution): return log(resolution)
    case .classes:
      let p = min(max(prediction.probabilityOfGood ?? 0.5, 0.005), 0.995)
      return log(p / (1 - p))
    }
  }

  /// a + b x
  public func logit(_ prediction: Prediction) -> Double { intercept + slope * Self.feature(prediction) }

  public func probability(_ prediction: Prediction) -> Double { sigmoid(logit(prediction)) }

  /// The curve with all log-odds divided by `temperature` (Guo et al. 2017, section 4.2): above 1, one that is less sure.
  func tempered(by temperature: Double) -> LogisticCalibration {
    LogisticCalibration(intercept: intercept / temperature, slope: slope / temperature)
  }
}

extension Prediction.Kind {
  /// The slope of a usual predictor.
  var assumedSlope: Double { self == .resolution ? -6.2 : 1 }
}

/// A curve to plan by, learned from a survey, and what the user must know of it.
public struct LearnedCalibration: Hashable, Sendable {
  public let curve: LogisticCalibration
  /// Whether the curve is the fitted one.
  public let isFitted: Bool
  /// What is wrong with the survey's predictions, if anything.
  public let warning: String?

  /// The fitted curve, if it falls with worse predictions. If it does not, but might by its standard error, the assumed
  /// curve; if clearly not, the base rate.
  /// - Throws: `InputError` as ``LogisticCalibration/init(fitting:threshold:)`` does.
  public init(_ survey: Survey, threshold: Double) throws(InputError) {
    let samples = try CalibrationSample.all(in: survey, threshold: threshold)
    let fit = LogisticFit(samples)
    isFitted = fit.isExpected
    if !fit.isExpected {
      let isClear = abs(fit.curve.slope) > 2 * fit.slopeError
      curve = isClear ? fit.baseRate : LogisticCalibration(assumingThreshold: threshold, for: fit.kind)
      warning =
        "in the training survey holes with worse predictions were good more often (slope "
        + String(format: "%.2f ± %.2f", fit.curve.slope, fit.slopeError)
        + "); " + (isClear ? "predictions are not used, only the share of good holes" : "an assumed curve is used")
    } else {
      curve = fit.curve
      warning =
        samples.count >= 50 && CalibrationSample.areSeparated(samples)
        ? "the training survey's predictions are right without exception, as those of holes that a predictor was "
          + "trained on are: calibrate on holes that it has not seen" : nil
    }
  }
}

/// The penalised maximum-likelihood curve of either sign.
struct LogisticFit {
  private(set) var curve: LogisticCalibration
  /// Of the slope, by the curvature of the log-likelihood.
  private(set) var slopeError = Double.infinity
  /// The curve of slope 0.
  let baseRate: LogisticCalibration
  let kind: Prediction.Kind

  /// Whether better predictions are good more often.
  var isExpected: Bool { curve.slope * kind.assumedSlope > 0 }

  /// With this many holes the slope's penalty is that of a normal prior whose standard deviation is a usual slope. It
  /// falls with the square of their number, so that surveys decide alone.
  private static let fewHoles = 10.0

  /// Newton's method in (a + b x̄, b) from the base rate on, each step halved until the objective grows. Predictions
  /// that separate good from bad have no maximum of the likelihood; the penalty gives them one.
  init(_ samples: [CalibrationSample]) {
    kind = samples.first?.prediction.kind ?? .resolution
    let count = Double(samples.count)
    let xs = samples.map { LogisticCalibration.feature($0.prediction) }
    let centre = xs.reduce(0, +) / count
    let penalty = pow(Self.fewHoles / count / kind.assumedSlope, 2)
    let good = Double(samples.count(where: \.isGood))
    var (a, b) = (log(good / (count - good)), 0.0)
    baseRate = LogisticCalibration(intercept: a, slope: 0)

    func objective(_ a: Double, _ b: Double) -> Double {
      zip(xs, samples).reduce(-penalty / 2 * b * b) { sum, pair in
        let logit = a + b * (pair.0 - centre)
        return sum - softplus(pair.1.isGood ? -logit : logit)
      }
    }
    var value = objective(a, b)
    for _ in 0..<100 {
      var (g0, g1, h00, h01, h11) = (0.0, -penalty * b, 0.0, 0.0, penalty)
      for (x, sample) in zip(xs, samples) {
        let (z, p) = (x - centre, sigmoid(a + b * (x - centre)))
        let (residual, weight) = ((sample.isGood ? 1 : 0) - p, p * (1 - p))
        g0 += residual
        g1 += residual * z
        h00 += weight
        h01 += weight * z
        h11 += weight * z * z
      }
      let determinant = h00 * h11 - h01 * h01
      guard determinant > 0 else { break }
      slopeError = (h00 / determinant).squareRoot()
      let (step0, step1) = ((h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant)
      var (scale, next) = (1.0, objective(a + step0, b + step1))
      while !(next >= value), scale > 1e-9 {
        scale /= 2
        next = objective(a + scale * step0, b + scale * step1)
      }
      guard next >= value else { break }
      (a, b, value) = (a + scale * step0, b + scale * step1, next)
      if abs(step0) + abs(step1) < 1e-10 { break }
    }
    curve = LogisticCalibration(intercept: a - b * centre, slope: b)
  }
}

/// ln(1 + exp(x)), the loss of a logit of -x.
private func softplus(_ x: Double) -> Double { max(x, 0) + log1p(exp(-abs(x))) }
