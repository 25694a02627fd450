import Foundation
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Certifies images one after the other, with the noisy copies of several put together so that every batch is full.
public struct CertificationRun {
  public let certify: Certify
  public let noise: NoiseStream
  /// Noisy copies that are classified at once. The certificates do not depend on it.
  public var batchSize = 256
  public var device = Device.cpu

  /// At most so many images are worked on at once: what an interruption costs, and what a hard one keeps waiting.
  private static let mostPoints = 64
  /// Batches that are not full are of multiples of this, so that there are few sizes to prepare for.
  private static let step = 32

  public init(_ certify: Certify, seed: UInt64) {
    self.certify = certify
    noise = NoiseStream(seed: seed)
  }

  /// An image with what was found out about it.
  public struct Result {
    public let index: Int
    public let attempt: Certify.Attempt
    /// Its share of the time that classifying took.
    public let seconds: Double
  }

  private struct Point {
    let source: NoiseStream.Source
    var attempt: Certify.Attempt
    var seconds = 0.0
    /// How many copies the next batch holds.
    var share = 0

    /// These copies.
    var samples: [NoiseStream.Samples] {
      var rest = share
      return attempt.wanted.compactMap { wanted in
        let range = wanted.range.prefix(rest)
        rest -= range.count
        return range.isEmpty ? nil : .init(source, wanted.purpose, range)
      }
    }
  }

  /// Certifies the images at `indices`.
  /// - Parameters:
  ///   - indices: Positions in `dataset`, in the order in which results are wanted.
  ///   - dataset: The images.
  ///   - classify: Answers pixels, `[N, C, H, W]`, with logits or probabilities `[N, classes]`. It must be the same
  ///     function throughout: batch norm in evaluation mode, no dropout.
  ///   - each: Takes each result, in order, as soon as it is there.
  /// - Throws: What `classify` and `each` throw; `Interrupted` when the user asked to leave.
  public func callAsFunction(
    _ indices: some Collection<Int>, of dataset: ImageDataset, classify: (Tensor) throws -> Tensor,
    each: (Result) throws -> Void
  ) throws {
    try self(indices, source: { Self.source($0, dataset) }, classify: classify, each: each)
  }

  /// Certifies images that `source` gives by their numbers; the rest as above.
  public func callAsFunction(
    _ indices: some Collection<Int>, source: (Int) -> NoiseStream.Source, classify: (Tensor) throws -> Tensor,
    each: (Result) throws -> Void
  ) throws {
    var waiting = indices.makeIterator()
    var points: [Point] = []
    while true {
      let start = ContinuousClock.now
      fill(&points) {
        waiting.next().map { Point(source: source($0), attempt: certify.attempt()) }
      }
      let samples = points.flatMap(\.samples)
      guard !samples.isEmpty else { return }
      if Interruption.isRequested { throw Interrupted(folder: nil) }
      let images = noise.noisyCopies(samples, sigma: certify.sigma, on: device)
      let labels = try withoutGradient { Self.labels(try classify(images)) }
      let secondsPerCopy = (ContinuousClock.now - start) / .seconds(1) / Double(labels.count)
      var rest = labels[...]
      for position in points.indices {
        points[position].attempt.take(rest.prefix(points[position].share))
        points[position].seconds += secondsPerCopy * Double(points[position].share)
        rest = rest.dropFirst(points[position].share)
      }
      while let first = points.first, first.attempt.wanted.isEmpty {
        points.removeFirst()
        try each(Result(index: first.source.index, attempt: first.attempt, seconds: first.seconds))
      }
    }
  }

  /// Deals a batch out among images: to each the copies that it needs whatever classes they get, and new images until the
  /// batch is full. Where there are none, the first take more, which may be in vain.
  private func fill(_ points: inout [Point], next: () -> Point?) {
    var space = batchSize
    for position in 0..<Self.mostPoints {
      if position == points.count {
        guard space > 0, let point = next() else { break }
        points.append(point)
      }
      points[position].share = min(space, points[position].attempt.certain)
      space -= points[position].share
    }
    let step = device == .cpu ? Self.step : batchSize
    let used = batchSize - space
    space = min(space, (used + step - 1) / step * step - used)
    for position in points.indices where space > 0 {
      let open = points[position].attempt.wanted.reduce(0) { $0 + $1.range.count }
      let more = min(space, open - points[position].share)
      points[position].share += more
      space -= more
    }
  }

  static func source(_ index: Int, _ dataset: ImageDataset) -> NoiseStream.Source {
    let image = BatchLoader.evaluation(dataset, batchSize: 1).batch(at: LoaderPosition(batch: index)).images
    return NoiseStream.Source(image[0], index: index)
  }

  /// The class of each row, the lowest of equally large ones; -1 for a row that is not all numbers.
  static func labels(_ scores: Tensor) -> [Int] {
    let isInvalid = scores.isFinite().all(1) .== 0
    return scores.argmax(1).filled(with: -1, where: isInvalid).array(Int64.self).map { Int($0) }
  }
}
