import Foundation

/// The processes that do one piece of work together, as far as one has to know that computes nothing itself.
public protocol Ranks: Sendable {
  /// This process's number, from 0. Rank 0 writes and tells; the others only compute.
  var rank: Int { get }
  /// How many there are.
  var size: Int { get }
  /// What rank 0 gives; what the others give does not matter. All call it in the same order.
  func broadcast(_ data: Data) -> Data
}

/// This process by itself.
public struct SingleRank: Ranks {
  public let rank = 0
  public let size = 1

  public init() {}

  public func broadcast(_ data: Data) -> Data { data }
}
