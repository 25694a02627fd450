import Foundation
import QuenchSupport
import QuenchTorch
import Synchronization
import TestSupport
import Testing

@testable import QuenchVision

@Suite("Class folders") struct DataFolderTests {
  private let folder: TemporaryFolder
  private var options: DataOptions

  init() throws {
    folder = try TemporaryFolder()
    options = DataOptions(cacheDirectory: folder.url.appendingPathComponent("cache"))
    for name in ["train", "test"] {
      try folder.write(Sample.pngRGB, "\(name)/dog/a.png")
      try folder.write(Sample.jpegGrey, "\(name)/cat/b.JPEG")
      try folder.write(Sample.pngGrey, "\(name)/cat/a.png")
    }
  }

  private func load(_ split: DataSplit = .train, _ options: DataOptions? = nil) throws(InputError) -> ImageDataset {
    try Datasets.load(.folder, directory: folder.url, split: split, options: options ?? self.options)
  }

  private var caches: [URL] {
    get throws {
      try FileManager.default.contentsOfDirectory(at: options.cacheDirectory, includingPropertiesForKeys: nil)
    }
  }

  @Test("give classes and files in sorted order, as planes")
  func reads() throws {
    try folder.write(Data("notes".utf8), "train/cat/notes.txt")
    let data = try load()
    #expect(data.images.shape == [3, 3, 6, 8] && data.images.dtype == .uint8)
    #expect(data.classNames == ["cat", "dog"])
    #expect(data.labels.array(Int.self) == [0, 0, 1])
    #expect(data.images[2, 0, 0].array(UInt8.self) == [0, 36, 72, 109, 145, 182, 218, 255])
    #expect(data.images[0, 2, 0].array(UInt8.self) == [0, 13, 26, 40, 53, 67, 80, 93])
    #expect(data.notes.count == 1 && data.notes[0].hasPrefix("ignored: 1 file not"))
  }

  @Test("may call the test pictures validation, valid or val", arguments: ["validation", "valid", "val"])
  func otherNames(_ name: String) throws {
    try FileManager.default.moveItem(at: folder / "test", to: folder / name)
    #expect(try load(.test).labels.array(Int.self) == [0, 0, 1])
  }

  @Test("of one kind alone are divided, always the same way, and say so", arguments: [true, false])
  func divided(hasTrain: Bool) throws {
    try FileManager.default.removeItem(at: folder / "test")
    for index in 0..<8 { try folder.write(Sample.pngGrey, "train/cat/\(index).png") }
    for name in ["cat", "dog"] where !hasTrain {
      try FileManager.default.moveItem(at: folder / "train/\(name)", to: folder / name)
    }
    if !hasTrain { try FileManager.default.removeItem(at: folder / "train") }
    try folder.write(Sample.pngRGB, "\(hasTrain ? "train/" : "")dog/b.png")
    let lists = try DataSplit.allCases.map { try ImageList.classFolder(folder.url, split: $0) }
    #expect(lists.map { $0.entries.map(\.label).sorted() } == [[0, 0, 0, 0, 0, 0, 0, 0, 1], [0, 0, 1]])
    #expect(Set(lists.flatMap(\.entries).map(\.path)).count == 12)
    #expect(try ImageList.classFolder(folder.url, split: .test).entries.map(\.path) == lists[1].entries.map(\.path))
    #expect(try load(.test).notes.contains { $0.contains("a fifth of each class") && $0.contains("3 of 12") })
  }

  @Test("of mixed sizes come to the size that a network takes; one of just this size stays as it is")
  mutating func mixed() throws {
    let wide = bitmap(4, 6)
    try wide.write(to: folder / "train/dog/c.bmp")
    #expect(inputError { try load() }?.remedy?.contains("`image-size`") == true)
    options.size = .fitted(PictureFit(channels: 3, height: 6, width: 8))
    let data = try load()
    #expect(data.images.shape == [4, 3, 6, 8])
    #expect(data.images[2, 0, 0].array(UInt8.self) == [0, 36, 72, 109, 145, 182, 218, 255])
    #expect(data.images[3, 0].array(UInt8.self).allSatisfy { $0 == 200 })
  }

