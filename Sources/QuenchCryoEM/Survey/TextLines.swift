import Foundation
import QuenchSupport

/// The lines of a text file with their numbers; every error names file and line.
struct TextLines {
  /// The file, for errors.
  let name: String
  let lines: [(number: Int, text: Substring)]

  /// Lines that hold more than space, without the space around them. CRLF and a byte order mark are passed over.
  /// - Throws: `InputError` if the data are not UTF-8.
  init(_ data: Data, name: String) throws(InputError) {
    guard let text = String(validating: data, as: UTF8.self) else {
      throw InputError(
        "this is not a text file", at: name, expected: "UTF-8", remedy: "export the table as plain text")
    }
    self.name = name
    var lines: [(number: Int, text: Substring)] = []
    for (number, line) in zip(1..., text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)) {
      let line = line.trimming(while: { $0.isWhitespace || $0 == "\u{FEFF}" })
      if !line.isEmpty { lines.append((number, line)) }
    }
    self.lines = lines
  }

  func location(_ line: Int) -> String { "\(name), line \(line)" }
}

extension Substring {
  /// Without the characters at both ends that fulfil `condition`.
  fileprivate func trimming(while condition: (Character) -> Bool) -> Substring {
    var text = drop(while: condition)
    while let last = text.last, condition(last) { text.removeLast() }
    return text
  }
}

extension InputError {
  /// The content of the file at `url`.
  static func read(_ url: URL) throws(InputError) -> Data {
    try InputFile.read(url)
  }
}
