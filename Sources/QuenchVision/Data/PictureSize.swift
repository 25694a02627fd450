import CImageIO
import Foundation
import QuenchSupport

/// How pictures of a folder come to one size.
public enum PictureSize: Hashable, Sendable, Codable {
  /// They have one already, and keep it.
  case uniform
  /// The shorter side is resized to `shorterSide`, then the central square of `crop` pixels is taken.
  case cropped(Int, shorterSide: Int)
  /// They come to the size that a network takes.
  case fitted(PictureFit)

  /// Width and height after resizing and cropping a picture of `width` x `height` pixels.
  func result(width: Int, height: Int) -> (width: Int, height: Int) {
    switch self {
    case .uniform: (width, height)
    case .cropped(let crop, _): (crop, crop)
    case .fitted(let fit): (fit.width, fit.height)
    }
  }

  /// What both sides of a JPEG must keep when it is decoded at a fraction of its size; 0 for full size.
  /// Twice the final size leaves the resizing filter enough to work on.
  var minSide: Int {
    switch self {
    case .uniform: 0
    case .cropped(_, let shorterSide): 2 * shorterSide
    case .fitted(let fit): 2 * max(fit.height, fit.width, fit.resizedSide)
    }
  }

  /// - Throws: `InputError` unless 1 <= crop <= shorter side <= 8192.
  func validate() throws(InputError) {
    if case .fitted(let fit) = self { return try fit.validate() }
    guard case .cropped(let crop, let shorterSide) = self else { return }
    guard crop >= 1, crop <= shorterSide, shorterSide <= 8192 else {
      throw InputError(
        "a crop must lie inside the resized picture", expected: "1 <= crop <= shorter side <= 8192",
        found: "crop \(crop), shorter side \(shorterSide)")
    }
  }

  /// `nil` where the longer side would get more pixels than can be counted.
  func window(width: Int, height: Int) -> ci_window? {
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

/// How a picture comes to a network's size.
public struct PictureFit: Hashable, Sendable, Codable {
  /// 1 or 3.
  public var channels: Int
  public var height: Int
  public var width: Int
  /// What the shorter side of the network's size stands for before the middle is cut out; nil: by ``margin``, and a picture
  /// of just the size stays as it is.
  public var shorterSide: Int?

  /// A picture that is not of the network's size is resized until it covers it times this, then the middle is cut out.
  public static let margin = 8.0 / 7

  public init(channels: Int, height: Int, width: Int, shorterSide: Int? = nil) {
    (self.channels, self.height, self.width, self.shorterSide) = (channels, height, width, shorterSide)
  }

  var resizedSide: Int { shorterSide ?? Int((Double(min(height, width)) * Self.margin).rounded()) }

  /// What a picture is resized to before the middle is cut out.
  func fullSize(height: Int, width: Int) -> (height: Int, width: Int) {
    let margin = Double(resizedSide) / Double(min(self.height, self.width))
    let scale = margin * max(Double(self.height) / Double(height), Double(self.width) / Double(width))
    return (
      max(self.height, Int(Double(height) * scale)), max(self.width, Int(Double(width) * scale))
    )
  }

  /// - Throws: `InputError` if the middle does not lie in the resized picture.
  func validate() throws(InputError) {
    guard let shorterSide else { return }
    try requireSetting(
      (min(height, width)...8192).contains(shorterSide), "resize",
      "from \(min(height, width)), the network's size, to 8192", shorterSide)
  }

  /// The pixels of the picture in a file, channel after channel.
  /// - Throws: `InputError` that names the file if it is no picture.
  func planes(of file: URL) throws(InputError) -> [UInt8] {
    try Picture.content(of: file).parse { (bytes) throws(InputError) in
      try Picture(decoding: bytes, name: file.path, channels: channels).planes(.fitted(self))
    }
  }
}
