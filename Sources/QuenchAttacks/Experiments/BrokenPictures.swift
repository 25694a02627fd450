import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Images that deceive a model, as files: pictures of 8 bits, arrays of float32, or both.
struct BrokenPictures {
  /// Where pictures go; nil: nowhere.
  let pictures: URL?
  /// Where arrays go.
  let arrays: URL?
  /// By label; where there is none, files are named by the label itself.
  let classNames: [String]
  /// Whether each budget of a sweep has a folder of its own.
  let sortsByBudget: Bool

  /// Writes `17-cat-as-dog.png`, `17-cat-lost-by-rounding.png` where the picture deceives no more, and
  /// `17-cat-as-dog.npy`: each name says what the network answers to this very file.
  /// - Throws: `InputError` if a file cannot be written.
  func write(_ broken: BrokenImage) throws(InputError) {
    if let pictures {
      let end = broken.deceivesRounded ? "as-\(name(broken.answerRounded))" : "lost-by-rounding"
      try write(
        try ImageGrid.png((broken.image * 255).rounded().to(.uint8)), broken, "\(end).png", in: pictures)
    }
    if let arrays { try write(broken.image.npy(), broken, "as-\(name(broken.answer)).npy", in: arrays) }
  }

  private func write(_ data: Data, _ broken: BrokenImage, _ end: String, in folder: URL) throws(InputError) {
    var folder = folder
    if sortsByBudget, let epsilon = broken.epsilon {
      folder.append(path: "epsilon-\(PixelBudget(epsilon))".replacing("/", with: "_"))
    }
    do { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) } catch {
      throw InputError.writing(folder, error)
    }
    try AtomicFile.write(data, to: folder.appending(path: "\(broken.index)-\(name(broken.label))-\(end)"))
  }

  private func name(_ label: Int?) -> String {
    guard let label else { return "nothing" }
    guard label < classNames.count else { return "\(label)" }
    return String(classNames[label].map { $0.isLetter || $0.isNumber ? $0 : "_" })
  }
}
