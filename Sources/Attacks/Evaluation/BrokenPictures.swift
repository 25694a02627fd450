import Foundation
import Reporting
import Support
import Torch

/// Images that deceive a model, as PNG files with pixels rounded to 8 bits; a few no longer deceive it after that.
public struct BrokenPictures {
  public let folder: URL
  private let classNames: [String]

  /// - Parameters:
  ///   - folder: Made if it is not there.
  ///   - classNames: By label, for the files' names; labels themselves where there is none.
  /// - Throws: `InputError` if the folder cannot be made.
  public init(in folder: URL, classNames: [String]) throws(InputError) {
    self.folder = folder
    self.classNames = classNames
    do { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) } catch {
      throw InputError.writing(folder, error)
    }
  }

  /// `17-cat-as-dog.png`
  func fileName(index: Int, label: Int, answer: Int) -> String {
    func name(_ label: Int) -> String {
      guard label < classNames.count else { return "\(label)" }
      return String(classNames[label].map { $0.isLetter || $0.isNumber ? $0 : "_" })
    }
    return "\(index)-\(name(label))-as-\(name(answer)).png"
  }

  /// - Parameter image: float32 pixels in [0, 1], `[1 or 3, H, W]`.
  /// - Throws: `InputError` if the file cannot be written.
  func write(_ image: Tensor, index: Int, label: Int, answer: Int) throws(InputError) {
    let pixels = (image.permuted([1, 2, 0]) * 255).rounded().to(.uint8)
    let png = try PNG.encode(
      pixels: Array(pixels.data()), width: image.size(2), height: image.size(1), channels: image.size(0))
    try AtomicFile.write(png, to: folder.appending(path: fileName(index: index, label: label, answer: answer)))
  }
}
