import Foundation
import QuenchReporting
import QuenchSmoothing
import Synchronization

/// What a server counts, as Prometheus reads it, and Triton's clients.
public final class ServerMetrics: Sendable {
  private struct Counts {
    var requests: [Int: Int] = [:]
    var images = 0
    var batches = 0
    var computeSeconds = 0.0
    var succeeded = Tally()
    var failed = Tally()
    var latest: Date?
    var latency = [Int](repeating: 0, count: ServerMetrics.bounds.count + 1)
    var seconds = 0.0
  }

  private struct Tally {
    var count = 0
    var seconds = 0.0

    mutating func add(_ seconds: Double) {
      count += 1
      self.seconds += seconds
    }

    var record: Value { ["count": .int(count), "ns": .int(Int(seconds * 1e9))] }
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

  /// What the model took for a batch.
  func compute(seconds: Double) { counts.withLock { $0.computeSeconds += seconds } }

  func inference(succeeded: Bool, seconds: Double) {
    counts.withLock { counts in
      counts.latest = Date()
      if succeeded { counts.succeeded.add(seconds) } else { counts.failed.add(seconds) }
    }
  }

  /// Requests of every kind that were answered.
  public var requests: Int { counts.withLock { $0.requests.values.reduce(0, +) } }
  /// Images that the model was given.
  public var images: Int { counts.withLock { $0.images } }
  /// Batches that it was given them in.
  public var batches: Int { counts.withLock { $0.batches } }

  /// The answer to `GET /v2/models/NAME/stats`, as Triton gives it.
  func statistics(of model: InferenceModel) -> Record {
    let counts = counts.withLock { $0 }
    let compute = Tally(count: counts.batches, seconds: counts.computeSeconds)
    return [
      "model_stats": [
        [
          "name": .string(model.name), "version": .string(model.version),
          "last_inference": .int(Int((counts.latest?.timeIntervalSince1970 ?? 0) * 1000)),
          "inference_count": .int(counts.images), "execution_count": .int(counts.batches),
          "inference_stats": [
            "success": counts.succeeded.record, "fail": counts.failed.record, "compute_infer": compute.record
          ],
          "batch_stats": []
        ]
      ]
    ]
  }

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
