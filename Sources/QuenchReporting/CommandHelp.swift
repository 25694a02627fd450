import Foundation
import QuenchSupport

/// A program's commands, flags and their values, as swift-argument-parser's `_dumpHelp` tells them.
public struct CommandHelp {
  private let root: Record

  /// - Throws: `InputError` if `json` is not such a description.
  public init(json: String) throws(InputError) {
    root = try Value(json: Data(json.utf8), name: "help").record?["command"]?.record ?? [:]
  }

  /// The first name in a refused command line that there is not: a command's, a flag's, or one among the fixed values of
  /// an option or argument. It tells more than what else may be wrong, such as that the flag which was meant is missing.
  /// - Parameter arguments: As typed, without the program's name.
  /// - Returns: An error that lists the names and says which was probably meant; nil if all names are known.
  public func unknownName(in arguments: [String]) -> InputError? {
    let (command, rest) = Self.command(of: root, arguments)
    let commands = Self.records(command, "subcommands").compactMap { $0["commandName"]?.string }
      .filter { $0 != "help" }
    if commands.isEmpty || command["defaultSubcommand"] != nil {
      let meant = Self.defaultCommand(of: command) ?? command
      return unknownValue(in: rest, Self.records(meant, "arguments"), commands)
    }
    guard let word = rest.first(where: { !$0.hasPrefix("-") }) else { return nil }
    return Self.error("there is no command '\(word)'", nil, word, commands)
  }

  private func unknownValue(
    in arguments: ArraySlice<String>, _ parameters: [Record], _ commands: [String]
  ) -> InputError? {
    var options: [String: Record] = [:]
    for parameter in parameters where parameter["kind"]?.string == "option" {
      for name in Self.records(parameter, "names") { options["--\(name["name"]?.string ?? "")"] = parameter }
    }
    let flags = parameters.flatMap { Self.records($0, "names") }.compactMap { $0["name"]?.string }
    let positional = parameters.first { $0["kind"]?.string == "positional" }
    var rest = arguments.prefix { $0 != "--" }
    var isFirst = true
    while let word = rest.popFirst() {
      let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
      if let option = options[parts.first ?? ""] {
        guard let value = parts.count == 2 ? parts[1] : rest.popFirst() else { return nil }
        let values = Self.values(option)
        if !values.isEmpty, !values.contains(value) {
          return Self.error("no such value", parts[0], value, values)
        }
      } else if word.hasPrefix("--"), !flags.contains(String(parts[0].dropFirst(2))) {
        return InputError(
          "there is no flag '\(parts[0].excerpt(80))'",
          remedy: flags.nearest(to: String(parts[0].dropFirst(2))).map { "did you mean '--\($0)'?" })
      } else if !word.hasPrefix("-"), isFirst {
        isFirst = false
        let values = positional.map(Self.values) ?? []
        if !values.isEmpty, !values.contains(word) {
          return Self.error("there is no '\(word)'", nil, word, values + commands)
        }
      }
    }
    return nil
  }

  private static func error(_ problem: String, _ place: String?, _ name: String, _ names: [String]) -> InputError {
    InputError(
      problem, at: place, expected: names.joined(separator: ", "), found: place == nil ? nil : "'\(name)'",
      remedy: names.nearest(to: name).map { "did you mean '\($0)'?" })
  }

  private static func records(_ record: Record, _ key: String) -> [Record] {
    (record[key]?.array ?? []).compactMap(\.record)
  }

  private static func values(_ parameter: Record) -> [String] {
    (parameter["allValues"]?.array ?? []).compactMap(\.string)
  }

  /// The command that the words at the beginning name, and what follows them.
  private static func command(of root: Record, _ arguments: [String]) -> (Record, ArraySlice<String>) {
    var (command, rest) = (root, arguments[...])
    while let word = rest.first,
      let next = records(command, "subcommands").first(where: { $0["commandName"]?.string == word })
    {
      command = next
      rest = rest.dropFirst()
    }
    return (command, rest)
  }

  private static func defaultCommand(of command: Record) -> Record? {
    records(command, "subcommands").first { $0["commandName"] == command["defaultSubcommand"] }
  }
}
