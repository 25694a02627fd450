import Foundation
import Reporting
import Support
import Torch

/// Images that deceive a model, as PNG files with pixels rounded to 8 bits; a few no longer deceive it after that.
struct BrokenPictures {
  let folder: URL
  /// By label; where there is none, files are named by the label itself.
  let classNames: [String]

  /// - Throws: `InputError` if the folder cannot be made.
  init(in folder: URL, classNames: [String]) throws(InputError) {
    self.folder = folder
    self.classNames = classNames
    do { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) } catch {
      throw InputError.writing(folder, error)
    }
  }

  /// Writes `17-cat-as-dog.png`.
  /// - Parameters:
  ///   - image: float32 pixels in [0, 1], `[1 or 3, H, W]`.
  ///   - index: Where it stands in its data set.
  ///   - label: Its class.
  ///   - answer: The class that the model names.
  /// - Throws: `InputError` if the file cannot be written.
  func write(_ image: Tensor, index: Int, label: Int, answer: Int) throws(InputError) {
    let url = folder.appending(path: "\(index)-\(name(label))-as-\(name(answer)).png")
    try AtomicFile.write(try ImageGrid.png((image * 255).rounded().to(.uint8)), to: url)
  }

  private func name(_ label: Int) -> String {
    guard label < classNames.count else { return "\(label)" }
    return String(classNames[label].map { $0.isLetter || $0.isNumber ? $0 : "_" })
  }
}
