import CImageIO
import Foundation
import QuenchSupport

/// A decoded JPEG or PNG: rows of interleaved 8-bit pixels.
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

  /// Decodes a JPEG or PNG, told apart by their first bytes.
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
  /// - Throws: `InputError` that names the file if it cannot be read or is no JPEG or PNG.
  public static func content(of url: URL, maxPixels: Int = defaultMaxPixels) throws(InputError) -> Data {
    let file = try InputFile(url)
    var limit = 1 << 24
    if let count = file.count, count > limit {
      // Colour and alpha of 16 bits each, and what a camera writes beside.
      let size = try file.read(0..<limit).parse { (bytes) throws(InputError) in
        try Picture.size(of: bytes, name: url.path)
      }
      limit += 8 * min(size.width * size.height, maxPixels)
    } else if file.isStream {
      limit += 8 * maxPixels
    }
    return try file.read(limit: limit)
  }

  /// Width and height as the header gives them; nothing is decoded.
  /// - Throws: `InputError` that carries `name` if the bytes do not begin as a JPEG or PNG.
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
    guard let window = size.window(width: width, height: height) else {
      throw InputError("a picture of \(width) x \(height) pixels cannot be resized", at: name)
    }
    return try planes(window)
  }

  /// The picture resized to `full` pixels, of which `size` from `top` and `left` on are cut out.
  fileprivate func planes(
    full: (height: Int, width: Int), top: Int, left: Int, size: (height: Int, width: Int)
  ) throws(InputError) -> [UInt8] {
    try planes(
      ci_window(
        full_width: Int32(full.width), full_height: Int32(full.height), left: Int32(left), top: Int32(top),
        out_width: Int32(size.width), out_height: Int32(size.height)))
  }

  private func planes(_ window: ci_window) throws(InputError) -> [UInt8] {
    var planes = [UInt8](repeating: 0, count: channels * Int(window.out_width) * Int(window.out_height))
    let info = ci_info(width: Int32(width), height: Int32(height), channels: Int32(channels))
    try checked(name) { message in ci_resample(pixels, info, window, &planes, message) }
    return planes
  }
}

/// How pictures of a folder come to one size.
public enum PictureSize: Hashable, Sendable, Codable {
  /// They have one already, and keep it.
  case uniform
  /// The shorter side is resized to `shorterSide`, then the central square of `crop` pixels is taken.
  case cropped(Int, shorterSide: Int)

  /// Width and height after resizing and cropping a picture of `width` x `height` pixels.
  func result(width: Int, height: Int) -> (width: Int, height: Int) {
    switch self {
    case .uniform: (width, height)
    case .cropped(let crop, _): (crop, crop)
    }
  }

  /// What both sides of a JPEG must keep when it is decoded at a fraction of its size; 0 for full size.
  /// Twice the final size leaves the resizing filter enough to work on.
  var minSide: Int {
    switch self {
    case .uniform: 0
    case .cropped(_, let shorterSide): 2 * shorterSide
    }
  }

  /// - Throws: `InputError` unless 1 <= crop <= shorter side <= 8192.
  func validate() throws(InputError) {
    guard case .cropped(let crop, let shorterSide) = self else { return }
    guard crop >= 1, crop <= shorterSide, shorterSide <= 8192 else {
      throw InputError(
        "a crop must lie inside the resized picture", expected: "1 <= crop <= shorter side <= 8192",
        found: "crop \(crop), shorter side \(shorterSide)")
    }
  }

  /// `nil` where the longer side would get more pixels than can be counted.
  fileprivate func window(width: Int, height: Int) -> ci_window? {
    guard case .cropped(let crop, let shorterSide) = self else {
      return ci_window(
        full_width: Int32(width), full_height: Int32(height), left: 0, top: 0, out_width: Int32(width),
        out_height: Int32(height))
    }
    let longer = shorterSide * max(width, height) / min(width, height)
    guard let longer = Int32(exactly: longer) else { return nil }
    let (fullWidth, fullHeight) = width < height ? (Int32(shorterSide), longer) : (longer, Int32(shorterSide))
    func centred(_ full: Int32) -> Int32 { Int32((Double(full - Int32(crop)) / 2).rounded(.toNearestOrEven)) }
    return ci_window(
      full_width: fullWidth, full_height: fullHeight, left: centred(fullWidth), top: centred(fullHeight),
      out_width: Int32(crop), out_height: Int32(crop))
  }
}

extension Picture {
  /// The picture resized to cover `size` as its shorter side were `shorterSide`, of which the middle is cut out, channel
  /// after channel.
  /// - Throws: `InputError` if the picture is too narrow for its length to be resized, or memory is short.
  func planes(covering size: (height: Int, width: Int), shorterSide: Int) throws(InputError) -> [UInt8] {
    let margin = Double(shorterSide) / Double(min(size.height, size.width))
    let scale =
      margin * max(Double(size.height) / Double(height), Double(size.width) / Double(width))
    let full = (
      height: max(size.height, Int(Double(height) * scale)), width: max(size.width, Int(Double(width) * scale))
    )
    guard full.height <= 1 << 20, full.width <= 1 << 20 else {
      throw InputError("a picture of \(width) x \(height) pixels cannot be resized")
    }
    return try planes(
      full: full, top: (full.height - size.height) / 2, left: (full.width - size.width) / 2, size: size)
  }
}
