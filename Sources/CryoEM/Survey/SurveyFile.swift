import Foundation
import Support

/// A survey as comma-separated text, in one of two forms.
///
/// Without a header, a line an image: `name,x,y,CTF,confidence`, where name is Leginon's (``HoleName``), x and y are
/// offsets in the parent image in pixels, CTF in Å. Images that are no exposures are passed over, and so is a raw exposure
/// whose aligned sum is listed. With a header line, columns of any order: `name`, `patch`, `square`, `tile` and,
/// if there, `grid`, `x`, `y` (pixels), `stage_x`, `stage_y` (µm), `ctf`, `confidence`; then names are free.
public struct SurveyFile: Sendable {
  public var survey: Survey
  /// Images that are no holes: tiles, squares, patches, focus.
  public var passedOver = 0
  /// Raw exposures that stand in the list as aligned sums as well.
  public var rawExposures = 0

  /// - Throws: `InputError` that names the file and the line.
  public init(contentsOf url: URL) throws(InputError) {
    try self.init(parsing: try InputError.read(url), name: url.path)
  }

  /// - Parameters:
  ///   - data: The file's bytes.
  ///   - name: The file, for errors.
  /// - Throws: `InputError` that names the line with a missing column, a name of another convention, a value that is
  ///   no number, a CTF that is neither -1 nor above 0, or a hole that occurs twice.
  public init(parsing data: Data, name: String) throws(InputError) {
    let file = try TextLines(data, name: name)
    let header = file.lines.first.map { Self.fields($0.text).map { $0.lowercased() } } ?? []
    if header.contains("name") {
      survey = try Survey(try Self.headed(file, header), from: name)
      return
    }
    var entries: [Survey.Entry] = []
    for (number, line) in file.lines {
      let fields = Self.fields(line)
      guard fields.count == 5 else {
        throw InputError(
          "a line has another number of columns", at: file.location(number),
          expected: "name,x,y,CTF,confidence", found: "\(fields.count) columns",
          remedy: "for a table of another form, begin it with a header line such as name,tile,square,patch,ctf")
      }
      let x = try file.number(fields[1], "x offset", line: number)
      let y = try file.number(fields[2], "y offset", line: number)
      let fit = try Self.fit(fields[3], file, number)
      let confidence = try file.number(fields[4], "confidence", line: number)
      guard let hole = HoleName(fields[0]) else {
        guard let image = LeginonImage(name: fields[0]), image != .exposure else {
          throw InputError(
            "the name follows another convention", at: file.location(number),
            expected: "label_00001gr_00001sq_v01_00001hl_v01_00001en-a", found: "'\(fields[0].prefix(80))'",
            remedy: "begin the table with a header line such as name,tile,square,patch,ctf; names are free then")
        }
        passedOver += 1
        continue
      }
      entries.append(
        Survey.Entry(
          hole, offset: SIMD2(x, y), fit: fit, confidence: fit.isMeasured ? confidence : nil,
          location: file.location(number)))
    }
    let aligned = Set(entries.lazy.map(\.name).filter { $0.hasSuffix("-a") })
    let count = entries.count
    entries.removeAll { !$0.name.hasSuffix("-a") && aligned.contains($0.name + "-a") }
    rawExposures = count - entries.count
    survey = try Survey(entries, from: name)
  }

  private static func fields(_ line: Substring) -> [Substring] {
    line.split(separator: ",", omittingEmptySubsequences: false).map { field in
      var field = field.drop { $0 == " " || $0 == "\t" }
      while let last = field.last, last == " " || last == "\t" { field.removeLast() }
      return field
    }
  }

  private static func fit(_ text: Substring, _ file: TextLines, _ line: Int) throws(InputError) -> CTFFit {
    let value = try file.number(text, "CTF", line: line)
    guard let fit = CTFFit(fileValue: value) else {
      throw InputError(
        "the CTF is no resolution", at: file.location(line),
        expected: "Å above 0, -1 where it was not measured, or 100000 where the fit failed", found: "\(text)")
    }
    return fit
  }

  private static let columns = [
    "name", "grid", "tile", "square", "patch", "x", "y", "stage_x", "stage_y", "ctf", "confidence"
  ]

  private static func headed(_ file: TextLines, _ header: [String]) throws(InputError) -> [Survey.Entry] {
    let first = file.lines[0].number
    for (position, column) in header.enumerated() {
      guard columns.contains(column) else {
        throw InputError(
          "unknown column '\(column.prefix(40))'", at: file.location(first),
          expected: columns.joined(separator: ", "),
          remedy: columns.nearest(to: column).map { "the nearest name is '\($0)'" })
      }
      guard !header[..<position].contains(column) else {
        throw InputError("the column '\(column)' occurs twice", at: file.location(first))
      }
    }
    for column in ["name", "tile", "square", "patch"] where !header.contains(column) {
      throw InputError("the column '\(column)' is missing", at: file.location(first))
    }
    var entries: [Survey.Entry] = []
    for (number, line) in file.lines.dropFirst() {
      let fields = fields(line)
      guard fields.count == header.count else {
        throw InputError(
          "a line has another number of columns than the header", at: file.location(number),
          expected: "\(header.count)", found: "\(fields.count)")
      }
      func text(_ column: String) -> Substring? { header.firstIndex(of: column).map { fields[$0] } }
      func value(_ column: String) throws(InputError) -> Double? {
        guard let text = text(column), !text.isEmpty else { return nil }
        return try file.number(text, column, line: number)
      }
      func pair(_ x: String, _ y: String) throws(InputError) -> SIMD2<Double>? {
        guard let x = try value(x), let y = try value(y) else { return nil }
        return SIMD2(x, y)
      }
      let name = String(text("name") ?? "")
      guard !name.isEmpty else { throw InputError("a hole has no name", at: file.location(number)) }
      var fit = CTFFit.unmeasured
      if let ctf = text("ctf"), !ctf.isEmpty { fit = try Self.fit(ctf, file, number) }
      entries.append(
        Survey.Entry(
          name: name, patch: String(text("patch") ?? ""), square: String(text("square") ?? ""),
          tile: String(text("tile") ?? ""), grid: String(text("grid") ?? ""), offset: try pair("x", "y"),
          stage: try pair("stage_x", "stage_y"), fit: fit, confidence: try value("confidence"),
          location: file.location(number)))
    }
    return entries
  }

  /// The survey as headerless text with a line a hole, for names of Leginon's convention.
  public static func text(of survey: Survey) -> String {
    survey.holes.reduce(into: "") { text, hole in
      let offset = hole.offset ?? .zero
      text += "\(hole.name),\(offset.x),\(offset.y),\(hole.fit.fileValue),\(hole.confidence ?? -1)\n"
    }
  }
}
