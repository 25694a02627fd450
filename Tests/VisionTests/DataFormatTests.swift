import Foundation
import QuenchSupport
import TestSupport
import Testing

@testable import QuenchVision

@Suite("IDX files") struct DataIDXTests {
  private let images = Data([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3] + (0..<12))
  private let labels = Data([0, 0, 8, 1, 0, 0, 0, 2, 7, 9])

  private func parse(_ images: Data, _ labels: Data) throws(InputError) -> PixelBlock {
    try IDX.parse(
      images: ByteSource(images, name: "images"), labels: ByteSource(labels, name: "labels"), classes: 10)
  }

  @Test("give images and labels, plain or compressed")
  func parses() throws {
    let block = try parse(images, labels)
    #expect(block.shape == [2, 1, 2, 3])
    #expect(Array(block.pixels) == Array(0..<12))
    #expect(block.labels == [7, 9])
    #expect(try parse(Sample.gzipIDX, labels) == block)
  }

  @Test("cut short anywhere, or with stray bytes, are an error that tells the sizes")
  func truncated() {
    for length in 0..<images.count {
      #expect(throws: InputError.self) { try parse(images.prefix(length), labels) }
    }
    for length in 0..<labels.count {
      #expect(throws: InputError.self) { try parse(images, labels.prefix(length)) }
    }
    let short = inputError { try parse(images.dropLast(), labels) }
    #expect(short?.problem == "the IDX file is truncated")
    #expect(short?.expected == "2 x 2 x 3 bytes after the header" && short?.found == "11")
    #expect(inputError { try parse(images + [0], labels) }?.problem == "the IDX file has stray bytes")
  }

  @Test("of another element type or dimension are an error")
  func wrongMagic() {
    var floats = images
    floats[2] = 0x0D
    #expect(inputError { try parse(floats, labels) }?.found == "0x00000d03")
    #expect(inputError { try parse(labels, labels) }?.location == "images")
  }

  @Test("with huge dimensions are an error, without taking memory for them")
  func hugeDimensions() {
    let header = Data([0, 0, 8, 3] + [UInt8](repeating: 255, count: 12))
    #expect(inputError { try parse(header + [0], labels) }?.problem == "the IDX file is truncated")
  }

  @Test("are read as far as their header says, packed or of any size") func bounded() throws {
    let folder = try TemporaryFolder()
    let file = folder / "sparse"
    try images.write(to: file)
    let handle = try FileHandle(forWritingTo: file)
    try handle.truncate(atOffset: 3 << 30)
    try handle.close()
    let error = inputError { try IDX.parse(ByteSource(contentsOf: file), dimensions: 3) }
    #expect(error?.problem == "the IDX file has stray bytes" && error?.found == "\((3 << 30) - 16)")
    // Twelve elements are declared, and there are thirteen.
    let bomb = ByteSource(Sample.gzipLongIDX, name: "images")
    #expect(inputError { try IDX.parse(bomb, dimensions: 3) }?.problem == "the IDX file has stray bytes")
  }

  @Test("without images are an error")
  func empty() {
    let none = Data([0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3])
    #expect(inputError { try parse(none, Data([0, 0, 8, 1, 0, 0, 0, 0])) }?.problem == "the file holds no images")
  }

  @Test("with a label out of range name the record")
  func label() {
    let error = inputError { try parse(images, Data([0, 0, 8, 1, 0, 0, 0, 2, 7, 10])) }
    #expect(error?.location == "labels, record 1" && error?.expected == "0 to 9" && error?.found == "10")
  }

  @Test("with another number of labels than images are an error")
  func mismatch() {
    let error = inputError { try parse(images, Data([0, 0, 8, 1, 0, 0, 0, 1, 7])) }
    #expect(error?.expected == "2 labels for images" && error?.found == "1")
  }
}

@Suite("CIFAR files") struct DataCIFARTests {
  private func record(_ labels: [UInt8], _ value: UInt8) -> Data {
    Data(labels + (0..<3072).map { UInt8(truncatingIfNeeded: $0 / 1024) &+ value })
  }

