import Foundation
import QuenchSupport
import QuenchTorch

/// Labelled images of one size in memory.
public struct ImageDataset {
  public var name: String
  /// uint8, `[N, C, H, W]`, on any device.
  public var images: Tensor
  /// int64, `[N]`, each in `0..<classNames.count`.
  public var labels: Tensor
  /// In label order.
  public var classNames: [String]
  /// What normalises the images: those of the training pixels, in units where 255 is 1.
  public var statistics: ChannelStatistics
  /// SHA-256 of the files that were read, or of the decoded pictures.
  public var fingerprint: String
  /// Paths of the corrupt pictures that were left out.
  public var skipped: [String] = []
  /// What else a user should know about how the data were read.
  public var notes: [String] = []
  /// The ranks that share the work on the images.
  public var world = World.alone

  /// Copies the block's images into a tensor.
  public init(
    name: String, block: PixelBlock, classNames: [String], statistics: ChannelStatistics, fingerprint: String
  ) {
    self.name = name
    self.images = block.pixels.withUnsafeBytes { Tensor(bytes: $0, shape: block.shape, dtype: .uint8) }
    self.labels = Tensor(block.labels)
    self.classNames = classNames
    self.statistics = statistics
    self.fingerprint = fingerprint
  }

  /// Where each image stands in the file or folder that it is from; nil: these are all, in their order.
  public private(set) var places: [Int]?

  public var count: Int { images.size(0) }
  public var channels: Int { images.size(1) }
  public var height: Int { images.size(2) }
  public var width: Int { images.size(3) }

  /// The first `count` images, or all if there are fewer.
  public func prefix(_ count: Int) -> ImageDataset {
    precondition(count > 0, "a data set needs an image")
    return subset(Array(0..<min(count, self.count)))
  }

  /// `count` images drawn evenly over the classes, or all if there are fewer; they keep the order of the whole.
  ///
  /// The classes take turns, each in a random order, until `count` is reached, and one that has no more images is
  /// passed over: so classes differ by one image at most where all have enough, and a smaller sample of the same seed
  /// lies within a larger one.
  public func sample(_ count: Int, seed: UInt64) -> ImageDataset {
    precondition(count > 0, "a data set needs an image")
    guard count < self.count else { return self }
    var random = SplitMix64(seed)
    var classes = [[Int]](repeating: [], count: classNames.count)
    for (index, label) in labels.array(Int64.self).enumerated() { classes[Int(label)].append(index) }
    for label in classes.indices { classes[label].shuffle(using: &random) }
    classes.shuffle(using: &random)
    var drawn: [Int] = []
    for turn in 0..<count where drawn.count < count {
      drawn += classes.compactMap { turn < $0.count ? $0[turn] : nil }
    }
    return subset(drawn.prefix(count).sorted())
  }

  /// Images of each class, in label order.
  public var classCounts: [Int] {
    labels.array(Int64.self).reduce(into: [Int](repeating: 0, count: classNames.count)) { $0[Int($1)] += 1 }
  }

  /// The images at `indices`, in that order.
  public func subset(_ indices: [Int]) -> ImageDataset {
    let rows = Tensor(indices).to(images.device)
    var part = replacing(images: images.selecting(rows), labels: labels.selecting(rows))
    part.places = indices.map { places?[$0] ?? $0 }
    return part
  }

  /// Splits off `heldOut` images drawn without replacement; both parts keep the order of the whole.
  ///
  /// - Parameters:
  ///   - heldOut: How many.
  ///   - seed: The same seed gives the same split.
  /// - Throws: `InputError` unless both parts get an image.
  public func split(heldOut: Int, seed: UInt64) throws(InputError) -> (train: ImageDataset, heldOut: ImageDataset) {
    guard (1..<count).contains(heldOut) else {
      throw InputError(
        "that many images cannot be held out of \(name)", expected: "1 to \(count - 1)", found: "\(heldOut)")
    }
    var random = SplitMix64(seed)
    let order = (0..<count).shuffled(using: &random)
    return (subset(order[heldOut...].sorted()), subset(order[..<heldOut].sorted()))
  }

  /// The same data on another device.
  public func to(_ device: Device) -> ImageDataset {
    replacing(images: images.to(device), labels: labels.to(device))
  }

  private func replacing(images: Tensor, labels: Tensor) -> ImageDataset {
    var copy = self
    copy.images = images
    copy.labels = labels
    return copy
  }
}
