import Reporting
import Vision

/// The latency of two networks, as summaries have it and reports say it.
enum SideBySide {
  static let batchSizes = [1, 64]

  /// `latency_64_dense_ms`, `latency_64_pruned_ms` and `speed_up_64` for networks of these names.
  static func record(_ latency: Latency, _ first: String, _ second: String) -> Record {
    let prefix = "latency_\(latency.batchSize)"
    return [
      "\(prefix)_\(first)_ms": .double(latency.seconds[0] * 1000),
      "\(prefix)_\(second)_ms": .double(latency.seconds[1] * 1000),
      "speed_up_\(latency.batchSize)": .double(latency.speedUp(of: 1))
    ]
  }

  /// `12.3 ms`
  static func milliseconds(_ summary: Record, _ batchSize: Int, _ network: String) -> String {
    guard let value = summary["latency_\(batchSize)_\(network)_ms"]?.number else { return "–" }
    return NumberText.plain(value, digits: 3) + " ms"
  }

  /// `1.25 times`
  static func times(_ summary: Record, _ batchSize: Int) -> String {
    NumberText.fixed(summary["speed_up_\(batchSize)"]?.number ?? .nan, decimals: 2) + " times"
  }

  /// One sentence a batch size, which says where there is no gain.
  static func statements(_ summary: Record, than network: String) -> [String] {
    batchSizes.compactMap { batchSize in
      guard let speedUp = summary["speed_up_\(batchSize)"]?.number else { return nil }
      return "A batch of \(batchSize) is computed \(times(summary, batchSize)) as fast as \(network)"
        + (speedUp >= 1.05 ? "." : ": no gain on this machine.")
    }
  }
}
