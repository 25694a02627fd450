import Foundation
import QuenchSupport
import QuenchTorch
import Testing

@testable import QuenchVision

@Suite("Accuracy") struct AccuracyTests {
  private func dataset(labels: [Int64], classes: Int) -> ImageDataset {
    ImageDataset(
      name: "test",
      block: PixelBlock(shape: [labels.count, 1, 1, 1], pixels: Data(count: labels.count), labels: labels),
      classNames: (0..<classes).map(String.init),
      statistics: ChannelStatistics(mean: [0], standardDeviation: [1]), fingerprint: "")
  }

  @Test("counts the images whose largest logit is that of their class")
  func counts() throws {
    func classify(_ images: Tensor) -> Tensor {
      Tensor([[Float]](repeating: [1, 0], count: images.size(0)).flatMap { $0 }, shape: [images.size(0), 2])
    }
    let accuracy = try dataset(labels: [0, 1, 1, 0, 1], classes: 2).accuracy(of: classify, batchSize: 2)
    #expect(accuracy == Accuracy(correct: 2, count: 5))
  }

  @Test("a network that answers NaN or infinity to any image gets no accuracy, and is told to how many it does")
  func noNumbers() throws {
    let data = dataset(labels: [0, 1, 0, 1, 0], classes: 2)
    var seen = 0
    func classify(_ images: Tensor) -> Tensor {
      let rows: [[Float]] = [[1, 0], [.nan, 0], [0, 1], [.infinity, 0], [0, -.infinity]]
      defer { seen += images.size(0) }
      return Tensor(rows[seen..<seen + images.size(0)].flatMap { $0 }, shape: [images.size(0), 2])
    }
    let error = #expect(throws: InputError.self) { try data.accuracy(of: classify, batchSize: 2) }
    #expect(error?.problem == "the network answers NaN or infinity to 3 of 5 images, so it has no accuracy")
    #expect(error?.location == "test")
  }
}

@Suite("A sample of a data set") struct SampleTests {
  /// Images of one pixel, whose value is their position; sorted by class, `counts` of each.
  private func sorted(_ counts: [Int]) -> ImageDataset {
    let labels = counts.indices.flatMap { [Int64](repeating: Int64($0), count: counts[$0]) }
    let block = PixelBlock(
      shape: [labels.count, 1, 1, 1], pixels: Data(labels.indices.map { UInt8($0) }), labels: labels)
    return ImageDataset(
      name: "sorted", block: block, classNames: counts.indices.map(String.init),
      statistics: ChannelStatistics(mean: [0], standardDeviation: [1]), fingerprint: "")
  }

  private func positions(_ dataset: ImageDataset) -> [Int] { dataset.images.array(UInt8.self).map(Int.init) }

  @Test("has as many images of each class, give or take one, whatever the order of the whole")
  func balanced() {
    let data = sorted([50, 50, 50, 50])
    #expect(data.sample(20, seed: 1).classCounts == [5, 5, 5, 5])
    let counts = data.sample(22, seed: 1).classCounts
    #expect(counts.sorted() == [5, 5, 6, 6])
    #expect(data.prefix(20).classCounts == [20, 0, 0, 0])
  }

  @Test("takes more of the others where a class has too few")
  func exhausted() {
    #expect(sorted([2, 50, 50]).sample(22, seed: 3).classCounts == [2, 10, 10])
    #expect(sorted([2, 3]).sample(9, seed: 3).classCounts == [2, 3])
  }

  @Test("follows from the seed, keeps the order of the whole, and lies within a larger one")
  func seeded() {
    let data = sorted([40, 40, 40])
    let few = positions(data.sample(10, seed: 5))
    #expect(few == positions(data.sample(10, seed: 5)))
    #expect(few == few.sorted() && Set(few).count == 10)
    #expect(few != positions(data.sample(10, seed: 6)))
    #expect(Set(few).isSubset(of: positions(data.sample(31, seed: 5))))
  }
}
