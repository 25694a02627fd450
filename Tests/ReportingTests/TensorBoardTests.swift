import Foundation
import QuenchSupport
import Testing

@testable import QuenchReporting

@Suite("A TensorBoard event file") struct TensorBoardTests {
  /// The vectors of RFC 3720, B.4, and the usual check string.
  @Test(
    "has the checksums of CRC-32C",
    arguments: [
      (Data("123456789".utf8), 0xE306_9283), (Data(count: 32), 0x8A91_36AA),
      (Data(repeating: 0xFF, count: 32), 0x62A8_AB43),
      (Data((0..<32).map { UInt8($0) }), 0x46DD_794E), (Data(), 0)
    ] as [(Data, UInt32)])
  func checksum(_ data: Data, _ crc: UInt32) {
    #expect(TFRecord.crc32c(data) == crc)
  }

  @Test func framesARecordWithLengthAndMaskedChecksums() throws {
    let frame = TFRecord.frame(Data("123456789".utf8))
    #expect(frame.count == 8 + 4 + 9 + 4)
    #expect(Array(frame.prefix(8)) == [9, 0, 0, 0, 0, 0, 0, 0])
    // 0xE3069283 rotated right by 15 is 0x2507C60D; plus 0xA282EAD8 it is 0xC78AB0E5.
    #expect(Array(frame.suffix(4)) == [0xE5, 0xB0, 0x8A, 0xC7])
  }

  @Test func holdsTheVersionTheRestartAndEachScalar() throws {
    try withTemporaryFolder { base in
      let folder = base.appending(path: "tensorboard")
      let writer = try TensorBoardWriter(in: folder, after: 299, time: 2)
      try writer.scalar("loss", 0.5, step: 300, time: 1)
      let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
      #expect(names.count == 1 && names[0].contains("tfevents"))
      let data = try Data(contentsOf: folder.appending(path: names[0]))
      let version: [UInt8] = [0x09] + [0, 0, 0, 0, 0, 0, 0, 0x40] + [0x1A, 13] + Array("brain.Event:2".utf8)
      let restart: [UInt8] = [0x09] + [0, 0, 0, 0, 0, 0, 0, 0x40] + [0x10, 0xAC, 0x02, 0x3A, 2, 0x08, 1]
      let scalar: [UInt8] =
        [0x09] + [0, 0, 0, 0, 0, 0, 0xF0, 0x3F] + [0x10, 0xAC, 0x02] + [0x2A, 13, 0x0A, 11]
        + [0x0A, 4] + Array("loss".utf8) + [0x15, 0, 0, 0, 0x3F]
      #expect(data == [version, restart, scalar].map { TFRecord.frame(Data($0)) }.reduce(Data(), +))
    }
  }

  @Test func refusesAFolderThatCannotBeMade() throws {
    try withTemporaryFolder { base in
      let file = base.appending(path: "file")
      try Data().write(to: file)
      #expect(throws: InputError.self) { try TensorBoardWriter(in: file.appending(path: "below")) }
    }
  }
}
