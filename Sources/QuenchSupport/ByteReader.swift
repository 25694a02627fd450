/// Reads integers from bytes in memory; every read is checked against the end.
public struct ByteReader {
  public let bytes: UnsafeRawBufferPointer
  /// What the bytes are, for errors: usually the file's path.
  public let name: String
  public private(set) var offset = 0

  /// `bytes` must stay valid for as long as the reader is used.
  public init(_ bytes: UnsafeRawBufferPointer, name: String) {
    self.bytes = bytes
    self.name = name
  }

  public var remaining: Int { bytes.count - offset }

  /// Moves to an absolute `offset`.
  /// - Throws: ``InputError`` if it lies outside the bytes.
  public mutating func seek(to offset: Int) throws(InputError) {
    guard (0...bytes.count).contains(offset) else {
      throw InputError(
        "an offset points outside the data", at: name, expected: "0 to \(bytes.count)", found: "\(offset)")
    }
    self.offset = offset
  }

  /// The next `count` bytes.
  /// - Throws: ``InputError`` if fewer are left.
  public mutating func take(_ count: Int) throws(InputError) -> UnsafeRawBufferPointer {
    guard count >= 0, count <= remaining else {
      throw InputError(
        "the data end too early", at: "\(name), byte \(offset)", expected: "\(count) more bytes",
        found: "\(remaining)", remedy: "the file is truncated: fetch or write it again")
    }
    defer { offset += count }
    return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
  }

  /// The next integer, little-endian.
  public mutating func little<T: FixedWidthInteger>(_ type: T.Type = T.self) throws(InputError) -> T {
    T(littleEndian: try take(MemoryLayout<T>.size).loadUnaligned(as: T.self))
  }

  /// The next integer, big-endian.
  public mutating func big<T: FixedWidthInteger>(_ type: T.Type = T.self) throws(InputError) -> T {
    T(bigEndian: try take(MemoryLayout<T>.size).loadUnaligned(as: T.self))
  }
}
