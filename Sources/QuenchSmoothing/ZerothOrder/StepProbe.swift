import QuenchSupport
import QuenchTorch

/// How long the step of a difference must be for the rounding and the noise of a model's answers to be small beside it,
/// measured at points of the kind that are then differentiated.
public struct StepProbe: Hashable, Codable, Sendable {
  /// Differences over steps of one length.
  public struct Trial: Hashable, Codable, Sendable {
    public var step: Double
    /// Rounding and noise in a difference, as a share of its size (root mean squares).
    public var error: Double
    /// The share of differences that were exactly 0.
    public var zeros: Double

    /// An error of a tenth turns the gradient by 6 degrees (its cosine is 0.995).
    public var suffices: Bool { error <= 0.1 && (error > 0 || zeros <= AnswerTally.tolerance) }
  }

  /// In the order of their steps, up to the first that suffices.
  public var trials: [Trial]

  /// Longer steps than the usual one, for coarse answers.
  public static let longerSteps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]

  /// The trial to differentiate by: the first that suffices, or the best.
  public var best: Trial? { trials.first(where: \.suffices) ?? trials.min { $0.error < $1.error } }

  /// - Parameters:
  ///   - estimator: Whose first step and kind of difference are tried.
  ///   - points: `[N, d]`.
  ///   - resolution: What answers are whole multiples of; 0: nothing.
  ///   - generator: Draws the directions.
  ///   - losses: The losses of answers, which may be changed ones, `[N, ...]`, at all points.
  ///   - answers: The model's answers at `[N, d]`.
  /// - Throws: What `answers` throws.
  public init(
    _ estimator: GradientEstimator, at points: Tensor, resolution: Double, using generator: Generator,
    losses: (_ answers: Tensor) -> Tensor, answers: (Tensor) throws -> Tensor
  ) throws {
    trials = []
    try withoutGradient {
      let base = try answers(points)
      let values = losses(base)
      // The same points again show the noise; shaken answers show the rounding.
      let noise = (losses(try answers(points)) - values).meanSquare / 2
      let shaken = base + resolution * (Tensor.uniform(base.shape, using: generator).to(base.dtype) - 0.5)
      let rounding = (losses(shaken) - values).meanSquare
      let error = 2 * (noise + rounding)
      let move = estimator.direction(at: points, generator)
      for step in [estimator.smoothingStep] + Self.longerSteps.filter({ $0 > estimator.smoothingStep }) {
        let ahead = losses(try answers(points + step * move))
        let other = estimator.difference == .forward ? values : losses(try answers(points - step * move))
        let difference = ahead - other
        let signal = max(difference.meanSquare - error, 0)
        trials.append(
          Trial(
            step: step, error: error == 0 ? 0 : min((error / max(signal, 1e-300)).squareRoot(), 1e6),
            zeros: 1 - Double(difference.nonzeroCount()) / Double(max(difference.count, 1))))
        if trials[trials.count - 1].suffices { return }
      }
    }
  }
}

extension Tensor {
  /// The mean of the squares of its finite elements.
  fileprivate var meanSquare: Double {
    let isFinite = isFinite()
    return filled(with: 0, where: isFinite .== 0).square().sum().item()
      / Double(Swift.max(isFinite.nonzeroCount(), 1))
  }
}
