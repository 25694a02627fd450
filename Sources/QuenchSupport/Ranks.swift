import Foundation

/// The processes that do one piece of work together, as far as one has to know that computes nothing itself.
public protocol Ranks: Sendable {
  /// This process's number, from 0. Rank 0 writes and tells; the others only compute.
  var rank: Int { get }
  /// How many there are.
  var size: Int { get }
  /// What this process gave to the others in its training steps, on average; nil: there was none, or it is alone.
  var stepTraffic: StepTraffic? { get }
  /// What rank 0 gives; what the others give does not matter. All call it in the same order.
  func broadcast(_ data: Data) -> Data
}

/// What a process gives in a training step to be added up with what the others give.
public struct StepTraffic: Hashable, Sendable {
  /// Of the tensors. Of S processes that pass them round in a ring, each sends 2 (S - 1) / S times as many.
  public var bytes: Double
  /// Tensors, each of which takes a message there and one back or more.
  public var messages: Double

  public init(bytes: Double, messages: Double) { (self.bytes, self.messages) = (bytes, messages) }
}

/// This process by itself.
public struct SingleRank: Ranks {
  public let rank = 0
  public let size = 1
  public let stepTraffic: StepTraffic? = nil

  public init() {}

  public func broadcast(_ data: Data) -> Data { data }
}