  /// A bitmap of one color.
  private func bitmap(_ width: Int, _ height: Int) -> Data {
    func little(_ value: Int, _ count: Int) -> [UInt8] {
      (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
    let header =
      little(width, 4) + little(height, 4) + little(1, 2) + little(24, 2) + [UInt8](repeating: 0, count: 24)
    let rows = [UInt8](repeating: 200, count: (width * 3 + 3) / 4 * 4 * height)
    return Data(Array("BM".utf8) + little(0, 8) + little(54, 4) + little(40, 4) + header + rows)
  }

  @Test("of one channel")
  mutating func grey() throws {
    options.channels = 1
    let data = try load()
    #expect(data.images.shape == [3, 1, 6, 8])
    #expect(data.statistics.mean.count == 1)
  }

  @Test("carry the training pixels' statistics, also for the test split")
  func statistics() throws {
    let train = try load()
    let pixels = train.images.to(.float64) / 255
    let mean = pixels.mean([0, 2, 3]).array(Double.self)
    let deviation = pixels.variance([0, 2, 3], correction: 0).sqrt().array(Double.self)
    for channel in 0..<3 {
      #expect(abs(train.statistics.mean[channel] - mean[channel]) < 1e-6)
      #expect(abs(train.statistics.standardDeviation[channel] - deviation[channel]) < 1e-6)
    }
    try folder.write(Sample.pngGrey, "test/dog/a.png")
    #expect(try load(.test).statistics == train.statistics)
  }

  @Test("that are empty are named")
  func emptyClass() throws {
    try folder.write(Data("x".utf8), "train/bird/notes.txt")
    let error = inputError { try load() }
    #expect(error?.problem == "the class \"bird\" has no pictures")
    #expect(error?.location?.hasSuffix("train/bird") == true)
  }

  @Test("that only the test split has are an error")
  func unknownClass() throws {
    try folder.write(Sample.pngRGB, "test/bird/a.png")
    #expect(inputError { try load(.test) }?.location?.hasSuffix("test/bird") == true)
  }

  @Test("that are missing are an error")
  func missing() throws {
    let empty = try TemporaryFolder()
    #expect(throws: InputError.self) { try Datasets.load(.folder, directory: empty.url, split: .train) }
    #expect(throws: InputError.self) { try Datasets.load(.folder, split: .train) }
  }

  @Test("with a corrupt picture: an error that names it, or the others and its name")
  mutating func corrupt() throws {
    try folder.write(Sample.jpegGrey.prefix(300), "train/cat/aa.jpg")
    #expect(inputError { try load() }?.location?.hasSuffix("train/cat/aa.jpg") == true)
    options.skipCorrupt = true
    let data = try load()
    #expect(data.skipped == ["train/cat/aa.jpg"])
    #expect(data.labels.array(Int.self) == [0, 0, 1])
    #expect(data.images[2, 0, 0].array(UInt8.self) == [0, 36, 72, 109, 145, 182, 218, 255])
    #expect(try load().skipped == ["train/cat/aa.jpg"], "from the cache")
    options.skipCorrupt = false
    #expect(throws: InputError.self) { try load() }
  }

  @Test("that skipping would leave empty are an error")
  mutating func allCorrupt() throws {
    try folder.write(Data("no picture".utf8), "train/dog/a.png")
    options.skipCorrupt = true
    #expect(inputError { try load() }?.problem == "all pictures of the class \"dog\" are corrupt")
  }

  @Test("of pictures that differ in size need a size")
  mutating func sizes() throws {
    try folder.write(Sample.pngPlain, "train/dog/b.png")
    let error = inputError { try load() }
    #expect(error?.problem == "the pictures differ in size" && error?.found == "5 x 5")
    options.skipCorrupt = true
    #expect(inputError { try load() }?.problem == "the pictures differ in size")
    options.size = .cropped(4, shorterSide: 4)
    let data = try load()
    #expect(data.images.shape == [4, 3, 4, 4])
    #expect(data.images[3, 1].array(UInt8.self) == [UInt8](repeating: 20, count: 16))
  }

  @Test("report every picture that is done")
  mutating func progress() throws {
    let seen = Recorder()
    options.progress = { seen.add($0, $1) }
    _ = try load()
    #expect(seen.last == (3, 3))
    #expect(seen.calls == 3)
  }

  @Test("are decoded once: an unchanged folder comes from the cache")
  func cache() throws {
    let first = try load()
    let file = try #require(try caches.first)
    let time = try file.resourceValues(forKeys: [.contentModificationDateKey]).contentModificationDate
    let second = try load()
    #expect(second.images.isEqual(to: first.images) && second.fingerprint == first.fingerprint)
    #expect(try file.resourceValues(forKeys: [.contentModificationDateKey]).contentModificationDate == time)
    #expect(try caches.count == 1)
  }

  @Test("that changed are decoded anew")
  func changed() throws {
    let first = try load()
    try folder.write(Sample.pngPalette, "train/dog/a.png")
    let second = try load()
    #expect(!second.images.isEqual(to: first.images) && second.fingerprint != first.fingerprint)
  }

  @Test("with a damaged cache are decoded anew, and the cache is mended")
  func damagedCache() throws {
    let first = try load()
    let file = try #require(try caches.first)
    let good = try Data(contentsOf: file)
    for damage in [good.prefix(100), Data(), good.dropLast(), good + [0], flipped(good, at: good.count - 1)] {
      try Data(damage).write(to: file)
      #expect(try load().images.isEqual(to: first.images))
      #expect(try Data(contentsOf: file).count == good.count)
      #expect(throws: Never.self) { try PixelCache.parse(Data(contentsOf: file), name: "cache") }
    }
    for position in stride(from: 0, to: good.count, by: 7) {
      #expect(throws: InputError.self, "byte \(position)") {
        try PixelCache.parse(flipped(good, at: position), name: "cache")
      }
    }
  }

  @Test("load also where the cache cannot be written, with a note")
  mutating func unwritableCache() throws {
    try folder.write(Data("a file".utf8), "blocked")
    options.cacheDirectory = folder.url.appendingPathComponent("blocked/cache")
    let data = try load()
    #expect(data.count == 3)
    #expect(data.notes.count == 1 && data.notes[0].hasPrefix("the decoded pictures were not kept"))
  }

  private func flipped(_ data: Data, at index: Int) -> Data {
    var data = data
    data[index] ^= 0x01
    return data
  }
}

/// Counts calls from several threads.
final class Recorder: Sendable {
  private let state = Mutex((calls: 0, done: 0, total: 0))

  func add(_ done: Int, _ total: Int) { state.withLock { $0 = ($0.calls + 1, done, total) } }
  var calls: Int { state.withLock { $0.calls } }
  var last: (Int, Int) { state.withLock { ($0.done, $0.total) } }
}
