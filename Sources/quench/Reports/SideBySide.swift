import Reporting
import Vision

/// The latency of two networks, as summaries have it and reports say it.
enum SideBySide {
  static let batchSizes = [1, 64]

  /// `latency_64_dense_ms`, `latency_64_pruned_ms`, `speed_up_64` and its spread for networks of these names.
  static func record(_ latency: Latency, _ first: String, _ second: String) -> Record {
    let (prefix, seconds, speedUp) = ("latency_\(latency.batchSize)", latency.seconds, latency.speedUp(of: 1))
    let key = "speed_up_\(latency.batchSize)"
    return [
      "\(prefix)_\(first)_ms": .double(seconds[0] * 1000), "\(prefix)_\(second)_ms": .double(seconds[1] * 1000),
      key: .double(speedUp.ratio), "\(key)_low": .double(speedUp.spread.lowerBound),
      "\(key)_high": .double(speedUp.spread.upperBound)
    ]
  }

  /// What a summary says of a batch size; nil where it says nothing, or, as those of earlier versions, no spread.
  private static func speedUp(_ summary: Record, _ batchSize: Int) -> Latency.SpeedUp? {
    let key = "speed_up_\(batchSize)"
    guard let ratio = summary[key]?.number, let low = summary["\(key)_low"]?.number,
      let high = summary["\(key)_high"]?.number, low <= high
    else { return nil }
    return Latency.SpeedUp(ratio: ratio, spread: low...high)
  }

  /// `12.3 ms`
  static func milliseconds(_ summary: Record, _ batchSize: Int, _ network: String) -> String {
    guard let value = summary["latency_\(batchSize)_\(network)_ms"]?.number else { return "–" }
    return NumberText.plain(value, digits: 3) + " ms"
  }

  /// `1.25 times`, or `no difference` where the rounds of timing do not agree on one.
  static func times(_ summary: Record, _ batchSize: Int) -> String {
    if speedUp(summary, batchSize)?.isDifference == false { return "no difference" }
    return NumberText.fixed(summary["speed_up_\(batchSize)"]?.number ?? .nan, decimals: 2) + " times"
  }

  /// `1.20 to 1.31`, the least and the largest of the rounds; nil where nobody recorded it.
  static func spread(_ summary: Record, _ batchSize: Int) -> String? {
    speedUp(summary, batchSize).map { "\(fixed($0.spread.lowerBound)) to \(fixed($0.spread.upperBound))" }
  }

  /// One sentence a batch size, which says where there is no gain.
  static func statements(_ summary: Record, than network: String) -> [String] {
    batchSizes.compactMap { batchSize in
      let batch = "A batch of \(batchSize)"
      guard let speedUp = speedUp(summary, batchSize), let spread = spread(summary, batchSize) else {
        guard summary["speed_up_\(batchSize)"] != nil else { return nil }
        return
          "\(batch) was computed \(times(summary, batchSize)) as fast as \(network), by a measurement whose spread "
          + "was not recorded."
      }
      guard speedUp.isDifference else {
        return "\(batch) shows no difference in speed from \(network): \(spread) times as fast in single rounds of "
          + "timing."
      }
      return "\(batch) is computed \(times(summary, batchSize)) as fast as \(network) (\(spread) in single rounds)"
        + (speedUp.ratio >= 1.05 ? "." : ": no gain on this machine.")
    }
  }

  private static func fixed(_ value: Double) -> String { NumberText.fixed(value, decimals: 2) }
}
