import Reporting
import Support

/// How long a batch takes a network and what it was made into, as outcomes have it and reports say it.
public struct LatencyFigures: Codable, Hashable, Sendable {
  /// The batches that are timed.
  public static let batchSizes = [1, 64]

  public var batchSize: Int
  /// Milliseconds a batch.
  public var before: Double
  public var after: Double
  public var speedUp: SpeedUp

  /// How many times as fast the second network is: the ratio of the medians, and the least and the largest in one round.
  public struct SpeedUp: PrefixedGroup, Hashable, Sendable {
    public var value: Double
    public var low: Double
    public var high: Double
  }

  public init(_ latency: Latency) {
    let speedUp = latency.speedUp(of: 1)
    batchSize = latency.batchSize
    (before, after) = (latency.seconds[0] * 1000, latency.seconds[1] * 1000)
    self.speedUp = SpeedUp(
      value: speedUp.ratio, low: speedUp.spread.lowerBound, high: speedUp.spread.upperBound)
  }

  /// Whether the rounds agree which of the two is faster.
  public var isDifference: Bool { !(speedUp.low...max(speedUp.low, speedUp.high)).contains(1) }

  /// `12.3 ms`
  public static func milliseconds(_ value: Double) -> String { NumberText.plain(value, digits: 3) + " ms" }

  /// `1.25 times`, or `no difference` where the rounds of timing do not agree on one.
  public var times: String {
    isDifference ? NumberText.fixed(speedUp.value, decimals: 2) + " times" : "no difference"
  }

  /// `1.20 to 1.31`, the least and the largest of the rounds.
  public var spread: String {
    "\(NumberText.fixed(speedUp.low, decimals: 2)) to \(NumberText.fixed(speedUp.high, decimals: 2))"
  }

  /// One sentence, which says where there is no gain.
  /// - Parameter network: What the first network is called.
  public func statement(than network: String) -> String {
    let batch = "A batch of \(batchSize)"
    guard isDifference else {
      return "\(batch) shows no difference in speed from \(network): \(spread) times as fast in single rounds of "
        + "timing."
    }
    return "\(batch) is computed \(times) as fast as \(network) (\(spread) in single rounds)"
      + (speedUp.value >= 1.05 ? "." : ": no gain on this machine.")
  }
}
