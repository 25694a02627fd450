import Foundation
import QuenchReporting
import QuenchSupport

@testable import quench

/// A command line that a page or a help text shows.
struct ShownCommand: CustomStringConvertible {
  /// Where it stands.
  var place: String
  /// The program's name first.
  var words: [String]
  /// What is said beside it.
  var comment: String

  var description: String { "\(place): \(words.joined(separator: " "))" }

  /// Whether it takes what a test of commands cannot have at hand: a server, or what the comment beside it says it needs.
  var needsMore: Bool {
    words.contains("serve") || words.contains("--endpoint") || comment.contains("needs ")
  }

  /// The command lines among `lines`; those that end in a backslash go on in the next one.
  static func find(in lines: some Sequence<Substring>, place: String) -> [ShownCommand] {
    var commands: [ShownCommand] = []
    var begun: String?
    for line in lines {
      let text = line.trimmingCharacters(in: .whitespaces)
      guard let whole = begun.map({ "\($0) \(text)" }) ?? (isCommand(text) ? text : nil) else { continue }
      if whole.hasSuffix("\\") {
        begun = whole.dropLast().trimmingCharacters(in: .whitespaces)
      } else {
        begun = nil
        commands.append(ShownCommand(whole, place: place))
      }
    }
    return commands
  }

  /// The command lines in the blocks of code of a page in Markdown.
  static func find(inPage url: URL) throws -> [ShownCommand] {
    let lines = try String(contentsOf: url, encoding: .utf8).split(
      separator: "\n", omittingEmptySubsequences: false)
    var isCode = false
    let code = lines.filter { line in
      let isFence = line.hasPrefix("```")
      if isFence { isCode.toggle() }
      return isCode && !isFence
    }
    return find(in: code, place: url.lastPathComponent)
  }

  /// The command lines in the help of a command and those below it: lines that are indented.
  static func find(inHelpOf command: Record, path: String = "") -> [ShownCommand] {
    let name = [path, command["commandName"]?.string ?? ""].filter { !$0.isEmpty }.joined(separator: " ")
    let lines = (command["discussion"]?.string ?? "").split(separator: "\n").filter { $0.hasPrefix("  ") }
    return find(in: lines, place: "\(name) --help")
      + (command["subcommands"]?.array ?? []).compactMap(\.record).flatMap { find(inHelpOf: $0, path: name) }
  }

  private static func isCommand(_ text: String) -> Bool { text.hasPrefix("quench ") }

  /// Takes a line apart as a shell does: blanks outside of quotes separate words, a number sign begins a comment. In a
  /// help text three blanks do that.
  private init(_ line: String, place: String) {
    self.place = place
    var words: [String] = []
    var word: String?
    var quote: Character?
    var rest = Substring(line)
    while let character = rest.first {
      if quote == nil, word == nil, character == "#" || (rest.hasPrefix("  ") && !words.isEmpty) { break }
      rest = rest.dropFirst()
      switch character {
      case quote: quote = nil
      case "'", "\"": if quote == nil { (quote, word) = (character, word ?? "") } else { word?.append(character) }
      case " " where quote == nil:
        if let word { words.append(word) }
        word = nil
      default: word = (word ?? "") + String(character)
      }
    }
    if let word { words.append(word) }
    self.words = words
    comment = rest.trimmingCharacters(in: CharacterSet(charactersIn: " #"))
  }
}
