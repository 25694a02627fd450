import Foundation
import QuenchSupport

/// A table as text, a row a line, its fields separated by tabs, semicolons, commas or blanks: by the first of these that
/// occurs in the first line. Fields may stand in double quotes, where a doubled one stands for itself (RFC 4180).
package struct DelimitedFile {
  package struct Row {
    /// Counted from 1.
    package let number: Int
    /// Without quotes, and without blanks round them.
    package let fields: [String]
  }

  /// The file, for errors.
  package let name: String
  package let rows: [Row]
  private let separator: Character?

  /// - Throws: `InputError` as ``init(parsing:name:)`` does, or if the file cannot be read.
  package init(contentsOf url: URL) throws(InputError) {
    try self.init(parsing: try InputError.read(url), name: url.path)
  }

  /// - Parameters:
  ///   - data: The file's bytes.
  ///   - name: The file, for errors.
  /// - Throws: `InputError` if the data are no text, or with the line of a quotation without an end.
  package init(parsing data: Data, name: String) throws(InputError) {
    let file = try TextLines(data, name: name)
    self.name = name
    let separator = file.lines.first.flatMap { Self.separator(of: $0.text) }
    var rows: [Row] = []
    for (number, line) in file.lines {
      guard let fields = Self.fields(line, separator) else {
        throw InputError(
          "a quotation has no end", at: file.location(number), found: "'\(line.prefix(80))'")
      }
      rows.append(Row(number: number, fields: fields))
    }
    self.separator = separator
    self.rows = rows
  }

  package func location(_ row: Row) -> String { "\(name), line \(row.number)" }

  /// A finite number, with a decimal comma where commas do not separate fields.
  /// - Parameter column: What it means, for the error.
  package func number(_ text: String, _ column: String, in row: Row) throws(InputError) -> Double {
    let point = separator == "," || text.contains(".") ? text : text.replacing(",", with: ".")
    guard let value = Double(point), value.isFinite else {
      throw InputError(
        "the \(column) is no number", at: location(row), expected: "a finite number", found: "'\(text.prefix(40))'")
    }
    return value
  }

  private static func separator(of line: Substring) -> Character? {
    var isQuoted = false
    let open = line.filter { character in
      if character == "\"" { isQuoted.toggle() }
      return !isQuoted
    }
    return ["\t", ";", ","].first { open.contains($0) }
  }

  /// Nil if a quotation has no end.
  private static func fields(_ line: Substring, _ separator: Character?) -> [String]? {
    guard line.contains("\"") else {
      return separator.map { separator in
        line.split(separator: separator, omittingEmptySubsequences: false).map { $0.trimmingBlanks() }
      } ?? line.split(whereSeparator: \.isWhitespace).map(String.init)
    }
    func ends(_ character: Character) -> Bool { separator.map { $0 == character } ?? character.isWhitespace }
    var fields: [String] = []
    var rest = line
    while true {
      rest = rest.drop { separator == nil ? $0.isWhitespace : $0 == " " }
      var field = ""
      if rest.first == "\"" {
        rest.removeFirst()
        while true {
          guard let end = rest.firstIndex(of: "\"") else { return nil }
          field += rest[..<end]
          rest = rest[rest.index(after: end)...]
          guard rest.first == "\"" else { break }
          field += "\""
          rest.removeFirst()
        }
      }
      let tail = rest.prefix { !ends($0) }
      field += tail.trimmingBlanks()
      fields.append(field)
      guard tail.endIndex < rest.endIndex else { break }
      rest = rest[rest.index(after: tail.endIndex)...]
    }
    return fields
  }

  /// `field` as it stands in a table, in quotes where it must.
  package static func field(_ field: String, separatedBy separator: Character) -> String {
    guard
      field.isEmpty && separator == " "
        || field.contains(where: { $0 == separator || $0 == "\"" || $0 == "\t" || $0 == ";" || $0 == "," })
    else { return field }
    return "\"" + field.replacing("\"", with: "\"\"") + "\""
  }
}
