import Foundation
import QuenchSupport

/// The fraction of prunable weights that stay, in (0, 1].
public struct KeepRatio: Hashable, Codable, Sendable {
  public let value: Double

  /// - Throws: `InputError` outside (0, 1].
  public init(_ value: Double, at location: String = "keep") throws(InputError) {
    guard value > 0, value <= 1 else {
      throw InputError(
        "not a keep ratio", at: location, expected: "a number above 0 and at most 1", found: "\(value)",
        remedy: "name the fraction of weights to keep: 0.1 keeps one in ten")
    }
    self.value = value
  }

  /// The ratio at which just `kept` of `count` stay.
  init(keeping kept: Int, of count: Int) { value = Double(kept) / Double(count) }

  private init(sparsity: Double) { value = 1 - sparsity }

  /// The ratio on the way from 1 to this one: s = s_f (1 - (1 - t / T)³) is the sparsity at a step t, s_f that of the end
  /// (Zhu and Gupta 2017, equation 1).
  /// - Parameters:
  ///   - step: t, from 0.
  ///   - steps: Steps of the whole training.
  ///   - rise: The fraction of them that T is, over which the sparsity rises.
  func reached(at step: Int, of steps: Int, rise: Double) -> KeepRatio {
    let end = max(1, (rise * Double(steps)).rounded(.down))
    let left = max(0, 1 - Double(step) / end)
    return KeepRatio(sparsity: sparsity * (1 - left * left * left))
  }

  /// 1 - keep ratio, for display.
  public var sparsity: Double { 1 - value }

  /// How many of `count` weights are kept: count - ⌊(1 - k)·count + 1e-9⌋ and at least one. The guard keeps binary
  /// rounding from losing a unit: 0.9 of 10 keeps 9.
  public func kept(of count: Int) -> Int { max(1, count - Int((sparsity * Double(count) + 1e-9).rounded(.down))) }

  /// As the published code truncates, without the guard.
  public func keptByTruncation(of count: Int) -> Int { max(1, count - Int(sparsity * Double(count))) }
}

extension KeepRatio {
  public init(from decoder: any Decoder) throws {
    try self.init(decoder.singleValueContainer().decode(Double.self), at: "keep")
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(value)
  }
}
