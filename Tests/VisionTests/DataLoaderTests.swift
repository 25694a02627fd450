import Foundation
import QuenchSupport
import QuenchTorch
import Testing

@testable import QuenchVision

@Suite("Augmentation") struct DataAugmentationTests {
  private func crop(_ top: Int, _ left: Int, _ mirrored: Bool) -> Augmentation.Crop {
    var random = SplitMix64(0)
    var crop = Augmentation.Crop(Augmentation(), using: &random)
    (crop.top, crop.left, crop.mirrored) = (top, left, mirrored)
    return crop
  }

  @Test("shifts and mirrors each image of the batch its own way, with zeros from beyond the border")
  func crops() {
    let image = Tensor((1...6).map { UInt8($0) }, shape: [1, 1, 2, 3])
    let batch = Tensor.concatenated([image, image, image, image])
    let crops = [crop(1, 1, false), crop(1, 1, true), crop(0, 2, false), crop(2, 0, true)]
    let out = Augmentation.crop(batch, padding: 1, crops)
    #expect(out.dtype == .uint8 && out.shape == [4, 1, 2, 3])
    #expect(out[0].array(UInt8.self) == [1, 2, 3, 4, 5, 6])
    #expect(out[1].array(UInt8.self) == [3, 2, 1, 6, 5, 4])
    #expect(out[2].array(UInt8.self) == [0, 0, 0, 2, 3, 0])
    #expect(out[3].array(UInt8.self) == [5, 4, 0, 0, 0, 0])
  }

  @Test("moves all channels of an image together")
  func channels() {
    let images = Tensor((0..<2 * 3 * 4 * 4).map { UInt8($0) }, shape: [2, 3, 4, 4])
    let out = Augmentation.crop(images, padding: 2, [crop(3, 2, false), crop(2, 1, true)])
    #expect(out[0, 1, 0].array(UInt8.self) == images[0, 1, 1].array(UInt8.self))
    let row = images[1, 2, 0].array(UInt8.self)
    #expect(out[1, 2, 0].array(UInt8.self) == [row[2], row[1], row[0], 0])
  }
}

@Suite("The loader") struct DataLoaderTests {
  private func dataset(count: Int = 20, channels: Int = 3) -> ImageDataset {
    var random = SplitMix64(7)
    let pixels = Data((0..<count * channels * 64).map { _ in UInt8(random.next() >> 56) })
    let block = PixelBlock(shape: [count, channels, 8, 8], pixels: pixels, labels: (0..<count).map { Int64($0) })
    let statistics = ChannelStatistics(
      mean: [0.5, 0.25, 0.4].prefix(channels).map { $0 },
      standardDeviation: [0.2, 0.5, 0.1].prefix(channels).map { $0 })
    return ImageDataset(
      name: "test", block: block, classNames: (0..<count).map(String.init), statistics: statistics, fingerprint: "")
  }

  private func all(_ loader: BatchLoader, from position: LoaderPosition = LoaderPosition()) -> [Batch] {
    Array(loader.batches(from: position))
  }

  @Test("tells how many images an epoch of training leaves out")
  func leftOut() {
    func loader(_ batchSize: Int) -> BatchLoader {
      .training(dataset(), batchSize: batchSize, augmentation: nil, seed: 1)
    }
    #expect(loader(8).leftOutPerEpoch == 4)
    #expect(loader(5).leftOutPerEpoch == 0)
    #expect(loader(30).leftOutPerEpoch == 0)
    #expect(BatchLoader.evaluation(dataset(), batchSize: 8).leftOutPerEpoch == 0)
  }

  @Test("gives every image once, in order, for evaluation")
  func evaluation() {
    let data = dataset()
    let batches = all(.evaluation(data, batchSize: 8))
    #expect(batches.map(\.count) == [8, 8, 4])
    #expect(batches.flatMap { $0.labels.array(Int.self) } == Array(0..<20))
    let expected = data.images[8..<16].to(.float32) / 255
    #expect(batches[1].images.isClose(to: expected, relative: 1e-6))
    #expect(batches.allSatisfy { $0.images.dtype == .float32 && $0.images.isContiguous(.channelsLast) })
    #expect(batches[0].labels.dtype == .int64)
  }

  @Test("leaves the data set's images as they are")
  func untouched() {
    let data = dataset()
    let before = data.images.cloned()
    _ = all(.training(data, batchSize: 5, augmentation: Augmentation(padding: 2), seed: 1))
    #expect(data.images.isEqual(to: before))
  }

  @Test("draws a new order each epoch, whole batches only, the same for the same seed")
  func order() {
    let loader = BatchLoader.training(dataset(), batchSize: 6, augmentation: nil, seed: 3)
    let first = all(loader).flatMap { $0.labels.array(Int.self) }
    #expect(first.count == 18 && Set(first).count == 18)
    #expect(all(loader).flatMap { $0.labels.array(Int.self) } == first)
    #expect(all(loader, from: LoaderPosition(epoch: 1)).flatMap { $0.labels.array(Int.self) } != first)
    var other = loader
    other.seed = 4
    #expect(all(other).flatMap { $0.labels.array(Int.self) } != first)
  }

  @Test("continues at a stored position with the same batches", arguments: [Augmentation.Border.black, .mean])
  func resumes(_ border: Augmentation.Border) throws {
    let augmentation = Augmentation(padding: 2, border: border)
    let loader = BatchLoader.training(dataset(), batchSize: 4, augmentation: augmentation, seed: 3)
    let whole = all(loader, from: LoaderPosition(epoch: 2))
    let stored = try JSONEncoder().encode(whole[3].position)
    let rest = all(loader, from: try JSONDecoder().decode(LoaderPosition.self, from: stored))
    #expect(rest.count == 2 && rest[0].position == LoaderPosition(epoch: 2, batch: 3))
    for (a, b) in zip(whole[3...], rest) {
      #expect(a.images.isEqual(to: b.images) && a.labels.isEqual(to: b.labels))
    }
    #expect(all(loader, from: LoaderPosition(epoch: 2, batch: 5)).isEmpty)
  }

