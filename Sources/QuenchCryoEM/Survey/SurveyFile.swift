import Foundation
import QuenchReporting
import QuenchSupport

/// A survey as text, a line a hole, its columns separated by commas, semicolons or tabs, in one of two forms.
///
/// Without a header, a line an image: `name,x,y,CTF,confidence`, where name is Leginon's (``HoleName``), x and y are
/// offsets in the parent image in pixels, CTF in Å. Images that are no exposures are passed over, and so is a raw exposure
/// whose aligned sum is listed. With a header line, columns of any order: `name`, `patch`, `square`, `tile` and,
/// if there, `grid`, `x`, `y` (pixels), `stage_x`, `stage_y` (µm), `ctf`, `confidence`; then names are free, and other columns are left out.
public struct SurveyFile: Sendable {
  public var survey: Survey
  /// Images that are no holes: tiles, squares, patches, focus.
  public var passedOver = 0
  /// Raw exposures that stand in the list as aligned sums as well.
  public var rawExposures = 0
  /// What was left out.
  public private(set) var warnings: [String] = []

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
    let file = try DelimitedFile(parsing: data, name: name)
    let header = file.rows.first.map { $0.fields.map { $0.lowercased() } } ?? []
    if header.contains("name") {
      survey = try Survey(try Self.headed(file, header, &warnings), from: name)
      return
    }
    var entries: [Survey.Entry] = []
    for row in file.rows {
      guard row.fields.count == 5 else {
        throw InputError(
          "a line has another number of columns", at: file.location(row),
          expected: "name,x,y,CTF,confidence", found: NumberText.count(row.fields.count, "column"),
          remedy: "for a table of another form, begin it with a header line such as name,tile,square,patch,ctf")
      }
      let x = try file.number(row.fields[1], "x offset", in: row)
      let y = try file.number(row.fields[2], "y offset", in: row)
      let fit = try Self.fit(row.fields[3], file, row)
      let confidence = try file.number(row.fields[4], "confidence", in: row)
      guard let hole = HoleName(row.fields[0]) else {
        guard let image = LeginonImage(name: row.fields[0]), image != .exposure else {
          throw InputError(
            "the name follows another convention", at: file.location(row),
            expected: "label_00001gr_00001sq_v01_00001hl_v01_00001en-a", found: "'\(row.fields[0].prefix(80))'",
            remedy: "begin the table with a header line such as name,tile,square,patch,ctf; names are free then")
        }
        passedOver += 1
        continue
      }
      entries.append(
        Survey.Entry(
          hole, offset: SIMD2(x, y), fit: fit, confidence: fit.isMeasured ? confidence : nil,
          location: file.location(row)))
    }
    let aligned = Set(entries.lazy.map(\.name).filter { $0.hasSuffix("-a") })
    let count = entries.count
    entries.removeAll { !$0.name.hasSuffix("-a") && aligned.contains($0.name + "-a") }
    rawExposures = count - entries.count
    survey = try Survey(entries, from: name)
  }

  private static func fit(
    _ text: String, _ file: DelimitedFile, _ row: DelimitedFile.Row
  ) throws(InputError) -> CTFFit {
    let value = try file.number(text, "CTF", in: row)
    guard let fit = CTFFit(fileValue: value) else {
      throw InputError(
        "the CTF is no resolution", at: file.location(row),
        expected: "Å above 0, -1 where it was not measured, or 100000 where the fit failed", found: text)
    }
    return fit
  }

  private static let columns = [
    "name", "grid", "tile", "square", "patch", "x", "y", "stage_x", "stage_y", "ctf", "confidence"
  ]

  /// Checks the columns' names; those that mean nothing here are left out, unless one that is missing was meant.
  private static func check(
    _ header: [String], at location: String, _ warnings: inout [String]
  ) throws(InputError) {
    for (position, column) in header.enumerated() {
      guard columns.contains(column) else {
        let meant = columns.first { known in
          !header.contains(known)
            && (known.count > 2 && known.distance(to: column) == 1 || known.sorted() == column.sorted())
        }
        if let meant {
          throw InputError(
            "unknown column '\(column.prefix(40))'", at: location, expected: columns.joined(separator: ", "),
            remedy: "the nearest name is '\(meant)'")
        }
        warnings.append("\(location): the column '\(column.prefix(40))' is left out")
        continue
      }
      guard !header[..<position].contains(column) else {
        throw InputError("the column '\(column)' occurs twice", at: location)
      }
    }
    for column in ["name", "tile", "square", "patch"] where !header.contains(column) {
      throw InputError(
        "the column '\(column)' is missing", at: location, expected: "name, tile, square and patch",
        found: header.joined(separator: ", "))
    }
  }

  private static func headed(
    _ file: DelimitedFile, _ header: [String], _ warnings: inout [String]
  ) throws(InputError) -> [Survey.Entry] {
    try check(header, at: file.location(file.rows[0]), &warnings)
    var entries: [Survey.Entry] = []
    for row in file.rows.dropFirst() {
      guard row.fields.count == header.count else {
        throw InputError(
          "a line has another number of columns than the header", at: file.location(row),
          expected: "\(header.count)", found: "\(row.fields.count)")
      }
      func text(_ column: String) -> String { header.firstIndex(of: column).map { row.fields[$0] } ?? "" }
      func value(_ column: String) throws(InputError) -> Double? {
        text(column).isEmpty ? nil : try file.number(text(column), column, in: row)
      }
      func pair(_ x: String, _ y: String) throws(InputError) -> SIMD2<Double>? {
        guard let x = try value(x), let y = try value(y) else { return nil }
        return SIMD2(x, y)
      }
      let name = text("name")
      guard !name.isEmpty else { throw InputError("a hole has no name", at: file.location(row)) }
      let fit = text("ctf").isEmpty ? CTFFit.unmeasured : try Self.fit(text("ctf"), file, row)
      entries.append(
        Survey.Entry(
          name: name, patch: text("patch"), square: text("square"), tile: text("tile"), grid: text("grid"),
          offset: try pair("x", "y"), stage: try pair("stage_x", "stage_y"), fit: fit,
          confidence: try value("confidence"), location: file.location(row)))
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
