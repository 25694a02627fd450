import Deception
import Foundation
import Reporting
import Support
import Torch

/// Pictures that belong together, as a run keeps them for its page.
struct PictureStrip: Codable, Equatable {
  struct Picture: Codable, Equatable {
    /// A PNG file.
    var png: Data
    var caption: String
  }

  var title: String
  var pictures: [Picture]

  static let fileName = "examples.json"

  /// - Parameters:
  ///   - example: A pair and what was made of it.
  ///   - classNames: The victim's.
  init(_ example: RedExample, classNames: [String]) throws(InputError) {
    func name(_ label: Int) -> String { label < classNames.count ? classNames[label] : "class \(label)" }
    func picture(_ image: Tensor, _ caption: String) throws(InputError) -> Picture {
      Picture(png: try ImageGrid.png(image), caption: caption)
    }
    let gain = NumberText.plain(example.gain, digits: 2)
    let answers = example.answers
    title = "\(example.key.attack.rawValue) on \(example.key.victim)"
    pictures = [
      try picture(example.clean, "clean: \(name(answers.clean))"),
      try picture(example.adversarial, "adversarial: \(name(answers.adversarial))"),
      try picture(example.denoised, "estimate: \(name(answers.denoised))"),
      try picture(example.perturbation, "perturbation, \(gain) times"),
      try picture(example.estimate, "its estimate, \(gain) times")
    ]
  }

  var figure: ImageGrid {
    ImageGrid(title, pictures.map { .init(png: $0.png, caption: $0.caption) }, side: 80)
  }

  /// - Throws: `InputError` if the file cannot be written.
  static func write(_ strips: [PictureStrip], to url: URL) throws(InputError) {
    let data: Data
    do { data = try JSONEncoder().encode(strips) } catch { throw InputError.writing(url, error) }
    try AtomicFile.write(data, to: url)
  }

  /// - Throws: `InputError` if the file cannot be read or holds something else.
  static func read(_ url: URL) throws(InputError) -> [PictureStrip] {
    let data = try InputFile.read(url)
    guard let strips = try? JSONDecoder().decode([PictureStrip].self, from: data) else {
      throw InputError("these are not a run's example pictures", at: url.path)
    }
    return strips
  }
}
