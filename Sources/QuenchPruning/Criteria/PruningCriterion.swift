import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// A way to rank weights once, before any training of the pruned network.
public protocol PruningCriterion: Hashable, InlineGroup, Sendable {
  /// What it is called in a configuration, such as `snip`.
  static var name: String { get }

  /// The criterion with every hyper-parameter at its default.
  init(_ target: PruningTarget)

  /// - Throws: `InputError` for a hyper-parameter out of its range.
  func validate() throws(InputError)

  /// The importance of each prunable weight. The network stays as it is: weights, statistics and training flag.
  /// - Parameters:
  ///   - network: Whose weights are ranked.
  ///   - layout: Its prunable weights.
  ///   - dataset: Where images are drawn from; they are used as they are, not augmented.
  ///   - seed: The same seed gives the same ranking.
  /// - Returns: `[n]`, larger is more important, finite, in float64 or the network's type and on its device.
  /// - Throws: `InputError` if a hyper-parameter makes no sense, a class has too few images or a ranking is not a
  ///   number.
  func ranking(
    of network: Network, layout: WeightLayout, on dataset: ImageDataset, seed: UInt64
  ) throws(InputError) -> Tensor
}

extension PruningCriterion {
  /// - Throws: `InputError` that names the criterion and its setting unless `holds`.
  func require(
    _ holds: Bool, _ setting: String, _ expected: String, found: some CustomStringConvertible
  ) throws(InputError) {
    guard holds else {
      throw InputError(
        "the criterion cannot be used like this", at: "\(Self.self), \(setting)", expected: expected,
        found: "\(found)")
    }
  }
}

extension Tensor {
  /// This ranking, if it is one: only then may a mask be made of it.
  /// - Throws: `InputError` if an element is NaN or infinite.
  func checkedRanking(of method: String) throws(InputError) -> Tensor {
    let finite = isFinite().nonzeroCount()
    guard finite == count else {
      throw InputError(
        "the ranking is not a number", at: method, expected: "a finite number for each weight",
        found: "NaN or infinity for \(count - finite) of \(count)",
        remedy: "look for such values among the network's weights, or for weights that are far too large")
    }
    return self
  }
}

// MARK: - Losses

extension Network {
  /// The parameters at `positions` as leaves that share their memory.
  func leaves(_ positions: [Int]) -> [Tensor] { positions.map { parameters[$0].tensor.detached().requiringGrad() } }

  /// The mean cross-entropy on `batch`, logits divided by `temperature`, as a function of the parameters at
  /// `positions`.
  ///
  /// Batch norm works with the batch's own statistics and leaves the running ones alone.
  func crossEntropy(
    on batch: Batch, replacing positions: [Int], temperature: Double = 1
  ) -> ([Tensor]) -> Tensor {
    let batch = batch.shared(in: world)
    let images = batch.images.to(device, dtype: dtype)
    let labels = batch.labels.to(device)
    return { [self] weights in
      let before = isTraining
      isTraining = true
      defer { isTraining = before }
      let logits = self(
        images, weights: self.weights(replacing: positions, with: weights), updatingStatistics: false)
      return (logits.inFullPrecision() / temperature).crossEntropy(labels)
    }
  }
}

// MARK: - Images

extension ImageDataset {
  /// `count` images of each class, drawn without replacement: one of each class, then another of each, and so on,
  /// so that every part of them is balanced.
  /// - Throws: `InputError` that names a class with too few images.
  func sample(perClass count: Int, seed: UInt64) throws(InputError) -> Batch {
    let labels = labels.array(Int.self)
    var drawn = [[Int]](repeating: [], count: classNames.count)
    var random = SplitMix64(seed)
    for index in labels.indices.shuffled(using: &random) where drawn[labels[index]].count < count {
      drawn[labels[index]].append(index)
    }
    if let scarce = drawn.firstIndex(where: { $0.count < count }) {
      throw InputError(
        "class '\(classNames[scarce])' has too few images to rank weights by", at: name,
        expected: "\(count) or more", found: "\(drawn[scarce].count)", remedy: "draw fewer images of each class")
    }
    let chosen = subset((0..<count).flatMap { turn in drawn.map { $0[turn] } })
    return BatchLoader.evaluation(chosen, batchSize: chosen.count).batch(at: LoaderPosition())
  }
}

extension Batch {
  /// This rank's part of a batch that all ranks have whole; one with fewer images than there are ranks stays whole, which
  /// gives the same derivatives.
  fileprivate func shared(in world: World) -> Batch {
    let part = BatchPart(of: count, in: world)
    guard self.part.rows.count == self.part.count, count >= world.size else { return self }
    return Batch(images: images[part.rows], labels: labels[part.rows], position: position, part: part)
  }

  /// Consecutive parts, equal in size to within one image.
  func split(into parts: Int) -> [Batch] {
    (0..<parts).map { part in
      let range = count * part / parts..<count * (part + 1) / parts
      return Batch(images: images[range], labels: labels[range], position: position)
    }
  }
}