  @Test("augments an image by seed and epoch alone, whatever batch it is in")
  func augmentationPerImage() {
    let data = dataset()
    let augmentation = Augmentation(padding: 2)
    func images(_ batchSize: Int, epoch: Int = 0) -> Tensor {
      let loader = BatchLoader(
        dataset: data, batchSize: batchSize, augmentation: augmentation, shuffles: false, dropsLast: false, seed: 5)
      return Tensor.concatenated(all(loader, from: LoaderPosition(epoch: epoch)).map(\.images))
    }
    #expect(images(20).isEqual(to: images(7)))
    #expect(!images(20).isEqual(to: images(20, epoch: 1)))
  }

  @Test("pads with black, or with the mean colour of each channel")
  func borders() {
    let data = dataset(count: 16)
    func images(_ border: Augmentation.Border) -> Tensor {
      let augmentation = Augmentation(padding: 7, flips: false, border: border)
      return BatchLoader.training(data, batchSize: 16, augmentation: augmentation, seed: 1).batch(at: .init())
        .images
    }
    let (black, mean) = (images(.black), images(.mean))
    let changed = (black - mean).abs() .> 1e-5
    #expect(changed.nonzeroCount() > 1000)
    #expect(black.masked(by: changed).max().item() == 0)
    for channel in 0..<3 {
      let border = mean[TensorIndex.all, channel].masked(by: changed[TensorIndex.all, channel])
      #expect(border.isClose(to: border.fullLike(data.statistics.mean[channel]), absolute: 1e-6))
    }
    #expect(mean.isContiguous(.channelsLast))
  }

  @Test("numbers several draws at one position")
  func draws() {
    let loader = BatchLoader.training(dataset(), batchSize: 10, augmentation: Augmentation(padding: 1), seed: 1)
    let position = LoaderPosition(epoch: 1, batch: 1)
    let (first, second) = (loader.batch(at: position), loader.batch(at: position, draw: 1))
    #expect(!first.labels.isEqual(to: second.labels))
    #expect(loader.batch(at: position, draw: 1).images.isEqual(to: second.images))
  }

  @Test("orders any number of images without losing or repeating one", arguments: [1, 2, 3, 16, 17, 1000, 4097])
  func permutations(_ count: Int) {
    let order = Permutation(count: count, using: SplitMix64(1, UInt64(count)))
    let elements = (0..<count).map { order[$0] }
    #expect(elements.sorted() == Array(0..<count))
    if count > 3 { #expect(elements != Array(0..<count)) }
  }

  @Test("puts each image at each place equally often")
  func uniform() {
    // 8000 orders of 8: each pair is expected 1000 times, with a standard deviation of 30.
    var counts = [Int](repeating: 0, count: 64)
    for seed in 0..<8000 {
      let order = Permutation(count: 8, using: SplitMix64(UInt64(seed)))
      for place in 0..<8 { counts[8 * place + order[place]] += 1 }
    }
    #expect(counts.allSatisfy { abs($0 - 1000) < 150 }, "\(counts)")
  }

  @Test("treats one colour channel as any number")
  func oneChannel() {
    let loader = BatchLoader.training(
      dataset(channels: 1), batchSize: 4, augmentation: Augmentation(padding: 1), seed: 0)
    #expect(all(loader)[0].images.shape == [4, 1, 8, 8])
  }

  @Test("makes one batch of a data set smaller than a batch")
  func small() {
    let loader = BatchLoader.training(dataset(count: 3), batchSize: 8, augmentation: nil, seed: 0)
    #expect(loader.batchesPerEpoch == 1 && all(loader).map(\.count) == [3])
  }
}

@Suite("A data set") struct DatasetTests {
  private let data: ImageDataset

  init() throws { data = try Datasets.load(.synthetic, split: .train) }

  @Test("has prefixes and subsets")
  func subsets() {
    #expect(data.count == 1024 && data.images.shape == [1024, 3, 32, 32])
    #expect(data.prefix(10).count == 10 && data.prefix(10_000).count == 1024)
    let subset = data.subset([5, 2])
    #expect(subset.labels.array(Int.self) == [5, 2])
    #expect(subset.images[1].isEqual(to: data.images[2]))
  }

  @Test("splits the same way for the same seed, into parts that do not overlap")
  func splits() throws {
    let numbered = Tensor.arange(to: 1024)
    var data = data
    data.labels = numbered
    let (train, heldOut) = try data.split(heldOut: 100, seed: 1)
    #expect((train.count, heldOut.count) == (924, 100))
    let labels = train.labels.array(Int.self) + heldOut.labels.array(Int.self)
    #expect(labels.sorted() == Array(0..<1024))
    #expect(try data.split(heldOut: 100, seed: 1).heldOut.labels.isEqual(to: heldOut.labels))
    #expect(try !data.split(heldOut: 100, seed: 2).heldOut.labels.isEqual(to: heldOut.labels))
    #expect(throws: InputError.self) { try data.split(heldOut: 1024, seed: 1) }
  }

  @Test("made up is the same for the same seed, and its splits differ")
  func synthetic() throws {
    var small = Synthetic()
    small.trainCount = 20
    small.testCount = 20
    small.side = 8
    let train = try small.make(.train)
    #expect(try small.make(.train) == train && small.make(.test).pixels != train.pixels)
    small.classes = 1
    #expect(throws: InputError.self) { try small.make(.train) }
  }
}
