import Foundation
import QuenchSupport
import TestSupport
import Testing

@testable import QuenchCryoEM

@Suite("An MRC file") struct MRCTests {
  private let image = MRCImage(width: 3, height: 2, pixels: [1, -2, 3.5, 4, 5, 6], pixelSize: 1.25)

  /// The file of ``image`` with words of its header replaced.
  private func file(_ words: [Int: Int32] = [:], pixels: Data? = nil, bigEndian: Bool = false) -> Data {
    var data = image.encoded(label: "test")
    if let pixels { data = data.prefix(1024) + pixels }
    for (word, value) in words {
      data.replaceSubrange(4 * (word - 1)..<4 * word, with: withUnsafeBytes(of: value.littleEndian) { Data($0) })
    }
    guard bigEndian else { return data }
    var swapped = data
    for word in 0..<data.count / 4 where !(51...53).contains(word) && !(56..<256).contains(word) {
      swapped.replaceSubrange(4 * word..<4 * word + 4, with: data[4 * word..<4 * word + 4].reversed())
    }
    swapped.replaceSubrange(212..<216, with: [0x11, 0x11, 0, 0])
    return swapped
  }

  @Test("is read no further than its header says") func bounded() throws {
    let folder = try TemporaryFolder()
    let url = folder / "sparse.mrc"
    try file().write(to: url)
    let handle = try FileHandle(forWritingTo: url)
    try handle.truncate(atOffset: 6 << 30)
    try handle.close()
    let read = try MRCImage(contentsOf: url)
    #expect(read.pixels == image.pixels && read.warnings.count == 1)
  }

  private func error(_ data: Data, section: Int = 0) -> String {
    do { _ = try MRCImage(ByteSource(data, name: "a.mrc"), section: section) } catch { return "\(error)" }
    return "no error"
  }

  @Test("comes back as it was written") func roundTrip() throws {
    let read = try MRCImage(ByteSource(file(), name: "a.mrc"))
    #expect(read.pixels == image.pixels && read.width == 3 && read.height == 2)
    #expect(read.pixelSize == 1.25 && read.warnings.isEmpty)
    let header = try MRCHeader(file(), name: "a.mrc")
    #expect(
      header.labels == ["test"] && header.mode == .float32 && header.sections == 1 && header.dataOffset == 1024)
  }

  @Test("is read in either byte order") func bigEndian() throws {
    let read = try MRCImage(ByteSource(file(bigEndian: true), name: "a.mrc"))
    #expect(read.pixels == image.pixels && read.pixelSize == 1.25)
  }

  @Test("has the lowest row first") func rows() throws {
    let bytes = Data([1, 2, 3, 4, 5, 250])
    #expect(try MRCImage(ByteSource(file([4: 0], pixels: bytes), name: "a")).pixels == [4, 5, -6, 1, 2, 3])
  }

  @Test("may hold unsigned bytes, half floats, 16-bit numbers and nibbles") func modes() throws {
    let imod = try MRCImage(
      ByteSource(file([4: 0, 39: 1_146_047_817, 40: 0], pixels: Data([1, 2, 3, 4, 5, 250])), name: "a"))
    #expect(imod.pixels == [4, 5, 250, 1, 2, 3])
    #expect(imod.warnings == ["a, word 40: mode 0 holds unsigned bytes (IMOD)"])
    func words(_ values: [UInt16]) -> Data {
      values.reduce(into: Data()) { $0 += [UInt8($1 & 255), UInt8($1 >> 8)] }
    }
    let half: [UInt16] = [0x3C00, 0xC000, 0x3555, 0x0001, 0x7BFF, 0x0000]
    #expect(
      try MRCImage(ByteSource(file([4: 12], pixels: words(half)), name: "a")).pixels
        == [0x1p-24, 65504, 0, 1, -2, 0.333251953125])
    let values: [UInt16] = [1, 2, 65535, 4, 5, 6]
    #expect(
      try MRCImage(ByteSource(file([4: 6], pixels: words(values)), name: "a")).pixels == [4, 5, 6, 1, 2, 65535])
    #expect(try MRCImage(ByteSource(file([4: 1], pixels: words(values)), name: "a")).pixels == [4, 5, 6, 1, 2, -1])
    #expect(
      try MRCImage(ByteSource(file([4: 101], pixels: Data([0x21, 0x03, 0x54, 0x06])), name: "a")).pixels == [
        4, 5, 6, 1, 2, 3
      ])
  }

  @Test("is read past what programs get wrong, with a warning") func leniency() throws {
    var data = file()
    data.replaceSubrange(212..<216, with: [0x44, 0x20, 0x20, 0x20])
    #expect(
      try MRCImage(ByteSource(data, name: "a")).warnings == [
        "a, word 54: an unusual machine stamp, read as little-endian"
      ])
    data.replaceSubrange(208..<216, with: Data(count: 8))
    #expect(
      try MRCImage(ByteSource(data, name: "a")).warnings == [
        "a, word 54: no machine stamp; the sizes make sense as little-endian", "a, word 53: 'MAP ' is missing"
      ])
    #expect(
      try MRCImage(ByteSource(file() + Data(count: 8), name: "a")).warnings == [
        "a: 8 bytes follow the pixels; they are not used"
      ])
    let extended = file([24: 8]).prefix(1024) + Data(count: 8) + file().dropFirst(1024)
    #expect(try MRCImage(ByteSource(extended, name: "a")).pixels == image.pixels)
  }

  @Test("is refused with the word that is wrong") func errors() {
    #expect(
      error(Data(count: 100))
        == "a.mrc: the file is too short for an MRC header (expected 1024 bytes or more, found 100); the file is truncated or is no MRC file"
    )
    #expect(
      error(file([4: 7])).hasPrefix("a.mrc, word 4: unknown MRC mode (expected 0, 1, 2, 3, 4, 6, 12, 101, found 7)")
    )
    #expect(
      error(file([1: 0])).hasPrefix(
        "a.mrc, words 1 to 3: an MRC file of impossible size (expected 1 to 1000000 pixels a side, found 0 x 2 x 1)"
      ))
    #expect(error(file([24: -4])).hasPrefix("a.mrc, word 24: the extended header has a negative size"))
    #expect(
      error(file().dropLast(1))
        == "a.mrc: the MRC file is shorter than its header says (expected 1048 bytes, found 1047); the file is truncated: copy or write it again"
    )
    #expect(error(file([4: 4])).contains("Fourier transform") == false, "the data of mode 4 end early first")
    #expect(error(file([4: 3])).contains("Fourier transform"))
    #expect(error(file(), section: 1) == "a.mrc: the stack has no such image (expected 0 to 0, found 1)")
    var stamped = file(bigEndian: true)
    stamped.replaceSubrange(212..<216, with: [0x44, 0x44, 0, 0])
    #expect(
      error(stamped).hasPrefix(
        "a.mrc, word 54: the MRC file's machine stamp is wrong (expected the stamp of a big-endian file"))
    #expect(error(Data(repeating: 7, count: 2000)).hasPrefix("a.mrc, word 54: this is no MRC file"))
    let nan = Data([0, 0, 0xC0, 0x7F]) + Data(count: 20)
    #expect(
      error(file(pixels: nan)) == "a.mrc: the image holds NaN or infinity; the file is damaged: write it again")
  }
}
