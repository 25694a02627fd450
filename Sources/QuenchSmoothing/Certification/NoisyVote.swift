import QuenchSupport
import QuenchTorch
import QuenchVision

/// Predicts images one after the other by the votes of their noisy copies, with the copies of several put together so
/// that every batch is full.
public struct NoisyVote {
  public let predict: Predict
  public let sigma: Double
  public let noise: NoiseStream
  /// Noisy copies that are classified at once. The predictions do not depend on it.
  public var batchSize = 256
  public var device = Device.cpu

  /// - Parameters:
  ///   - predict: How many copies vote, and what they must show.
  ///   - sigma: The noise's standard deviation, in units in which pixels lie in [0, 1].
  ///   - seed: Of the noise.
  public init(_ predict: Predict, sigma: Double, seed: UInt64) {
    self.predict = predict
    self.sigma = sigma
    noise = NoiseStream(seed: seed)
  }

  /// An image with what its copies voted for.
  public struct Result {
    public let index: Int
    /// How many copies got each class; those that got none are missing.
    public let counts: [Int]
    public let prediction: SmoothedPrediction
    /// Its share of the time that classifying took.
    public let seconds: Double
  }

  private struct Ballot {
    let source: NoiseStream.Source
    var asked = 0
    var counts: [Int] = []
    var seconds = 0.0

    /// - Parameters:
    ///   - labels: The classes of the next copies; -1 stands for no answer.
    ///   - seconds: What they took.
    mutating func add(_ labels: ArraySlice<Int>, seconds: Double) {
      asked += labels.count
      self.seconds += seconds
      for label in labels where label >= 0 {
        while counts.count <= label { counts.append(0) }
        counts[label] += 1
      }
    }
  }

  /// Predicts the images at `indices`.
  /// - Parameters:
  ///   - indices: Positions in `dataset`, in the order in which results are wanted.
  ///   - dataset: The images.
  ///   - classify: Answers pixels, `[N, C, H, W]`, with logits or probabilities `[N, classes]`.
  ///   - each: Takes each result, in order, as soon as it is there.
  /// - Throws: What `classify` and `each` throw; `Interrupted` when the user asked to leave.
  public func callAsFunction(
    _ indices: some Collection<Int>, of dataset: ImageDataset, classify: (Tensor) throws -> Tensor,
    each: (Result) throws -> Void
  ) throws {
    var waiting = indices.makeIterator()
    var ballots: [Ballot] = []
    while true {
      let start = ContinuousClock.now
      var samples: [NoiseStream.Samples] = []
      var space = batchSize
      for position in 0... {
        guard space > 0 else { break }
        if position == ballots.count {
          guard let index = waiting.next() else { break }
          ballots.append(Ballot(source: CertificationRun.source(index, dataset)))
        }
        let range = (ballots[position].asked..<predict.votes).prefix(space)
        samples.append(.init(ballots[position].source, .prediction, range))
        space -= range.count
      }
      guard !samples.isEmpty else { return }
      if Interruption.isRequested { throw Interrupted(folder: nil) }
      let images = noise.noisyCopies(samples, sigma: sigma, on: device)
      let labels = try withoutGradient { CertificationRun.labels(try classify(images)) }
      let secondsPerCopy = (ContinuousClock.now - start) / .seconds(1) / Double(labels.count)
      var rest = labels[...]
      for (position, run) in samples.enumerated() {
        ballots[position].add(rest.prefix(run.range.count), seconds: secondsPerCopy * Double(run.range.count))
        rest = rest.dropFirst(run.range.count)
      }
      while let first = ballots.first, first.asked == predict.votes {
        ballots.removeFirst()
        try each(
          Result(
            index: first.source.index, counts: first.counts, prediction: predict(counts: first.counts),
            seconds: first.seconds))
      }
    }
  }
}
