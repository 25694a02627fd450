import Foundation
import QuenchCryoEM
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Pictures of holes, cut out of the images of their patches: what a predictor sees before an exposure.
public struct HoleImages {
  /// In the order of ``pixels``.
  public var names: [String]
  /// uint8, `[N, 1, S, S]`.
  public var pixels: Tensor
  /// What was read although it is not as it should be.
  public var warnings: [String]

  public init(names: [String], pixels: Tensor, warnings: [String] = []) {
    self.names = names
    self.pixels = pixels
    self.warnings = warnings
  }

  public var count: Int { names.count }

  /// The pictures at `indices`.
  public func subset(_ indices: [Int]) -> HoleImages {
    HoleImages(names: indices.map { names[$0] }, pixels: pixels.selecting(Tensor(indices)), warnings: warnings)
  }

  /// SHA-256 over names and pixels.
  public var fingerprint: String {
    Fingerprint.sha256(Data(names.joined(separator: "\n").utf8) + pixels.data())
  }

  /// Reads one PNG, JPEG or MRC file a hole, named after it: `<hole>.png`, `<hole>.mrc`.
  ///
  /// MRC pixels are scaled to 8 bits over mean ± 3 standard deviations of all crops that are read together, so that thick
  /// ice stays darker than thin ice: read the crops of one session together. Pictures are resized to `side`, and their
  /// middle square is taken.
  /// - Parameters:
  ///   - folder: Where they lie.
  ///   - holes: Which holes; nil for every picture in the folder, in the order of their names.
  ///   - side: Height and width that they get, in pixels.
  ///   - progress: Called with the pictures done and their number.
  /// - Throws: `InputError` that names a file that is missing or damaged.
  public static func read(
    _ folder: URL, holes: [String]? = nil, side: Int, progress: (Int, Int) -> Void = { _, _ in }
  ) throws(InputError) -> HoleImages {
    let files = try Self.files(in: folder)
    let names = holes ?? files.keys.sorted()
    let missing = names.filter { files[$0] == nil }
    guard missing.isEmpty, !names.isEmpty else {
      throw InputError(
        names.isEmpty
          ? "there is no picture of a hole here" : "\(missing.count) of \(names.count) holes have no picture",
        at: folder.path, expected: "one file a hole, named <hole>.png or <hole>.mrc",
        found: missing.first.map { "none for '\($0)'" })
    }
    var warnings: [String] = []
    let range = try MRCRange(names: names, files: files, warnings: &warnings)
    var images: [Tensor] = []
    for (index, name) in names.enumerated() {
      guard let url = files[name] else { continue }
      let grey = try Self.isMRC(url) ? range.grey(url) : Self.grey(url)
      images.append(Self.resized(grey, to: side))
      progress(index + 1, names.count)
    }
    return HoleImages(names: names, pixels: Tensor.stacked(images), warnings: warnings)
  }

  private static func files(in folder: URL) throws(InputError) -> [String: URL] {
    let all: [URL]
    do { all = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil) } catch {
      throw InputError.reading(folder, error)
    }
    var files: [String: URL] = [:]
    for url in all where ["png", "jpg", "jpeg", "mrc"].contains(url.pathExtension.lowercased()) {
      let name = url.deletingPathExtension().lastPathComponent
      if let other = files.updateValue(url, forKey: name) {
        throw InputError(
          "a hole has two pictures", at: folder.path,
          found: "\(other.lastPathComponent) and \(url.lastPathComponent)", remedy: "leave one of them")
      }
    }
    return files
  }

  static func isMRC(_ url: URL) -> Bool { url.pathExtension.lowercased() == "mrc" }

  /// Pixels of 0 to 255, float32, `[1, 1, H, W]`.
  private static func grey(_ url: URL) throws(InputError) -> Tensor {
    let data = try Picture.content(of: url)
    let result = data.withUnsafeBytes { bytes in
      Result<Tensor, InputError> { () throws(InputError) in
        let picture = try Picture(decoding: bytes, name: url.path, channels: 1)
        let pixels = picture.data()
        return pixels.withUnsafeBytes {
          Tensor(bytes: $0, shape: [1, 1, picture.height, picture.width], dtype: .uint8).to(.float32)
        }
      }
    }
    return try result.get()
  }

  /// The middle square, uint8, `[1, side, side]`.
  private static func resized(_ grey: Tensor, to side: Int) -> Tensor {
    let (height, width) = (grey.size(2), grey.size(3))
    let square = min(height, width)
    let (top, left) = ((height - square) / 2, (width - square) / 2)
    let middle = grey[0..., 0..., top..<top + square, left..<left + square]
    let resized = square == side ? middle : middle.resizedBilinear(height: side, width: side)
    return resized.rounded().clamped(to: 0...255).to(.uint8).reshaped([1, side, side])
  }
}

/// What grey values of MRC crops become black and white.
private struct MRCRange {
  private var count = 0.0
  private var sum = 0.0
  private var squares = 0.0

  init(names: [String], files: [String: URL], warnings: inout [String]) throws(InputError) {
    for name in names {
      guard let url = files[name], HoleImages.isMRC(url) else { continue }
      let image = try MRCImage(contentsOf: url)
      warnings += image.warnings
      count += Double(image.pixels.count)
      for pixel in image.pixels {
        sum += Double(pixel)
        squares += Double(pixel) * Double(pixel)
      }
    }
  }

  /// Pixels of 0 to 255, float32, `[1, 1, H, W]`.
  func grey(_ url: URL) throws(InputError) -> Tensor {
    let image = try MRCImage(contentsOf: url)
    let mean = sum / max(count, 1)
    let deviation = max(squares / max(count, 1) - mean * mean, 0).squareRoot()
    let pixels = Tensor(image.pixels, shape: [1, 1, image.height, image.width])
    guard deviation > 0 else { return pixels * 0 + 127.5 }
    return ((pixels - mean) * (255 / (6 * deviation)) + 127.5).clamped(to: 0...255)
  }
}
