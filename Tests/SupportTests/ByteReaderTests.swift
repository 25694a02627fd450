import QuenchSupport
import Testing

@Suite struct ByteReaderTests {
  private let bytes: [UInt8] = [0x01, 0x02, 0x03, 0x04, 0x05, 0xFF, 0xFE]

  private func read<T>(_ body: (inout ByteReader) throws -> T) rethrows -> T {
    try bytes.withUnsafeBytes { buffer in
      var reader = ByteReader(buffer, name: "sample.bin")
      return try body(&reader)
    }
  }

  @Test func readsIntegersInBothByteOrders() throws {
    try read { reader throws in
      #expect(try reader.big(UInt32.self) == 0x0102_0304)
      try reader.seek(to: 0)
      #expect(try reader.little(UInt32.self) == 0x0403_0201)
      #expect(try reader.little(UInt8.self) == 5)
      #expect(try reader.big(Int16.self) == -2)
      #expect(reader.remaining == 0)
    }
  }

  @Test func readsIntegersAtUnalignedOffsets() throws {
    try read { reader throws in
      try reader.seek(to: 1)
      #expect(try reader.big(UInt32.self) == 0x0203_0405)
      #expect(reader.offset == 5)
    }
  }

  @Test func takesBytesAndMovesOn() throws {
    try read { reader throws in
      #expect(try Array(reader.take(3)) == [1, 2, 3])
      #expect(try Array(reader.take(0)) == [])
      #expect(try Array(reader.take(4)) == [4, 5, 0xFF, 0xFE])
      #expect(reader.remaining == 0)
    }
  }

  @Test func aReadPastTheEndThrowsAndMovesNothing() {
    read { reader in
      let error = #expect(throws: InputError.self) {
        try reader.seek(to: 5)
        _ = try reader.little(UInt32.self)
      }
      #expect(error?.location == "sample.bin, byte 5")
      #expect(error?.expected == "4 more bytes")
      #expect(error?.found == "2")
      #expect(reader.offset == 5)
    }
  }

  @Test(arguments: [-1, 8, Int.max, Int.min])
  func anImpossibleCountThrows(count: Int) {
    read { reader in
      #expect(throws: InputError.self) { try reader.take(count) }
      #expect(reader.offset == 0)
    }
  }

  @Test func theCountIsCheckedAgainstWhatIsLeftWithoutOverflow() throws {
    try read { reader throws in
      try reader.seek(to: 3)
      #expect(throws: InputError.self) { try reader.take(Int.max) }
      #expect(throws: InputError.self) { try reader.take(5) }
      #expect(try reader.take(4).count == 4)
    }
  }

  @Test(arguments: [-1, 8, Int.max, Int.min])
  func aSeekOutsideTheBytesThrows(offset: Int) {
    read { reader in
      let error = #expect(throws: InputError.self) { try reader.seek(to: offset) }
      #expect(error?.expected == "0 to 7")
      #expect(reader.offset == 0)
    }
  }

  @Test func theEndMayBeSoughtAndHoldsNothing() throws {
    try read { reader throws in
      try reader.seek(to: 7)
      #expect(throws: InputError.self) { try reader.big(UInt8.self) }
    }
  }

  @Test func noBytesAtAllAreTruncatedAtByteZero() {
    var reader = ByteReader(UnsafeRawBufferPointer(start: nil, count: 0), name: "empty")
    let error = #expect(throws: InputError.self) { try reader.big(UInt8.self) }
    #expect(error?.location == "empty, byte 0")
  }
}
