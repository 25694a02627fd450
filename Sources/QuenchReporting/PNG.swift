import CImageIO
import Foundation
import QuenchSupport

/// Encodes images as PNG files.
public enum PNG {
  /// A PNG file of `pixels`, `[height, width, channels]` row by row; one channel is grey, three are RGB.
  /// - Throws: `InputError` if the sizes do not fit together or a side is over 65,535 pixels.
  public static func encode(pixels: [UInt8], width: Int, height: Int, channels: Int) throws(InputError) -> Data {
    let sides = 1...65_535
    guard sides ~= width, sides ~= height, [1, 3].contains(channels), pixels.count == width * height * channels
    else {
      throw InputError(
        "the pixels are not an image", expected: "1 to 65535 pixels a side, 1 or 3 channels",
        found: "\(width) x \(height) x \(channels) with \(pixels.count) values")
    }
    var file: UnsafeMutablePointer<UInt8>?
    var size = 0
    guard ci_png_encode(pixels, Int32(width), Int32(height), Int32(channels), &file, &size) == 0, let file else {
      throw InputError("the image cannot be encoded as PNG", found: "\(width) x \(height) x \(channels)")
    }
    return Data(bytesNoCopy: file, count: size, deallocator: .free)
  }
}
