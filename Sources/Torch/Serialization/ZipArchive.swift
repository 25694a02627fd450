import Support

/// The directory of a zip file in memory, with zip64; entries must be stored as they are, not compressed.
///
/// It points into bytes that it does not own, so it lives only where they are valid.
struct ZipArchive {
  struct Entry {
    var flags: UInt16
    var method: UInt16
    var compressedSize: Int
    var size: Int
    var headerOffset: Int
  }

  private(set) var entries: [String: Entry] = [:]
  private let bytes: UnsafeRawBufferPointer
  private let name: String

  /// Reads the central directory; `name` is the file's, for errors.
  init(_ bytes: UnsafeRawBufferPointer, name: String) throws(InputError) {
    self.bytes = bytes
    self.name = name
    var (reader, count) = try Self.directory(of: bytes, name: name)
    // Each record takes at least 46 bytes of the directory, so a false count ends at the directory's end.
    for _ in 0..<count {
      let (entryName, entry) = try Self.record(from: &reader)
      guard entries.updateValue(entry, forKey: entryName) == nil else {
        throw InputError("two entries of the zip file have the same name", at: name, found: entryName.quoted)
      }
    }
  }

  /// The bytes of the entry called `entryName`.
  /// - Throws: `InputError` if there is none, if it is compressed or encrypted, or lies outside the file.
  func content(of entryName: String) throws(InputError) -> UnsafeRawBufferPointer {
    let location = "\(name), entry \(entryName.quoted)"
    guard let entry = entries[entryName] else {
      throw InputError("the zip file lacks an entry", at: name, expected: entryName.quoted)
    }
    guard entry.flags & 1 == 0, entry.method == 0, entry.compressedSize == entry.size else {
      throw InputError(
        "the zip entry is compressed or encrypted", at: location, expected: "a stored entry, as torch.save writes",
        remedy: "save the weights again with torch.save or as safetensors")
    }
    var reader = ByteReader(bytes, name: location)
    try reader.seek(to: entry.headerOffset)
    guard try reader.little(UInt32.self) == 0x0403_4B50 else {
      throw InputError("the zip entry has no local header", at: location, remedy: Self.remedy)
    }
    _ = try reader.take(22)
    let nameLength = Int(try reader.little(UInt16.self))
    let extraLength = Int(try reader.little(UInt16.self))
    _ = try reader.take(nameLength + extraLength)
    return try reader.take(entry.size)
  }

  private static let remedy = "the file is damaged: fetch or write it again"

  /// A reader at the first record of the central directory that ends with it, and the number of records.
  private static func directory(
    of bytes: UnsafeRawBufferPointer, name: String
  ) throws(InputError) -> (ByteReader, count: Int) {
    let end = try endRecord(of: bytes, name: name)
    var reader = ByteReader(bytes, name: name)
    try reader.seek(to: end + 10)
    var count = UInt64(try reader.little(UInt16.self))
    var size = UInt64(try reader.little(UInt32.self))
    var offset = UInt64(try reader.little(UInt32.self))
    if count == 0xFFFF || size == 0xFFFF_FFFF || offset == 0xFFFF_FFFF {
      try reader.seek(to: end - 20)
      guard try reader.little(UInt32.self) == 0x0706_4B50, try reader.little(UInt32.self) == 0 else {
        throw InputError("the zip64 locator is missing", at: name, remedy: remedy)
      }
      try reader.seek(to: int(reader.little(UInt64.self), name: name))
      guard try reader.little(UInt32.self) == 0x0606_4B50 else {
        throw InputError("the zip64 end record is missing", at: name, remedy: remedy)
      }
      _ = try reader.take(28)
      count = try reader.little()
      size = try reader.little()
      offset = try reader.little()
    }
    try reader.seek(to: int(offset, name: name))
    let directory = try reader.take(int(size, name: name))
    return (ByteReader(directory, name: "\(name), zip directory"), try int(count, name: name))
  }

  /// The offset of the end-of-central-directory record, which only a comment of known length may follow.
  private static func endRecord(of bytes: UnsafeRawBufferPointer, name: String) throws(InputError) -> Int {
    let last = bytes.count - 22
    if last >= 0 {
      for offset in stride(from: last, through: max(0, last - 0xFFFF), by: -1) {
        guard bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self).littleEndian == 0x0605_4B50 else {
          continue
        }
        let comment = bytes.loadUnaligned(fromByteOffset: offset + 20, as: UInt16.self).littleEndian
        if offset + 22 + Int(comment) == bytes.count { return offset }
      }
    }
    throw InputError(
      "the zip file has no directory at its end", at: name,
      remedy: "the file is truncated or no zip file: fetch or write it again")
  }

  private static func record(from reader: inout ByteReader) throws(InputError) -> (String, Entry) {
    guard try reader.little(UInt32.self) == 0x0201_4B50 else {
      throw InputError("a record of the zip directory is damaged", at: reader.name, remedy: remedy)
    }
    _ = try reader.take(4)
    let flags = try reader.little(UInt16.self)
    let method = try reader.little(UInt16.self)
    _ = try reader.take(8)
    let compressedSize = try reader.little(UInt32.self)
    let size = try reader.little(UInt32.self)
    let nameLength = Int(try reader.little(UInt16.self))
    let extraLength = Int(try reader.little(UInt16.self))
    let commentLength = Int(try reader.little(UInt16.self))
    _ = try reader.take(8)
    let offset = try reader.little(UInt32.self)
    let name = String(decoding: try reader.take(nameLength), as: UTF8.self)
    var wide = try zip64Field(in: ByteReader(try reader.take(extraLength), name: reader.name))
    _ = try reader.take(commentLength)
    // The zip64 field holds, in this order, only what does not fit the record.
    func full(_ value: UInt32) throws(InputError) -> Int {
      try int(value == 0xFFFF_FFFF ? wide.little(UInt64.self) : UInt64(value), name: wide.name)
    }
    let fullSize = try full(size)
    let fullCompressedSize = try full(compressedSize)
    let headerOffset = try full(offset)
    return (
      name,
      Entry(
        flags: flags, method: method, compressedSize: fullCompressedSize, size: fullSize, headerOffset: headerOffset
      )
    )
  }

  /// The content of the zip64 field among a record's extra fields; empty where there is none.
  private static func zip64Field(in extra: ByteReader) throws(InputError) -> ByteReader {
    var extra = extra
    while extra.remaining >= 4 {
      let kind = try extra.little(UInt16.self)
      let field = try extra.take(Int(extra.little(UInt16.self)))
      if kind == 1 { return ByteReader(field, name: extra.name) }
    }
    return ByteReader(UnsafeRawBufferPointer(start: nil, count: 0), name: extra.name)
  }

  private static func int(_ value: UInt64, name: String) throws(InputError) -> Int {
    guard let value = Int(exactly: value) else {
      throw InputError("a size in the zip directory is impossible", at: name, found: "\(value)", remedy: remedy)
    }
    return value
  }
}
