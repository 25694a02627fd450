import QuenchReporting
import QuenchSupport
import QuenchTorch

extension ImageDataset {
  /// The accuracy of `classify`, which answers pixels in [0, 1], `[N, C, H, W]`, with logits `[N, classes]`.
  /// - Parameters:
  ///   - classify: The classifier.
  ///   - batchSize: Images that are classified at once.
  ///   - progress: Called with the number of images done.
  /// - Throws: `InputError` if an answer holds NaN or infinity, as ``answers(of:batchSize:_:)`` does.
  public func accuracy(
    of classify: (Tensor) -> Tensor, batchSize: Int = 500, progress: (Int) -> Void = { _ in }
  ) throws(InputError) -> Accuracy {
    var accuracy = Accuracy(correct: 0, count: 0)
    try answers(of: classify, batchSize: batchSize) { logits, labels in
      accuracy.correct += (logits.argmax(1) .== labels).nonzeroCount()
      accuracy.count += labels.count
      progress(accuracy.count)
    }
    return accuracy
  }

  /// Hands `take` the logits that `classify` answers every batch with, in order, and the batch's labels.
  ///
  /// Every figure that is computed from logits goes through here: the largest of numbers that are none is no answer. The
  /// ranks of the data set's world each compute a part of the batches, and all see all answers.
  /// - Throws: `InputError` at the end if an answer to any image holds NaN or infinity; it says to how many. What
  ///   `take` made of the logits is then worth nothing.
  public func answers(
    of classify: (Tensor) -> Tensor, batchSize: Int = 500, _ take: (_ logits: Tensor, _ labels: Tensor) -> Void
  ) throws(InputError) {
    var withoutAnswer = 0
    withoutGradient {
      let loader = BatchLoader.evaluation(self, batchSize: batchSize)
      for first in stride(from: 0, to: loader.batchesPerEpoch, by: world.size) {
        let turn = first..<min(first + world.size, loader.batchesPerEpoch)
        // In each turn every rank has one batch, but for the last turn.
        let own = turn.dropFirst(world.rank).first.map { loader.batch(at: LoaderPosition(batch: $0)) }
        let answers = own.map { classify($0.images) }
        let rows = turn.lowerBound * batchSize..<min(turn.upperBound * batchSize, count)
        let logits = world.gatherRows(answers ?? Tensor.zeros([0, classNames.count]))
        withoutAnswer += rows.count - logits.isFinite().all(1).nonzeroCount()
        take(logits, labels[rows])
      }
    }
    guard withoutAnswer == 0 else {
      throw InputError(
        "the network answers NaN or infinity to \(NumberText.fixed(Double(withoutAnswer), decimals: 0)) of "
          + "\(NumberText.count(count, "image")), so it has no accuracy",
        at: name, remedy: "use weights of a run that did not diverge")
    }
  }
}
