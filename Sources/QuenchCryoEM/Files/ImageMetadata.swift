import Foundation
import QuenchSupport

/// A SerialEM metadata file (`image.mrc.mdoc`): what the microscope did for each image of a stack.
///
/// Written again, it is the same file byte for byte.
public struct ImageMetadata: Hashable, Sendable {
  /// What is known of one image; nil where the file does not say.
  public struct Frame: Hashable, Sendable {
    /// Its number in the file's own counting: `ZValue`, `FrameSet` or `MontSection`.
    public let index: Int
    public let kind: String
    /// The navigator's label of the item that it was taken at.
    public let navigatorLabel: String?
    /// When it was taken, in the microscope's own time, which is read as UTC.
    public let date: Date?
    /// In micrometres; z from `StageZ`.
    public let stage: StagePosition?
    public let magnification: Double?
    /// In Å.
    public let pixelSize: Double?
    /// In µm, negative for underfocus.
    public let defocus: Double?
    /// In electrons per Å².
    public let exposureDose: Double?
    /// The name of the movie without its folder, which is one of another computer.
    public let movie: String?
    /// The line that opens the section, counted from 1.
    public let line: Int
  }

  public let document: Autodoc
  public let frames: [Frame]
  /// The image that the file describes, where it says.
  public let imageFile: String?
  /// What was read although it is not as it should be, each with its line.
  public let warnings: [String]

  /// - Parameters:
  ///   - data: The file's bytes.
  ///   - name: What they are, for errors: usually the file's path.
  /// - Throws: `InputError` if the data are no autodoc, or with the line of a section whose number is none. A value
  ///   that is no number becomes a warning: vendors' files have NaN in them.
  public init(_ data: Data, name: String) throws(InputError) {
    document = try Autodoc(data, name: name)
    imageFile = document.globals["ImageFile"].map(\.lastPathPart)
    var warnings = document.warnings
    var frames: [Frame] = []
    for section in document.sections where section.kind != "T" {
      guard ["ZValue", "FrameSet", "MontSection"].contains(section.kind) else {
        warnings.append("\(document.location(of: section)): a section '\(section.kind)' is kept and not used")
        continue
      }
      guard let index = Int(section.label) else {
        throw InputError(
          "an image's section has no number", at: document.location(of: section),
          expected: "[\(section.kind) = 0]", found: "[\(section.kind) = \(section.label.shortened)]")
      }
      frames.append(Frame(section, index: index, of: document, warnings: &warnings))
    }
    guard !frames.isEmpty else {
      throw InputError(
        "the metadata file has no image in it", at: name,
        expected: "[ZValue = 0], [FrameSet = 0] or [MontSection = 0]"
      )
    }
    self.frames = frames
    self.warnings = warnings
  }

  /// - Throws: `InputError` as ``init(_:name:)`` does, or if the file cannot be read.
  public init(contentsOf url: URL) throws(InputError) {
    try self.init(InputFile.read(url), name: url.path)
  }

  /// The file's bytes.
  public var data: Data { document.data }
}

extension ImageMetadata.Frame {
  fileprivate init(
    _ section: Autodoc.Section, index: Int, of document: Autodoc, warnings: inout [String]
  ) {
    func numbers(_ key: String, _ count: ClosedRange<Int> = 1...1) -> [Double]? {
      do { return try document.numbers(key, in: section, count: count) } catch {
        warnings.append("\(error); left out")
        return nil
      }
    }
    self.index = index
    kind = section.kind
    line = section.line
    navigatorLabel = section["NavigatorLabel"].flatMap { $0.isEmpty ? nil : $0 }
    date = section["DateTime"].flatMap(Date.init(serialEM:))
    if date == nil, let text = section["DateTime"] {
      warnings.append(
        "\(document.location(of: section, key: "DateTime")): '\(text.shortened)' is no date; left out")
    }
    let z = numbers("StageZ")?.first
    stage = numbers("StagePosition", 2...3).map { StagePosition(x: $0[0], y: $0[1], z: z ?? 0) }
    magnification = numbers("Magnification")?.first
    pixelSize = numbers("PixelSpacing")?.first
    defocus = numbers("Defocus")?.first
    exposureDose = numbers("ExposureDose")?.first
    movie = section["SubFramePath"].map(\.lastPathPart)
  }
}

extension String {
  /// What follows the last `/` or `\`.
  var lastPathPart: String { split(whereSeparator: { $0 == "/" || $0 == "\\" }).last.map(String.init) ?? "" }
}

extension Date {
  /// `14-Apr-2024  17:54:24` or `25-Mar-21 17:00:46`, English months whatever the locale, read as UTC.
  init?(serialEM text: String) {
    let words = text.words()
    guard words.count == 2 else { return nil }
    let day = words[0].split(separator: "-", omittingEmptySubsequences: false)
    let time = words[1].split(separator: ":", omittingEmptySubsequences: false).compactMap { Int($0) }
    let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
    guard day.count == 3, let date = Int(day[0]), let month = months.firstIndex(of: day[1].lowercased()),
      let written = Int(day[2]), [2, 4].contains(day[2].count), time.count == 3
    else { return nil }
    self.init(
      year: day[2].count == 2 ? 2000 + written : written, month: month + 1, day: date, hour: time[0],
      minute: time[1],
      second: time[2])
  }

  /// A moment in UTC; nil for what is no date.
  init?(year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int) {
    guard (1...12).contains(month), (1...31).contains(day), (0..<24).contains(hour), (0..<60).contains(minute),
      (0...60).contains(second), (1900...9999).contains(year)
    else { return nil }
    // Days since 1970 in the proleptic Gregorian calendar, years beginning in March.
    let shifted = month > 2 ? year : year - 1
    let (era, yearOfEra) = (shifted / 400, shifted % 400)
    let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
    let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    self.init(timeIntervalSince1970: Double(((days * 24 + hour) * 60 + minute) * 60 + second))
  }
}
