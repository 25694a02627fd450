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
