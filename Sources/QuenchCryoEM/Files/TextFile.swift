import Foundation
import QuenchSupport

/// A text file line by line, every byte kept.
///
/// Microscope software writes in the encoding of its machine, with either end of line; what is not understood must
/// come out as it came in.
struct TextFile: Hashable, Sendable {
  struct Line: Hashable, Sendable {
    /// Counted from 1; 0 for a line that did not come from a file.
    let number: Int
    /// The line as it stands, its end included.
    let bytes: Data
    /// The text without its end and the blanks round it.
    let text: String
    /// Whether the line has an end: a last line without one may still be in writing.
    let isComplete: Bool
  }

  let lines: [Line]
  /// What the text is, for errors: usually the file's path.
  let name: String

  /// - Throws: `InputError` if the data hold NUL bytes, as no text does.
  init(_ data: Data, name: String) throws(InputError) {
    self.name = name
    var lines: [Line] = []
    var start = data.startIndex
    while start < data.endIndex {
      let end = data[start...].firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? data.endIndex
      lines.append(try Line(Data(data[start..<end]), number: lines.count + 1, of: name))
      start = end
    }
    self.lines = lines
  }

  func location(_ line: Int) -> String { "\(name), line \(line)" }
}

extension TextFile.Line {
  /// A line of a file; its number counts from 1.
  init(_ bytes: Data, number: Int, of name: String) throws(InputError) {
    guard !bytes.contains(0) else {
      throw InputError("this is not a text file: a line holds a NUL byte", at: "\(name), line \(number)")
    }
    // What is no UTF-8 is the text of a microscope computer in Western Europe or America: Latin-1 fits any bytes.
    let text =
      String(validating: bytes, as: UTF8.self)
      ?? String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
    self.init(
      number: number, bytes: bytes, text: text.trimmingBlanks(), isComplete: bytes.last == UInt8(ascii: "\n"))
  }

  /// A line that is put in, in the encoding of `model` and ended as it is.
  init(_ text: String, like model: TextFile.Line) {
    let end = model.bytes.suffix(2) == Data("\r\n".utf8) ? "\r\n" : "\n"
    let isLatin1 = String(validating: model.bytes, as: UTF8.self) == nil
    let bytes = isLatin1 ? (text + end).data(using: .isoLatin1) : nil
    self.init(number: 0, bytes: bytes ?? Data((text + end).utf8), text: text, isComplete: true)
  }

  /// `line`, which has no end, ended as `model` is.
  init(_ line: TextFile.Line, endedLike model: TextFile.Line) {
    let end = TextFile.Line("", like: model)
    self.init(number: line.number, bytes: line.bytes + end.bytes, text: line.text, isComplete: true)
  }
}

extension StringProtocol {
  /// Without blanks, tabs and ends of line at both ends.
  func trimmingBlanks() -> String {
    let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" || $0 == "\r" || $0 == "\n" || $0 == "\r\n" }
    guard let first = firstIndex(where: { !isBlank($0) }), let last = lastIndex(where: { !isBlank($0) }) else {
      return ""
    }
    return String(self[first...last])
  }
}

extension String {
  /// The parts between blanks and tabs.
  func words() -> [String] { split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init) }

  /// The finite number that the text says, in plain decimal notation.
  var finiteNumber: Double? {
    guard let value = Double(self), value.isFinite else { return nil }
    return value
  }
}
