import Foundation
import QuenchSupport

/// A STAR file as RELION writes it: named tables of rows under labels.
public struct STARFile: Hashable, Sendable {
  /// One `data_` block.
  public struct Table: Hashable, Sendable {
    /// What follows `data_`; often `micrographs`, or empty.
    public let name: String
    /// Without the leading underscore: `rlnMicrographName`.
    public internal(set) var labels: [String]
    public internal(set) var rows: [Row]
    /// The line that opens it, counted from 1.
    public let line: Int
    fileprivate var isLoop = false
  }

  public struct Row: Hashable, Sendable {
    /// One a label.
    public let values: [String]
    /// Counted from 1.
    public let line: Int
  }

  public private(set) var tables: [Table] = []
  /// Rows that were left out.
  public private(set) var warnings: [String] = []
  private let name: String
  private let isGrowing: Bool

  /// - Parameters:
  ///   - data: The file's bytes.
  ///   - name: What they are, for errors: usually the file's path.
  ///   - isGrowing: Whether the file is being written: a last line without an end is left for later, and a row with too few
  ///     or too many values is a warning.
  /// - Throws: `InputError` with the line of what has no place in a STAR file, or of a row with too few or too many
  ///   values.
  public init(_ data: Data, name: String, isGrowing: Bool = false) throws(InputError) {
    self.name = name
    self.isGrowing = isGrowing
    let file = try TextFile(data, name: name)
    for line in file.lines where !line.text.isEmpty && !line.text.hasPrefix("#") && !line.text.hasPrefix(";") {
      if isGrowing, !line.isComplete { continue }
      try read(line, of: file)
    }
  }

  private mutating func read(_ line: TextFile.Line, of file: TextFile) throws(InputError) {
    if line.text.hasPrefix("data_") {
      tables.append(Table(name: String(line.text.dropFirst(5)), labels: [], rows: [], line: line.number))
      return
    }
    guard var table = tables.popLast() else {
      throw InputError(
        "this is no STAR file", at: file.location(line.number), expected: "data_...",
        found: "'\(line.text.shortened)'")
    }
    defer { tables.append(table) }
    let values = try Self.values(line, of: file)
    if line.text == "loop_" {
      guard table.labels.isEmpty else {
        throw InputError(
          "a table has a second loop_", at: file.location(line.number), remedy: "begin another with data_")
      }
      table.isLoop = true
    } else if line.text.hasPrefix("_"), table.rows.isEmpty || !table.isLoop {
      try Self.append(label: line, values, to: &table, of: file)
    } else if table.isLoop, !table.labels.isEmpty {
      guard values.count == table.labels.count else {
        let error = InputError(
          "a row of data_\(table.name) has another number of values than labels", at: file.location(line.number),
          expected: "\(table.labels.count)", found: "\(values.count)")
        guard isGrowing else { throw error }
        warnings.append("\(error); left out")
        return
      }
      table.rows.append(Row(values: values, line: line.number))
    } else {
      throw InputError(
        "a line of data_\(table.name) has no label", at: file.location(line.number), expected: "loop_ or _label",
        found: "'\(line.text.shortened)'")
    }
  }

  /// `_label #3` of a loop, or `_label value`.
  private static func append(
    label line: TextFile.Line, _ values: [String], to table: inout Table, of file: TextFile
  ) throws(InputError) {
    let label = String(values[0].dropFirst())
    guard !table.labels.contains(label) else {
      throw InputError(
        "a label occurs twice in data_\(table.name)", at: file.location(line.number), found: "_\(label)")
    }
    table.labels.append(label)
    guard !table.isLoop else { return }
    guard values.count == 2 else {
      throw InputError(
        "a label of data_\(table.name) has no single value", at: file.location(line.number),
        expected: "_\(label) value", found: "'\(line.text.shortened)'")
    }
    let earlier = table.rows.first?.values ?? []
    table.rows = [Row(values: earlier + [values[1]], line: line.number)]
  }

  /// The words of a line; quotes keep blanks inside them, `#` begins a comment.
  private static func values(_ line: TextFile.Line, of file: TextFile) throws(InputError) -> [String] {
    var values: [String] = []
    var rest = line.text[...]
    while let first = rest.first {
      if first == " " || first == "\t" {
        rest = rest.dropFirst()
      } else if first == "#" {
        break
      } else if first == "'" || first == "\"" {
        guard let end = rest.dropFirst().firstIndex(of: first) else {
          throw InputError(
            "a quotation has no end", at: file.location(line.number), found: "'\(line.text.shortened)'")
        }
        values.append(String(rest[rest.index(after: rest.startIndex)..<end]))
        rest = rest[rest.index(after: end)...]
      } else {
        let word = rest.prefix { $0 != " " && $0 != "\t" }
        values.append(String(word))
        rest = rest[word.endIndex...]
      }
    }
    return values
  }

  /// A micrograph's name, or where RELION fitted movies, the movie's.
  private static let nameLabels = ["rlnMicrographName", "rlnMicrographMovieName"]
  private static let resolutionLabel = "rlnCtfMaxResolution"

  private var fitTable: (table: Table, name: Int, resolution: Int)? {
    for table in tables {
      let name = Self.nameLabels.lazy.compactMap { table.labels.firstIndex(of: $0) }.first
      if let name, let resolution = table.labels.firstIndex(of: Self.resolutionLabel) {
        return (table, name, resolution)
      }
    }
    return nil
  }

  /// Whether a table has the labels that ``measurements()`` needs.
  public var hasFits: Bool { fitTable != nil }

  /// What is missing where ``hasFits`` is false.
  var missingFits: String {
    let named = tables.first { $0.labels.contains(where: Self.nameLabels.contains) }
    return named.map { "data_\($0.name) has no _\(Self.resolutionLabel): there is nothing to take from it" }
      ?? "no table with CTF fits in it yet"
  }

  /// The fits of RELION's micrographs: `rlnMicrographName` and `rlnCtfMaxResolution`, wherever they stand.
  /// - Throws: `InputError` if no table has both, or with the line of a value that is no number.
  public func measurements() throws(InputError) -> [CTFMeasurement] { try fits().measurements }

  /// The fits, and the rows that are left out: in a file that is being written those with a value that is no number.
  func fits() throws(InputError) -> (measurements: [CTFMeasurement], warnings: [String]) {
    guard let (table, nameColumn, resolutionColumn) = fitTable else {
      throw InputError(
        "no table has CTF fits", at: name,
        expected: "a table with _\(Self.nameLabels[0]) and _\(Self.resolutionLabel)",
        found: tables.isEmpty ? "no table" : "data_" + tables.map(\.name).joined(separator: ", data_"),
        remedy: "give RELION's micrographs_ctf.star")
    }
    let meritColumn = table.labels.firstIndex(of: "rlnCtfFigureOfMerit")
    var (measurements, warnings): ([CTFMeasurement], [String]) = ([], warnings)
    for row in table.rows {
      guard let value = Double(row.values[resolutionColumn]) else {
        let error = InputError(
          "_\(Self.resolutionLabel) is no number", at: "\(name), line \(row.line)", expected: "Å",
          found: "'\(row.values[resolutionColumn].shortened)'")
        guard isGrowing else { throw error }
        warnings.append("\(error); left out")
        continue
      }
      measurements.append(
        CTFMeasurement(
          name: CTFMeasurement.name(ofFile: row.values[nameColumn]), fit: CTFMeasurement.fit(value),
          figureOfMerit: meritColumn.flatMap { row.values[$0].finiteNumber }, line: row.line))
    }
    return (measurements, warnings)
  }
}
