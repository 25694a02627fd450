import Synchronization

/// What a server counts, as Prometheus reads it.
public final class ServerMetrics: Sendable {
  private struct Counts {
    var requests: [Int: Int] = [:]
    var images = 0
    var batches = 0
    var latency = [Int](repeating: 0, count: ServerMetrics.bounds.count + 1)
    var seconds = 0.0
  }

  /// Upper ends of the latency histogram, in seconds.
  private static let bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

  private let counts = Mutex(Counts())

  public init() {}

  func request(status: Int, seconds: Double) {
    counts.withLock { counts in
      counts.requests[status, default: 0] += 1
      counts.latency[Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count] += 1
      counts.seconds += seconds
    }
  }

  func batch(images: Int) {
    counts.withLock { counts in
      counts.images += images
      counts.batches += 1
    }
  }

  /// Requests of every kind that were answered.
  public var requests: Int { counts.withLock { $0.requests.values.reduce(0, +) } }
  /// Images that the model was given.
  public var images: Int { counts.withLock { $0.images } }
  /// Batches that it was given them in.
  public var batches: Int { counts.withLock { $0.batches } }

  /// The text exposition format.
  public var text: String {
    let counts = counts.withLock { $0 }
    var lines = [
      "# HELP quench_requests_total Requests by the status of their answer.",
      "# TYPE quench_requests_total counter"
    ]
    lines += counts.requests.sorted { $0.key < $1.key }.map {
      "quench_requests_total{code=\"\($0.key)\"} \($0.value)"
    }
    lines += [
      "# HELP quench_images_total Images that the model was given.",
      "# TYPE quench_images_total counter", "quench_images_total \(counts.images)",
      "# HELP quench_batches_total Batches that the model was given them in.",
      "# TYPE quench_batches_total counter", "quench_batches_total \(counts.batches)",
      "# HELP quench_request_seconds Seconds from a request's head to its answer.",
      "# TYPE quench_request_seconds histogram"
    ]
    var sum = 0
    for (bound, count) in zip(Self.bounds.map { "\($0)" } + ["+Inf"], counts.latency) {
      sum += count
      lines.append("quench_request_seconds_bucket{le=\"\(bound)\"} \(sum)")
    }
    lines += ["quench_request_seconds_sum \(counts.seconds)", "quench_request_seconds_count \(sum)"]
    return lines.joined(separator: "\n") + "\n"
  }
}
