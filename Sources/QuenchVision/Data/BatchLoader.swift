import QuenchSupport
import QuenchTorch

/// A batch as a network takes it.
public struct Batch {
  /// float32 pixels in [0, 1], `[B, C, H, W]` in channels-last memory. Networks normalise them.
  public var images: Tensor
  /// int64, `[B]`.
  public var labels: Tensor
  /// Where it stands in the training.
  public var position: LoaderPosition
  /// What of the whole batch this is.
  public var part: BatchPart

  /// - Parameters:
  ///   - images: `[B, C, H, W]`, pixels in [0, 1].
  ///   - labels: `[B]`.
  ///   - position: Where it stands in the training.
  ///   - part: What of the whole batch this is; nil: all of it.
  public init(images: Tensor, labels: Tensor, position: LoaderPosition, part: BatchPart? = nil) {
    self.images = images
    self.labels = labels
    self.position = position
    self.part = part ?? BatchPart(0..<labels.size(0), of: labels.size(0))
  }

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

/// Cuts a data set into batches of images, augmented or as they are.
///
/// Order and augmentation follow from the seed, the position and the image alone. So a loader has no state: any
/// batch can be made at any time, in any order, and training resumes exactly at a stored position. Each rank makes its
/// part of a batch, whose images are those that a single process would make of it.
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
  /// The ranks that each have a part of every batch.
  public var world: World

  public init(
    dataset: ImageDataset, batchSize: Int, augmentation: Augmentation?, shuffles: Bool, dropsLast: Bool,
    seed: UInt64, world: World = .alone
  ) {
    precondition(batchSize > 0, "a batch needs an image")
    self.dataset = dataset
    self.batchSize = batchSize
    self.augmentation = augmentation
    self.shuffles = shuffles
    self.dropsLast = dropsLast
    self.seed = seed
    self.world = world
  }

  /// Batches for training: shuffled, all of one size, shared among the ranks of the data set's world.
  public static func training(
    _ dataset: ImageDataset, batchSize: Int, augmentation: Augmentation?, seed: UInt64
  ) -> BatchLoader {
    BatchLoader(
      dataset: dataset, batchSize: batchSize, augmentation: augmentation, shuffles: true, dropsLast: true,
      seed: seed, world: dataset.world)
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

  /// Images that an epoch leaves out, other ones each time: those that do not fill a batch.
  public var leftOutPerEpoch: Int { max(0, dataset.count - batchesPerEpoch * batchSize) }

  /// The batches of an epoch from `position` to its end, made one by one as they are asked for.
  public func batches(from position: LoaderPosition = LoaderPosition()) -> some Sequence<Batch> {
    (position.batch..<max(position.batch, batchesPerEpoch)).lazy.map { index in
      batch(at: LoaderPosition(epoch: position.epoch, batch: index))
    }
  }

  /// The batch at `position`, whose batch is one of ``batchesPerEpoch``, or this rank's part of it.
  ///
  /// - Parameters:
  ///   - position: The epoch, and the batch in it.
  ///   - draw: A method that takes several batches at one position numbers them: each draw has its own order and
  ///     augmentation.
  public func batch(at position: LoaderPosition, draw: Int = 0) -> Batch {
    let positions = position.batch * batchSize..<min(dataset.count, (position.batch + 1) * batchSize)
    let key = SplitMix64(seed, 0, UInt64(position.epoch), UInt64(draw))
    let order = Permutation(count: dataset.count, using: key)
    let part = BatchPart(of: positions.count, in: world)
    let indices = part.rows.map { row in
      let place = positions.lowerBound + row
      return shuffles ? order[place] : place
    }
    let selection = Tensor(indices).to(dataset.images.device)
    var images = dataset.images.selecting(selection)
    if let augmentation {
      let crops = indices.map { index in
        var random = SplitMix64(seed, 1, UInt64(position.epoch), UInt64(draw), UInt64(index))
        return Augmentation.Crop(augmentation, using: &random)
      }
      images = augmented(images, augmentation, crops)
    }
    return Batch(
      images: pixels(images), labels: dataset.labels.selecting(selection), position: position, part: part)
  }

  private func augmented(_ images: Tensor, _ augmentation: Augmentation, _ crops: [Augmentation.Crop]) -> Tensor {
    switch augmentation.border {
    case .black: return Augmentation.crop(images, padding: augmentation.padding, crops)
    case .mean:
      let mean = Tensor(dataset.statistics.mean.map { Float($0) }, shape: [1, dataset.channels, 1, 1])
        .to(images.device)
      return Augmentation.crop(pixels(images) - mean, padding: augmentation.padding, crops) + mean
    }
  }

  /// Pixels in [0, 1], channels last.
  private func pixels(_ images: Tensor) -> Tensor {
    guard images.dtype == .uint8 else { return images.contiguous(.channelsLast) }
    let pixels = images.to(.float32).contiguous(.channelsLast)
    pixels *= 1.0 / 255
    return pixels
  }
}
