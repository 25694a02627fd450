import CImageIO
import Foundation
import QuenchSupport

/// A decoded picture, upright: rows of interleaved 8-bit pixels.
public struct Picture: ~Copyable {
  public let width: Int
  public let height: Int
  /// 1 (grey) or 3 (RGB).
  public let channels: Int
  private let pixels: UnsafeMutablePointer<UInt8>
  private let name: String

  /// Pictures with more pixels are refused unless the caller says otherwise.
  public static let defaultMaxPixels = 100_000_000

  deinit { ci_free(pixels) }

  /// Decodes a JPEG, PNG, WebP, TIFF or BMP, told apart by their first bytes, and turns it as its Exif block says.
  ///
  /// 16-bit samples are scaled to 8 bits, palettes expanded, alpha dropped, CMYK turned into RGB; grey is repeated
  /// for three channels, colour becomes luma (ITU-R 601) for one.
  /// - Parameters:
  ///   - bytes: The file's bytes.
  ///   - name: What the bytes are, for errors: usually the file's path.
  ///   - channels: 1 or 3.
  ///   - maxPixels: Larger pictures are refused before memory is taken for them, and so are headers that promise
  ///     more pixels than so many bytes can hold.
  ///   - minSide: A JPEG may come at 1/2, 1/4 or 1/8 of its size, which is faster, while both sides keep this many
  ///     pixels. 0: always at full size.
  /// - Throws: `InputError` that carries `name` if the bytes are no such picture, end early or are corrupt.
  public init(
    decoding bytes: UnsafeRawBufferPointer, name: String, channels: Int, maxPixels: Int = defaultMaxPixels,
    minSide: Int = 0
  ) throws(InputError) {
    let request = ci_request(
      channels: Int32(clamping: channels), max_pixels: Int64(maxPixels), min_side: Int32(clamping: minSide))
    var pixels: UnsafeMutablePointer<UInt8>?
    var info = ci_info()
    try checked(name) { message in
      ci_decode(bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count, request, &pixels, &info, message)
    }
    guard let pixels else { throw InputError("the picture has no pixels", at: name) }
    self.pixels = pixels
    self.name = name
    self.width = Int(info.width)
    self.height = Int(info.height)
    self.channels = Int(info.channels)
  }

  /// The bytes of a picture's file, refused before they are read if they are none or far more than its pixels take.
  /// - Throws: `InputError` that names the file if it cannot be read or is no picture.
  public static func content(of url: URL, maxPixels: Int = defaultMaxPixels) throws(InputError) -> Data {
    let file = try InputFile(url)
    var limit = 1 << 24
    if let count = file.count, count > limit {
      // Colour and alpha of 16 bits each, and what a camera writes beside.
      let start = try file.read(0..<limit)
      // A TIFF may say its size at its very end.
      let isTIFF = start.starts(with: Data("II*\0".utf8)) || start.starts(with: Data("MM\0*".utf8))
      let size = try start.parse { (bytes) throws(InputError) -> (width: Int, height: Int)? in
        try isTIFF ? nil : Picture.size(of: bytes, name: url.path)
      }
      limit += 8 * min(size.map { $0.width * $0.height } ?? maxPixels, maxPixels)
    } else if file.isStream {
      limit += 8 * maxPixels
    }
    return try file.read(limit: limit)
  }

  /// Width and height as the header gives them; nothing is decoded.
  /// - Throws: `InputError` that carries `name` if the bytes do not begin as a picture does.
  public static func size(
    of bytes: UnsafeRawBufferPointer, name: String
  ) throws(InputError) -> (width: Int, height: Int) {
    var info = ci_info()
    try checked(name) { message in
      ci_probe(bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count, &info, message)
    }
    return (Int(info.width), Int(info.height))
  }

  /// The interleaved pixels, `height * width * channels` bytes.
  public func data() -> Data { Data(bytes: pixels, count: width * height * channels) }

  /// The picture resized and cropped, channel after channel.
  /// - Throws: `InputError` if the picture is too narrow for its length to be resized, or memory is short.
  public func planes(_ size: PictureSize) throws(InputError) -> [UInt8] {
    if case .fitted(let fit) = size, (fit.height, fit.width) != (height, width) || fit.shorterSide != nil {
      return try planes(fit)
    }
    guard let window = size.window(width: width, height: height) else { throw tooNarrow }
    return try planes(window)
  }

  private func planes(_ fit: PictureFit) throws(InputError) -> [UInt8] {
    // A square is resized to the shorter side itself, as torchvision does it.
    if fit.height == fit.width { return try planes(.cropped(fit.height, shorterSide: fit.resizedSide)) }
    let full = fit.fullSize(height: height, width: width)
    guard full.height <= 1 << 20, full.width <= 1 << 20 else { throw tooNarrow }
    return try planes(
      ci_window(
        full_width: Int32(full.width), full_height: Int32(full.height), left: Int32((full.width - fit.width) / 2),
        top: Int32((full.height - fit.height) / 2), out_width: Int32(fit.width), out_height: Int32(fit.height)))
  }

  private var tooNarrow: InputError {
    InputError("a picture of \(width) x \(height) pixels cannot be resized", at: name)
  }

  private func planes(_ window: ci_window) throws(InputError) -> [UInt8] {
    var planes = [UInt8](repeating: 0, count: channels * Int(window.out_width) * Int(window.out_height))
    let info = ci_info(width: Int32(width), height: Int32(height), channels: Int32(channels))
    try checked(name) { message in ci_resample(pixels, info, window, &planes, message) }
    return planes
  }
}
