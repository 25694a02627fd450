import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Pictures that belong together, as a run keeps them for its page.
public struct PictureStrip: Codable, Hashable, Sendable {
  public struct Picture: Codable, Hashable, Sendable {
    /// A PNG file.
    public var png: Data
    public var caption: String
  }

  public var title: String
  public var pictures: [Picture]

  public static let fileName = "examples.json"

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

  /// The pictures as a page shows them.
  public var figure: ImageGrid {
    ImageGrid(title, pictures.map { .init(png: $0.png, caption: $0.caption) }, side: 80)
  }

  /// - Throws: `InputError` if the file cannot be written.
  static func write(_ strips: [PictureStrip], to url: URL) throws(InputError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let data: Data
    do { data = try encoder.encode(strips) } catch { throw InputError.writing(url, error) }
    try AtomicFile.write(data, to: url)
  }

  /// - Throws: `InputError` if the file cannot be read or holds something else.
  public static func read(_ url: URL) throws(InputError) -> [PictureStrip] {
    let data = try InputFile.read(url)
    guard let strips = try? JSONDecoder().decode([PictureStrip].self, from: data) else {
      throw InputError("these are not a run's example pictures", at: url.path)
    }
    return strips
  }
}
