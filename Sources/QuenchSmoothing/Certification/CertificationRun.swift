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

  /// Copies of an image that are asked for at once where the number needed is not known: it doubles from the first to
  /// the largest. More would be asked for in vain once the answer is sure; other images fill the batch.
  private static let (firstChunk, largestChunk) = (32, 256)

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
    var chunk: Int
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
    let isFixed = certify.radii == nil
    let firstChunk = isFixed ? batchSize : min(Self.firstChunk, batchSize)
    let largestChunk = isFixed ? batchSize : min(Self.largestChunk, batchSize)
    while true {
      let start = ContinuousClock.now
      var samples: [NoiseStream.Samples] = []
      var space = batchSize
      for position in 0... {
        guard space > 0 else { break }
        if position == points.count {
          guard let index = waiting.next() else { break }
          points.append(
            Point(source: source(index), attempt: certify.attempt(), chunk: firstChunk))
        }
        for wanted in points[position].attempt.wanted where space > 0 {
          // Selection takes a known number of copies.
          let most = wanted.purpose == .selection ? wanted.range.count : points[position].chunk
          let range = wanted.range.prefix(min(space, most))
          samples.append(.init(points[position].source, wanted.purpose, range))
          space -= range.count
        }
      }
      guard !samples.isEmpty else { return }
      if Interruption.isRequested { throw Interrupted(folder: nil) }
      let images = noise.noisyCopies(samples, sigma: certify.sigma, on: device)
      let labels = try withoutGradient { Self.labels(try classify(images)) }
      let secondsPerCopy = (ContinuousClock.now - start) / .seconds(1) / Double(labels.count)
      var rest = labels[...]
      for run in samples {
        guard let position = points.firstIndex(where: { $0.source.index == run.source.index }) else { continue }
        points[position].attempt.take(rest.prefix(run.range.count))
        points[position].seconds += secondsPerCopy * Double(run.range.count)
        if run.purpose == .estimation { points[position].chunk = min(2 * points[position].chunk, largestChunk) }
        rest = rest.dropFirst(run.range.count)
      }
      while let first = points.first, first.attempt.wanted.isEmpty {
        points.removeFirst()
        try each(Result(index: first.source.index, attempt: first.attempt, seconds: first.seconds))
      }
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