  @Test("of ten classes: the count comes from the size")
  func ten() throws {
    let block = try CIFAR.ten.parse(ByteSource(record([3], 10) + record([9], 20), name: "test"))
    #expect(block.shape == [2, 3, 32, 32])
    #expect(block.labels == [3, 9])
    #expect(
      block.pixels[0] == 10 && block.pixels[1024] == 11 && block.pixels[3071] == 12 && block.pixels[3072] == 20)
  }

  @Test("of a hundred classes: the fine label counts")
  func hundred() throws {
    let block = try CIFAR.hundred.parse(ByteSource(record([19, 99], 0), name: "test"))
    #expect(block.labels == [99])
    #expect(inputError { try CIFAR.hundred.parse(ByteSource(record([20, 0], 0), name: "test")) }?.found == "20")
    #expect(inputError { try CIFAR.hundred.parse(ByteSource(record([0, 100], 0), name: "test")) }?.found == "100")
  }

  @Test("with more records than any published file are refused unread") func bounded() throws {
    let folder = try TemporaryFolder()
    let file = folder / "data_batch_1.bin"
    try record([3], 0).write(to: file)
    let handle = try FileHandle(forWritingTo: file)
    try handle.truncate(atOffset: 3073 * 1_000_000)
    try handle.close()
    let error = inputError { try CIFAR.ten.parse(ByteSource(contentsOf: file)) }
    #expect(error?.problem == "the file is too long" && error?.found == "1000000")
  }

  @Test("cut short are an error with record size and remainder")
  func truncated() {
    let error = inputError {
      try CIFAR.ten.parse(ByteSource(record([3], 0) + record([3], 0).prefix(5), name: "test.bin"))
    }
    #expect(error?.location == "test.bin")
    #expect(error?.expected == "a multiple of the record size, 3073 bytes")
    #expect(error?.found == "3078 bytes, which leaves a remainder of 5")
    #expect(throws: InputError.self) { try CIFAR.ten.parse(ByteSource(Data(), name: "test")) }
  }

  @Test("with a label out of range name file and record")
  func label() {
    let error = inputError { try CIFAR.ten.parse(ByteSource(record([3], 0) + record([10], 0), name: "test.bin")) }
    #expect(error?.location == "test.bin, record 1" && error?.expected == "0 to 9" && error?.found == "10")
  }
}

@Suite("Tiny-ImageNet's annotations") struct DataAnnotationTests {
  private let ids = ["n01", "n02"]

  @Test("give files and labels in the order of the names")
  func parses() throws {
    let text = Data("val_1.JPEG\tn02\t0\t0\t9\t9\nval_0.JPEG\tn01\t1\t1\t9\t9\n".utf8)
    let entries = try ImageList.annotations(text, name: "test", ids: ids)
    #expect(entries.map(\.path) == ["val/images/val_0.JPEG", "val/images/val_1.JPEG"])
    #expect(entries.map(\.label) == [0, 1])
  }

  @Test(
    "malformed name the line",
    arguments: ["val_1.JPEG", "val_1.JPEG\tn03\t0", "../../secret\tn01\t0", "val 1 n01"])
  func malformed(_ line: String) {
    let text = Data("val_0.JPEG\tn01\t0\n\(line)\n".utf8)
    #expect(inputError { try ImageList.annotations(text, name: "a.txt", ids: ids) }?.location == "a.txt, line 2")
  }
}

@Suite("tar archives") struct DataTarTests {
  @Test("give the wanted files")
  func files() throws {
    let archive = try Gzip.unpack(Sample.cifarArchive, name: "test", limit: 1 << 20)
    let files = try Tar.files(in: archive, name: "test", wanted: ["data_batch_2.bin", "readme.html"])
    #expect(files.keys.sorted() == ["data_batch_2.bin", "readme.html"])
    #expect(files["data_batch_2.bin"] == Data(repeating: 1, count: 603))
  }

  @Test("cut short or damaged are an error")
  func damaged() throws {
    let archive = try Gzip.unpack(Sample.cifarArchive, name: "test", limit: 1 << 20)
    let all = Set(CIFAR.ten.files(.train))
    #expect(throws: InputError.self) { try Tar.files(in: archive.prefix(2500), name: "test", wanted: all) }
    var wrong = archive
    wrong[10] ^= 1
    #expect(throws: InputError.self) { try Tar.files(in: wrong, name: "test", wanted: all) }
  }
}
