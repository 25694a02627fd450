import Foundation
import QuenchSupport

/// A text in IMOD's "autodoc" form, as SerialEM's navigator and metadata files have it: `key = value` lines, first
/// of the whole file, then of sections that `[Kind = label]` opens.
///
/// Lines that are not touched are written as they were read, byte for byte, known or not.
public struct Autodoc: Hashable, Sendable {
  /// The lines before the first section, and each section.
  public struct Section: Hashable, Sendable {
    /// `Item`, `ZValue`, `T`, ...; empty for the lines before the first section.
    public let kind: String
    public let label: String
    /// The line that opens it, counted from 1.
    public let line: Int
    private(set) var lines: [Line]
  }

  struct Line: Hashable, Sendable {
    var source: TextFile.Line
    /// Nil for blank lines, comments, the section's header and what is not understood.
    var entry: Entry?
  }

  struct Entry: Hashable, Sendable {
    var key: String
    var value: String
  }

  public var globals: Section
  public var sections: [Section]
  /// What the text is, for errors: usually the file's path.
  public let name: String
  /// What was read although it is not as it should be, each with its line.
  public private(set) var warnings: [String] = []

  /// - Parameters:
  ///   - data: The file's bytes.
  ///   - name: What they are, for errors: usually the file's path.
  /// - Throws: `InputError` with the line of a header without an end, or if the data are no autodoc at all.
  public init(_ data: Data, name: String) throws(InputError) {
    let file = try TextFile(data, name: name)
    self.name = name
    globals = Section(kind: "", label: "", line: 1, lines: [])
    sections = []
    guard file.lines.first?.text.hasPrefix("<?xml") != true else {
      throw InputError(
        "this is the XML form of the file", at: name, expected: "the text form",
        remedy: "save it as text: in SerialEM, untick 'Save as XML' in the Navigator's options")
    }
    var keys: Set<String> = []
    for line in file.lines {
      if let header = try header(line, of: file) {
        keys = []
        sections.append(
          Section(kind: header.key, label: header.value, line: line.number, lines: [Line(source: line)]))
      } else {
        append(Line(source: line, entry: entry(line, of: file, keys: &keys)))
      }
    }
    guard globals.lines.contains(where: { $0.entry != nil }) || !sections.isEmpty else {
      throw InputError(
        "there is nothing of an autodoc file in it", at: name,
        expected: "'key = value' lines and '[Item = ...]' or '[ZValue = ...]' headers",
        found: file.lines.isEmpty ? "an empty file" : "\(file.lines.count) other lines")
    }
  }

  private mutating func append(_ line: Line) {
    if sections.isEmpty { globals.append(line) } else { sections[sections.count - 1].append(line) }
  }

  /// The kind and label of a line that opens a section.
  private mutating func header(_ line: TextFile.Line, of file: TextFile) throws(InputError) -> Entry? {
    if line.text.hasPrefix("[") {
      guard line.text.hasSuffix("]") else {
        throw InputError(
          "a section's header has no end", at: file.location(line.number), expected: "[Kind = label]",
          found: line.text, remedy: "the file is truncated or damaged: save it again")
      }
      return Self.entry(String(line.text.dropFirst().dropLast()))
        ?? Entry(key: line.text.dropFirst().dropLast().trimmingBlanks(), value: "")
    }
    // Some vendors' files have lost the bracket: `ZValue = 0]`.
    guard line.text.hasSuffix("]"), let entry = Self.entry(String(line.text.dropLast())),
      ["Item", "ZValue", "FrameSet", "MontSection"].contains(entry.key)
    else { return nil }
    warnings.append("\(file.location(line.number)): a section's header lacks its '['")
    return entry
  }

  private mutating func entry(_ line: TextFile.Line, of file: TextFile, keys: inout Set<String>) -> Entry? {
    guard !line.text.isEmpty, !line.text.hasPrefix("#") else { return nil }
    guard let entry = Self.entry(line.text) else {
      warnings.append("\(file.location(line.number)): not a 'key = value' line; it is kept as it is")
      return nil
    }
    if !keys.insert(entry.key).inserted {
      warnings.append("\(file.location(line.number)): \(entry.key) occurs twice; the first counts")
    }
    return entry
  }

  private static func entry(_ text: String) -> Entry? {
    guard let equals = text.firstIndex(of: "=") else { return nil }
    let key = text[..<equals].trimmingBlanks()
    return key.isEmpty ? nil : Entry(key: key, value: text[text.index(after: equals)...].trimmingBlanks())
  }

  /// The file's bytes.
  public var data: Data {
    ([globals] + sections).flatMap(\.lines).reduce(into: Data()) { $0 += $1.source.bytes }
  }

