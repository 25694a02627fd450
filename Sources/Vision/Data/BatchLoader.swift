import Torch

/// A batch as a network takes it.
public struct Batch {
  /// float32, normalised, `[B, C, H, W]` in channels-last memory.
  public var images: Tensor
  /// int64, `[B]`.
  public var labels: Tensor
  /// Where it stands in the training.
  public var position: LoaderPosition

  public var count: Int { labels.size(0) }
}

/// A point in the stream of batches: what a checkpoint stores.
public struct LoaderPosition: Hashable, Codable, Sendable, Comparable {
  public var epoch: Int
  public var batch: Int

  public init(epoch: Int = 0, batch: Int = 0) {
    self.epoch = epoch
    self.batch = batch
  }

  public static func < (a: LoaderPosition, b: LoaderPosition) -> Bool {
    (a.epoch, a.batch) < (b.epoch, b.batch)
  }
}

/// Cuts a data set into batches of normalised, possibly augmented images.
///
/// Order and augmentation follow from the seed, the epoch and the image alone. So a loader has no state: any batch
/// can be made at any time, in any order, and training resumes exactly at a stored position.
public struct BatchLoader {
  public var dataset: ImageDataset
  public var batchSize: Int
  /// `nil`: images as they are.
  public var augmentation: Augmentation?
  /// Draw a new order each epoch.
  public var shuffles: Bool
  /// Leave out an epoch's last batch if it is smaller than the others.
  public var dropsLast: Bool
  public var seed: UInt64

  /// Batches for training: shuffled, all of one size.
  public static func training(
    _ dataset: ImageDataset, batchSize: Int, augmentation: Augmentation?, seed: UInt64
  ) -> BatchLoader {
    BatchLoader(
      dataset: dataset, batchSize: batchSize, augmentation: augmentation, shuffles: true, dropsLast: true,
      seed: seed)
  }

  /// Batches for evaluation: every image once, in order.
  public static func evaluation(_ dataset: ImageDataset, batchSize: Int) -> BatchLoader {
    BatchLoader(
      dataset: dataset, batchSize: batchSize, augmentation: nil, shuffles: false, dropsLast: false, seed: 0)
  }

  /// At least one: a data set smaller than a batch is one batch.
  public var batchesPerEpoch: Int {
    dropsLast ? max(1, dataset.count / batchSize) : (dataset.count + batchSize - 1) / batchSize
  }

  /// The batches of an epoch from `position` to its end, made one by one as they are asked for.
  public func batches(from position: LoaderPosition = LoaderPosition()) -> some Sequence<Batch> {
    let order = order(ofEpoch: position.epoch)
    return (position.batch..<max(position.batch, batchesPerEpoch)).lazy.map { index in
      let images = order[index * batchSize..<min(order.count, (index + 1) * batchSize)]
      return batch(of: Array(images), at: LoaderPosition(epoch: position.epoch, batch: index))
    }
  }

  /// The indices of the images in the order of an epoch.
  func order(ofEpoch epoch: Int) -> [Int] {
    guard shuffles else { return Array(0..<dataset.count) }
    var random = SplitMix64(seed, 0, UInt64(epoch))
    return (0..<dataset.count).shuffled(using: &random)
  }

  private func batch(of indices: [Int], at position: LoaderPosition) -> Batch {
    let selection = Tensor(indices).to(dataset.images.device)
    let images = dataset.images.selecting(selection)
    let labels = dataset.labels.selecting(selection)
    guard let augmentation else { return Batch(images: normalised(images), labels: labels, position: position) }
    let draws = indices.map { index in
      var random = SplitMix64(seed, 1, UInt64(position.epoch), UInt64(index))
      return Augmentation.Draw(augmentation, using: &random)
    }
    let augmented =
      switch augmentation.border {
      case .black: normalised(Augmentation.crop(images, padding: augmentation.padding, draws))
      case .mean: Augmentation.crop(normalised(images), padding: augmentation.padding, draws)
      }
    return Batch(images: augmented, labels: labels, position: position)
  }

  /// (pixel / 255 - mean) / standard deviation, channel by channel.
  private func normalised(_ images: Tensor) -> Tensor {
    let statistics = dataset.statistics
    let scale = statistics.standardDeviation.map { 1 / (255 * max($0, 1e-6)) }
    let shift = zip(statistics.mean, statistics.standardDeviation).map { -$0 / max($1, 1e-6) }
    func perChannel(_ values: [Float]) -> Tensor {
      Tensor(values, shape: [1, values.count, 1, 1]).to(images.device)
    }
    let normalised = images.to(.float32).contiguous(.channelsLast)
    normalised *= perChannel(scale)
    normalised += perChannel(shift)
    return normalised
  }
}
