import Foundation
import Support

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
  private let name: String

  /// - Parameters:
  ///   - data: The file's bytes.
  ///   - name: What they are, for errors: usually the file's path.
  ///   - isGrowing: Whether a last line without an end is one still in writing, to be left for later.
  /// - Throws: `InputError` with the line of what has no place in a STAR file, or of a row with too few or too many
  ///   values.
  public init(_ data: Data, name: String, isGrowing: Bool = false) throws(InputError) {
    self.name = name
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
        throw InputError(
          "a row of data_\(table.name) has another number of values than labels", at: file.location(line.number),
          expected: "\(table.labels.count)", found: "\(values.count)")
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

  private static let nameLabel = "rlnMicrographName"
  private static let resolutionLabel = "rlnCtfMaxResolution"

  private var fitTable: Table? {
    tables.first { $0.labels.contains(Self.nameLabel) && $0.labels.contains(Self.resolutionLabel) }
  }

  /// Whether a table has the labels that ``measurements()`` needs.
  public var hasFits: Bool { fitTable != nil }

  /// The fits of RELION's micrographs: `rlnMicrographName` and `rlnCtfMaxResolution`, wherever they stand.
  /// - Throws: `InputError` if no table has both, or with the line of a value that is no number.
  public func measurements() throws(InputError) -> [CTFMeasurement] {
    let (nameLabel, resolutionLabel) = (Self.nameLabel, Self.resolutionLabel)
    guard let table = fitTable, let nameColumn = table.labels.firstIndex(of: nameLabel),
      let resolutionColumn = table.labels.firstIndex(of: resolutionLabel)
    else {
      throw InputError(
        "no table has CTF fits", at: name, expected: "a table with _\(nameLabel) and _\(resolutionLabel)",
        found: tables.isEmpty ? "no table" : "data_" + tables.map(\.name).joined(separator: ", data_"),
        remedy: "give RELION's micrographs_ctf.star")
    }
    let meritColumn = table.labels.firstIndex(of: "rlnCtfFigureOfMerit")
    var measurements: [CTFMeasurement] = []
    for row in table.rows {
      guard let value = Double(row.values[resolutionColumn]) else {
        throw InputError(
          "_\(resolutionLabel) is no number", at: "\(name), line \(row.line)", expected: "Å",
          found: "'\(row.values[resolutionColumn].shortened)'")
      }
      measurements.append(
        CTFMeasurement(
          name: row.values[nameColumn].lastPathPart.withoutExtension, fit: CTFMeasurement.fit(value),
          figureOfMerit: meritColumn.flatMap { row.values[$0].finiteNumber }, line: row.line))
    }
    return measurements
  }
}
