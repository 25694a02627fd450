import Foundation
import QuenchSupport

/// Decoded pictures kept in one file, so that a folder is decoded once.
///
/// Layout: 8 bytes of magic, the SHA-256 of all that follows as 64 hexadecimal digits, the header's length as a
/// little-endian 64-bit integer, the header as JSON, the labels as little-endian 64-bit integers, the pixels. A
/// damaged file is as good as none.
public struct PixelCache: Sendable {
  /// Everything about the pictures but the pictures.
  public struct Header: Codable, Equatable, Sendable {
    /// Fingerprint of the picture files' names, sizes and times and of how they were decoded.
    public var key: String
    public var shape: [Int]
    public var classNames: [String]
    public var statistics: ChannelStatistics
    public var skipped: [String]
    /// SHA-256 of labels and pixels.
    public var fingerprint: String
  }

  public struct Content: Sendable {
    public var header: Header
    public var block: PixelBlock

    init(header: Header, block: PixelBlock) {
      self.header = header
      self.block = block
    }

    /// What was decoded from the pictures of `list`.
    init(_ result: PictureReader.Result, of list: ImageList, key: String) {
      block = result.block
      header = Header(
        key: key, shape: block.shape, classNames: list.classNames, statistics: block.statistics(),
        skipped: result.skipped, fingerprint: Fingerprint.sha256(PixelCache.bytes(of: block.labels) + block.pixels))
    }
  }

  static let magic = Data("QUENCHP1".utf8)

  public var url: URL

  public init(url: URL) { self.url = url }

  /// What the file holds, or `nil` if there is none, it was made from other pictures, or it is damaged.
  func load(key: String) -> Content? {
    guard let data = try? InputFile.read(url, limit: 1 << 40), let content = try? Self.parse(data, name: url.path),
      content.header.key == key
    else { return nil }
    return content
  }

  /// - Throws: `InputError` if the file cannot be written.
  func store(_ content: Content) throws(InputError) {
    do {
      try FileManager.default.createDirectory(
        at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
      AtomicFile.sweep(url.deletingLastPathComponent())
      let header = try JSONEncoder().encode(content.header)
      let body =
        Self.bytes(of: [Int64(header.count)]) + header + Self.bytes(of: content.block.labels) + content.block.pixels
      try AtomicFile.write(to: url) { file in
        try file.write(contentsOf: Self.magic + Data(Fingerprint.sha256(body).utf8))
        try file.write(contentsOf: body)
      }
    } catch {
      throw InputError.writing(url, error)
    }
  }

  /// Reads a cache file.
  /// - Throws: `InputError` if a part is missing, does not fit the others or is not what the checksum says.
  public static func parse(_ data: Data, name: String) throws(InputError) -> Content {
    let (header, start) = try data.parse { (bytes) throws(InputError) in
      var reader = ByteReader(bytes, name: name)
      guard try reader.take(magic.count).elementsEqual(magic) else { throw damaged(name) }
      let sum = try reader.take(64)
      guard sum.elementsEqual(Fingerprint.sha256(data[(data.startIndex + reader.offset)...]).utf8) else {
        throw damaged(name)
      }
      let json = try reader.take(Int(clamping: try reader.little(UInt64.self)))
      guard let header = try? JSONDecoder().decode(Header.self, from: Data(json)) else { throw damaged(name) }
      return (header, data.startIndex + reader.offset)
    }
    let body = data[start...]
    guard header.shape.count == 4, header.shape.allSatisfy({ $0 > 0 }), let pixels = product(header.shape),
      let labelBytes = product([header.shape[0], 8]), body.count - labelBytes == pixels,
      header.statistics.mean.count == header.shape[1],
      header.statistics.standardDeviation.count == header.shape[1]
    else { throw damaged(name) }
    let labels = body.prefix(labelBytes).withUnsafeBytes { bytes in
      stride(from: 0, to: labelBytes, by: 8).map {
        Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: $0, as: Int64.self))
      }
    }
    guard labels.allSatisfy({ $0 >= 0 && $0 < header.classNames.count }) else { throw damaged(name) }
    return Content(
      header: header, block: PixelBlock(shape: header.shape, pixels: body.dropFirst(labelBytes), labels: labels))
  }

  private static func damaged(_ name: String) -> InputError {
    InputError("the picture cache is damaged", at: name, remedy: "remove the file: it will be made again")
  }

  fileprivate static func bytes(of values: [Int64]) -> Data {
    values.map(\.littleEndian).withUnsafeBytes { Data($0) }
  }
}
