import Foundation
import QuenchCryoEM

/// How a resolution becomes the number that a regressor learns, by cryoRL's released code: c is clipped to [2, 25] Å,
/// and y = ln((c - 2) / 23 + 1e-9), which spreads the good end.
public enum ResolutionCode {
  /// What resolutions are clipped to, in Å.
  public static let range = 2.0...25.0

  /// The number to learn for `fit`; a failed fit is as bad as the range has it. Nil where nothing was measured.
  public static func target(_ fit: CTFFit) -> Double? {
    switch fit {
    case .unmeasured: nil
    case .failed: encode(range.upperBound)
    case .resolution(let value): encode(value)
    }
  }

  /// The number for a resolution in Å.
  public static func encode(_ resolution: Double) -> Double {
    let clipped = min(max(resolution, range.lowerBound), range.upperBound)
    return log((clipped - range.lowerBound) / (range.upperBound - range.lowerBound) + 1e-9)
  }

  /// The resolution in Å that a regressor's answer means, 2 + 23 exp y. It may lie a little above the range.
  public static func decode(_ answer: Double) -> Double {
    range.lowerBound + (range.upperBound - range.lowerBound) * exp(min(answer, 4))
  }
}