  /// - Returns: Where a section or an entry of it stands, for errors.
  func location(of section: Section, key: String? = nil) -> String {
    "\(name), line \(key.flatMap { section.line(of: $0) } ?? section.line)"
  }
}

extension Autodoc.Section {
  /// A new section, ended as `model`'s lines are.
  init(kind: String, label: String, like model: Autodoc.Section) {
    let source = TextFile.Line("[\(kind) = \(label)]", like: model.pattern)
    self.init(kind: kind, label: label, line: 0, lines: [Autodoc.Line(source: source)])
  }

  fileprivate mutating func append(_ line: Autodoc.Line) { lines.append(line) }

  /// A line whose end is that of the file.
  private var pattern: TextFile.Line {
    lines.first { $0.source.isComplete }?.source
      ?? TextFile.Line(number: 0, bytes: Data("\n".utf8), text: "", isComplete: true)
  }

  /// The keys in their order.
  public var keys: [String] { lines.compactMap(\.entry?.key) }

  /// The value of `key`; of several lines with it the first counts.
  public subscript(key: String) -> String? { lines.lazy.compactMap(\.entry).first { $0.key == key }?.value }

  /// The line that `key` stands in, counted from 1.
  public func line(of key: String) -> Int? { lines.first { $0.entry?.key == key }?.source.number }

  /// Sets `key`, in its place where it is there; else after the last line of one of `predecessors`, or at the end.
  mutating func set(_ key: String, to value: String, after predecessors: [String] = []) {
    guard self[key] != value else { return }
    func line(like model: TextFile.Line) -> Autodoc.Line {
      Autodoc.Line(
        source: TextFile.Line("\(key) = \(value)", like: model), entry: Autodoc.Entry(key: key, value: value))
    }
    if let index = lines.firstIndex(where: { $0.entry?.key == key }) {
      let old = lines[index].source
      lines[index] = line(like: old.isComplete ? old : TextFile.Line(old, endedLike: pattern))
      return
    }
    complete()
    let isPlace: (Autodoc.Line) -> Bool = { $0.entry.map { predecessors.contains($0.key) } ?? false }
    let last = lines.lastIndex(where: isPlace) ?? lines.lastIndex { $0.entry != nil } ?? lines.startIndex
    lines.insert(line(like: pattern), at: min(last + 1, lines.endIndex))
  }

  mutating func remove(_ key: String) { lines.removeAll { $0.entry?.key == key } }

  /// Puts an empty line at the end, where there is none, so that another section may follow.
  mutating func separate() {
    complete()
    guard lines.last.map({ !$0.source.text.isEmpty }) ?? false else { return }
    lines.append(Autodoc.Line(source: TextFile.Line("", like: pattern)))
  }

  /// Ends the last line, where a file ends without.
  private mutating func complete() {
    guard let last = lines.last, !last.source.isComplete else { return }
    lines[lines.count - 1].source = TextFile.Line(last.source, endedLike: pattern)
  }
}

// MARK: - Typed values

extension Autodoc {
  /// The numbers of `key`'s value, separated by blanks.
  /// - Parameters:
  ///   - key: Which.
  ///   - section: Where.
  ///   - counts: How many there may be; nil: any number.
  /// - Returns: Nil if the key is not there.
  /// - Throws: `InputError` with the line if one is no finite number, or if they are too few or too many.
  func numbers(
    _ key: String, in section: Section, count counts: ClosedRange<Int>? = nil
  ) throws(InputError) -> [Double]? {
    guard let value = section[key] else { return nil }
    let words = value.words()
    let numbers = words.compactMap(\.finiteNumber)
    guard numbers.count == words.count, counts.map({ $0.contains(numbers.count) }) ?? true else {
      let expected = counts.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound) to \($0.upperBound)" }
      throw InputError(
        "\(key) has a wrong value", at: location(of: section, key: key),
        expected: (expected.map { "\($0) " } ?? "") + "finite number\(counts == 1...1 ? "" : "s")",
        found: value.isEmpty ? "nothing" : value.shortened)
    }
    return numbers
  }

  /// The whole number of `key`.
  func integer(_ key: String, in section: Section) throws(InputError) -> Int? {
    guard let number = try numbers(key, in: section, count: 1...1)?.first else { return nil }
    guard let integer = Int(exactly: number) else {
      throw InputError(
        "\(key) has a wrong value", at: location(of: section, key: key), expected: "a whole number",
        found: section[key])
    }
    return integer
  }
}

extension String {
  /// At most 60 characters of it, for errors.
  var shortened: String { count > 60 ? prefix(57) + "..." : self }
}
