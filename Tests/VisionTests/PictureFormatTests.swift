import Foundation
import QuenchSupport
import Testing

@testable import QuenchVision

@Suite("Pictures of other formats") struct PictureFormatTests {
  private struct Decoded: Equatable {
    var width: Int
    var height: Int
    var pixels: [UInt8]
  }

  private func decode(_ data: Data, channels: Int = 3, maxPixels: Int = 1_000_000) throws -> Decoded {
    try data.withUnsafeBytes { bytes in
      let size = try Picture.size(of: bytes, name: "test")
      let picture = try Picture(decoding: bytes, name: "test", channels: channels, maxPixels: maxPixels)
      #expect(size == (picture.width, picture.height))
      return Decoded(width: picture.width, height: picture.height, pixels: Array(picture.data()))
    }
  }

  /// 4 x 3 pixels: 60 a row, 20 a column, 5 a channel.
  private let gradient = (0..<36).map { (place: Int) -> UInt8 in
    let (row, column, channel) = (place / 12, place / 3 % 4, place % 3)
    return UInt8(60 * row + 20 * column + 5 * channel)
  }

  /// Of the gradient, written by Pillow 13.0.
  private static func data(_ text: String) -> Data {
    Data(base64Encoded: text, options: .ignoreUnknownCharacters) ?? Data()
  }
  private static let webP = data("UklGRjQAAABXRUJQVlA4TCcAAAAvA4AAAE8gFkyuGeRvm8NQXIFi/hPbQRBAohBLCrOsMMvoEf0PTHcA")
  private static let tiff = data(
    """
    SUkqADIAAACAAACgoKBkPCgWjIeEEjQsjFAqloyGk3Hg+oKLIJGJFLKBSqpaLlfQEAAKAAABAwABAAAABAAAAAEBAwABAAAAAwAAAAIBAwADAAAA
    sAAAAAMBAwABAAAABQAAAAYBAwABAAAAAgAAABEBBAABAAAACAAAABUBAwABAAAAAwAAABYBAwABAAAAAwAAABcBBAABAAAAKQAAABwBAwABAAAA
    AQAAAAAAAAAIAAgACAA=
    """)

  private func little(_ value: Int, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  /// Blue, green and red of a pixel.
  private func colors(_ place: Int) -> [UInt8] { [2, 1, 0].map { gradient[3 * place + $0] } }

  /// A bitmap of the gradient; `height` below 0 has its rows from the top.
  private func bitmap(bits: Int, height: Int = 3, width: Int = 4, compression: Int = 0) -> Data {
    var palette: [UInt8] = []
    if bits == 8 { for place in 0..<12 { palette += colors(place) + [0] } }
    var rows: [UInt8] = []
    for row in height < 0 ? [0, 1, 2] : [2, 1, 0] {
      for place in row * 4..<row * 4 + 4 {
        switch bits {
        case 8: rows.append(UInt8(place))
        case 24: rows += colors(place)
        default: rows += colors(place) + [255]
        }
      }
    }
    let start = 54 + palette.count
    var bytes = Array("BM".utf8)
    for field in [start + rows.count, 0, start, 40, width, height] { bytes += little(field, 4) }
    bytes += little(1, 2) + little(bits, 2)
    for field in [compression, 0, 0, 0, bits == 8 ? 12 : 0, 0] { bytes += little(field, 4) }
    return Data(bytes + palette + rows)
  }

  @Test("WebP, TIFF and bitmaps of 8, 24 and 32 bits give their pixels") func pixels() throws {
    let expected = Decoded(width: 4, height: 3, pixels: gradient)
    for file in [
      Self.webP, Self.tiff, bitmap(bits: 8), bitmap(bits: 24), bitmap(bits: 32), bitmap(bits: 24, height: -3)
    ] {
      #expect(try decode(file) == expected)
      for length in stride(from: 0, to: file.count - 1, by: 3) {
        // A TIFF says at its end what is in it, the others may end with what nobody reads.
        _ = try? decode(file.prefix(length))
      }
      #expect(inputError { try decode(file.prefix(30)) } != nil)
      #expect(inputError { try decode(file, maxPixels: 11) }?.problem.contains("4 x 3 pixels, more than") == true)
    }
    #expect(try decode(bitmap(bits: 24), channels: 1).pixels.count == 12)
  }

  @Test("bitmaps whose header says what cannot be are refused") func damaged() throws {
    for (file, mention) in [
      (bitmap(bits: 24, width: 1 << 17), "more than the file's size can hold"),
      (bitmap(bits: 24, width: 40), "too early"), (bitmap(bits: 24, width: -4), "no pixels"),
      (bitmap(bits: 24, height: 0), "no pixels"), (bitmap(bits: 7), "7 bits"),
      (bitmap(bits: 8, compression: 1), "compressed")
    ] {
      #expect(inputError { try decode(file) }?.problem.contains(mention) == true, "\(mention)")
    }
  }

  /// `jpeg` with an Exif block that says how the camera was held.
  private func held(_ jpeg: Data, _ orientation: UInt8, big: Bool = false) -> Data {
    let entry: [UInt8] =
      big
      ? [0x4D, 0x4D, 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0]
      : [0x49, 0x49, 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0, 0, 0, 0, 0]
    let block = Array("Exif".utf8) + [0, 0] + entry
    return jpeg.prefix(2) + [0xFF, 0xE1, 0, UInt8(block.count + 2)] + block + jpeg.dropFirst(2)
  }

  @Test("pictures come upright, as their Exif block says") func orientation() throws {
    let plain = try decode(Sample.jpegGrey, channels: 1)
    let (width, height) = (plain.width, plain.height)
    /// Where in the stored picture the pixel (x, y) of the upright one lies: Exif 2.3, section 4.6.4, and what Pillow's
    /// `exif_transpose` does.
    let places: [(Int, Int) -> (x: Int, y: Int)] = [
      { ($0, $1) }, { (width - 1 - $0, $1) }, { (width - 1 - $0, height - 1 - $1) }, { ($0, height - 1 - $1) },
      { ($1, $0) }, { ($1, height - 1 - $0) }, { (width - 1 - $1, height - 1 - $0) }, { (width - 1 - $1, $0) }
    ]
    for (index, place) in places.enumerated() {
      let upright = try decode(held(Sample.jpegGrey, UInt8(index + 1), big: index % 2 == 1), channels: 1)
      #expect((upright.width, upright.height) == (index < 4 ? (width, height) : (height, width)))
      for y in 0..<upright.height {
        for x in 0..<upright.width {
          let (column, row) = place(x, y)
          #expect(upright.pixels[y * upright.width + x] == plain.pixels[row * width + column], "\(index + 1)")
        }
      }
    }
    #expect(try decode(held(Sample.jpegGrey, 9), channels: 1) == plain)
  }
}
