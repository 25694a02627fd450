import Foundation
import QuenchSupport

/// The directory of a zip file, with zip64; entries must be stored as they are, not compressed.
struct ZipArchive {
  struct Entry {
    var flags: UInt16
    var method: UInt16
    var compressedSize: Int
    var size: Int
    var headerOffset: Int
  }

  /// No checkpoint has so many entries, each of which takes many times its record in memory.
  private static let maximumEntries = 100_000

  private(set) var entries: [String: Entry] = [:]
  let source: ByteSource

  /// Reads the central directory.
  init(_ source: ByteSource) throws(InputError) {
    self.source = source
    let (directory, count) = try Self.directory(of: source)
    let name = "\(source.name), zip directory"
    guard count <= Self.maximumEntries else {
      throw InputError(
        "the zip file has too many entries", at: source.name, expected: "at most \(Self.maximumEntries)",
        found: "\(count)", remedy: "save the weights alone, as safetensors")
    }
    entries = try source.read(directory).parse { (bytes) throws(InputError) in
      var reader = ByteReader(bytes, name: name)
      var entries: [String: Entry] = [:]
      // Each record takes at least 46 bytes of the directory, so a false count ends at the directory's end.
      for _ in 0..<count {
        let (entryName, entry) = try Self.record(from: &reader)
        guard entries.updateValue(entry, forKey: entryName) == nil else {
          throw InputError(
            "two entries of the zip file have the same name", at: source.name, found: entryName.quoted)
        }
      }
      return entries
    }
  }

  /// The bytes of the entry called `entryName`, at most `limit`.
  /// - Throws: `InputError` as ``range(of:)`` does, or if there are more.
  func content(of entryName: String, limit: Int) throws(InputError) -> Data {
    let range = try range(of: entryName)
    guard range.count <= limit else {
      throw InputError(
        "the zip entry is too long", at: "\(source.name), entry \(entryName.quoted)",
        expected: "at most \(limit) bytes", found: "\(range.count)",
        remedy: "save the weights alone, as safetensors")
    }
    return try source.read(range)
  }

  /// Where in the file the bytes of the entry called `entryName` lie.
  /// - Throws: `InputError` if there is none, if it is compressed or encrypted, or lies outside the file.
  func range(of entryName: String) throws(InputError) -> Range<Int> {
    let location = "\(source.name), entry \(entryName.quoted)"
    guard let entry = entries[entryName] else {
      throw InputError("the zip file lacks an entry", at: source.name, expected: entryName.quoted)
    }
    guard entry.flags & 1 == 0, entry.method == 0, entry.compressedSize == entry.size else {
      throw InputError(
        "the zip entry is compressed or encrypted", at: location, expected: "a stored entry, as torch.save writes",
        remedy: "save the weights again with torch.save or as safetensors")
    }
    guard entry.headerOffset <= source.count - 30 else {
      throw InputError("the zip entry has no local header", at: location, remedy: Self.remedy)
    }
    let header = entry.headerOffset..<entry.headerOffset + 30
    let begin = try source.read(header).parse { (bytes) throws(InputError) in
      var reader = ByteReader(bytes, name: location)
      guard try reader.little(UInt32.self) == 0x0403_4B50 else {
        throw InputError("the zip entry has no local header", at: location, remedy: Self.remedy)
      }
      _ = try reader.take(22)
      let nameLength = Int(try reader.little(UInt16.self))
      return header.upperBound + nameLength + Int(try reader.little(UInt16.self))
    }
    guard begin <= source.count, entry.size <= source.count - begin else {
      throw InputError(
        "the data end too early", at: location, expected: "\(entry.size) more bytes",
        found: "\(max(0, source.count - begin))", remedy: "the file is truncated: fetch or write it again")
    }
    return begin..<begin + entry.size
  }

  private static let remedy = "the file is damaged: fetch or write it again"

  /// Where the central directory lies, and the number of its records.
  private static func directory(of source: ByteSource) throws(InputError) -> (range: Range<Int>, count: Int) {
    let name = source.name
    let end = try endRecord(of: source)
    func fields<T>(
      at offset: Int, _ length: Int, _ read: (inout ByteReader) throws(InputError) -> T
    ) throws(InputError) -> T {
      guard offset >= 0, offset <= source.count - length else {
        throw InputError("an offset points outside the data", at: name, found: "\(offset)", remedy: remedy)
      }
      return try source.read(offset..<offset + length).parse { (bytes) throws(InputError) in
        var reader = ByteReader(bytes, name: name)
        return try read(&reader)
      }
    }
    var (count, size, offset) = try fields(at: end + 10, 10) { (reader) throws(InputError) in
      (
        UInt64(try reader.little(UInt16.self)), UInt64(try reader.little(UInt32.self)),
        UInt64(try reader.little(UInt32.self))
      )
    }
    if count == 0xFFFF || size == 0xFFFF_FFFF || offset == 0xFFFF_FFFF {
      let record = try fields(at: end - 20, 16) { (reader) throws(InputError) in
        guard try reader.little(UInt32.self) == 0x0706_4B50, try reader.little(UInt32.self) == 0 else {
          throw InputError("the zip64 locator is missing", at: name, remedy: remedy)
        }
        return try int(reader.little(UInt64.self), name: name)
      }
      (count, size, offset) = try fields(at: record, 56) { (reader) throws(InputError) in
        guard try reader.little(UInt32.self) == 0x0606_4B50 else {
          throw InputError("the zip64 end record is missing", at: name, remedy: remedy)
        }
        _ = try reader.take(28)
        return (try reader.little(), try reader.little(), try reader.little())
      }
    }
    let (begin, length) = (try int(offset, name: name), try int(size, name: name))
    guard begin <= source.count, length <= source.count - begin else {
      throw InputError(
        "the data end too early", at: name, expected: "a zip directory of \(length) bytes at \(begin)",
        found: "\(source.count) bytes in all", remedy: "the file is truncated: fetch or write it again")
    }
    return (begin..<begin + length, try int(count, name: name))
  }

  /// The offset of the end-of-central-directory record, which only a comment of known length may follow.
  private static func endRecord(of source: ByteSource) throws(InputError) -> Int {
    let first = max(0, source.count - 22 - 0xFFFF)
    let offset = try source.read(first..<source.count).parse { (bytes) throws(InputError) -> Int? in
      let last = bytes.count - 22
      guard last >= 0 else { return nil }
      return stride(from: last, through: 0, by: -1).first { offset in
        bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self).littleEndian == 0x0605_4B50
          && offset + 22 + Int(bytes.loadUnaligned(fromByteOffset: offset + 20, as: UInt16.self).littleEndian)
            == bytes.count
      }
    }
    guard let offset else {
      throw InputError(
        "the zip file has no directory at its end", at: source.name,
        remedy: "the file is truncated or not a zip file: fetch or write it again")
    }
    return first + offset
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
