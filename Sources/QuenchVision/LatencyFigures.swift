import QuenchReporting
import QuenchSupport

/// How long a batch takes a network and what it was made into, as outcomes have it and reports say it.
public struct LatencyFigures: Codable, Hashable, Sendable {
  /// The batches that are timed.
  public static let batchSizes = [1, 64]

  public var batchSize: Int
  /// Milliseconds a batch.
  public var before: Double
  public var after: Double
  public var speedUp: Latency.SpeedUp

  public init(_ latency: Latency) {
    batchSize = latency.batchSize
    (before, after) = (latency.seconds[0] * 1000, latency.seconds[1] * 1000)
    speedUp = latency.speedUp(of: 1)
  }

  /// `12.3 ms`
  public static func milliseconds(_ value: Double) -> String { NumberText.plain(value, digits: 3) + " ms" }

  /// `1.25 times`, or `no difference` where the rounds of timing do not agree on one.
  public var times: String {
    speedUp.isDifference ? NumberText.fixed(speedUp.value, decimals: 2) + " times" : "no difference"
  }

  /// `1.20 to 1.31`, the least and the largest of the rounds.
  public var spread: String {
    "\(NumberText.fixed(speedUp.low, decimals: 2)) to \(NumberText.fixed(speedUp.high, decimals: 2))"
  }

  /// One sentence, which says where there is no gain.
  /// - Parameter network: What the first network is called.
  public func statement(than network: String) -> String {
    let batch = "A batch of \(batchSize)"
    guard speedUp.isDifference else {
      return "\(batch) shows no difference in speed from \(network): \(spread) times as fast in single rounds of "
        + "timing."
    }
    return "\(batch) is computed \(times) as fast as \(network) (\(spread) in single rounds)"
      + (speedUp.value >= 1.05 ? "." : ": no gain on this machine.")
  }
}
