import Foundation
import QuenchSupport

/// Writes correct checksums over those of a damaged file, so that a reader looks at what they guard.
enum Checksums {
  /// The sums of all headers of a tar archive, one after the other as their sizes say.
  static func tar(_ archive: Data) -> Data {
    var bytes = [UInt8](archive)
    var offset = 0
    while offset + 512 <= bytes.count, bytes[offset..<offset + 512].contains(where: { $0 != 0 }) {
      bytes.replaceSubrange(offset + 148..<offset + 156, with: Array("        ".utf8))
      let sum = String(bytes[offset..<offset + 512].reduce(0) { $0 + Int($1) }, radix: 8)
      let field = String(repeating: "0", count: max(0, 6 - sum.count)) + sum + "\u{0} "
      bytes.replaceSubrange(offset + 148..<offset + 156, with: Array(field.utf8.prefix(8)))
      let size = String(decoding: bytes[offset + 124..<offset + 135], as: UTF8.self)
      guard let size = Int(size, radix: 8), (0...bytes.count).contains(size) else { break }
      offset += 512 + (size + 511) / 512 * 512
    }
    return Data(bytes)
  }

  /// The SHA-256 of a picture cache.
  static func pixelCache(_ file: Data) -> Data {
    guard file.count >= 72 else { return file }
    return file.prefix(8) + Data(Fingerprint.sha256(file.dropFirst(72)).utf8) + file.dropFirst(72)
  }

  /// The CRC-32 of every chunk of a PNG file.
  static func png(_ file: Data) -> Data {
    var bytes = [UInt8](file)
    var offset = 8
    while offset + 12 <= bytes.count {
      let length = bytes[offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) }
      let end = offset + 8 + length
      guard end + 4 <= bytes.count else { break }
      bytes.replaceSubrange(end..<end + 4, with: Seeds.big(Int(crc32(bytes[offset + 4..<end])), 4))
      offset = end + 4
    }
    return Data(bytes)
  }

  private static func crc32(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    var sum = ~UInt32(0)
    for byte in bytes {
      sum ^= UInt32(byte)
      for _ in 0..<8 { sum = sum & 1 == 0 ? sum >> 1 : (sum >> 1) ^ 0xEDB8_8320 }
    }
    return ~sum
  }
}
