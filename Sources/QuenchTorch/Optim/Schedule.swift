import Foundation

/// How the learning rate goes over a run, as a factor of the initial one.
public indirect enum Schedule: Hashable, Codable, Sendable {
  case constant
  /// Times `factor` from each milestone on; milestones are fractions of the run.
  case step(milestones: [Double], factor: Double)
  /// ½(1 + cos πe/E): from 1 down to 0.
  case cosine
  /// ½(1 + cos π(e - 1)/E): the cosine one epoch late, as BiP's released code has it.
  case delayedCosine
  /// Linear from `start` to 1 over the first `epochs`; `then` runs over the rest.
  case warmUp(epochs: Double, from: Double, then: Schedule)

  /// The factor at `epoch` (from 0; a fraction inside an epoch) of `epochs`, which is more than 0.
  public func factor(at epoch: Double, of epochs: Double) -> Double {
    switch self {
    case .constant: 1
    case .step(let milestones, let factor):
      pow(factor, Double(milestones.count { epoch / epochs >= $0 }))
    case .cosine: 0.5 * (1 + cos(.pi * epoch / epochs))
    case .delayedCosine: 0.5 * (1 + cos(.pi * (epoch - 1) / epochs))
    case .warmUp(let length, let start, let then):
      epoch < length
        ? start + (1 - start) * epoch / length
        : then.factor(at: epoch - length, of: epochs - length)
    }
  }
}
