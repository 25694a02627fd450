import Foundation
import QuenchSupport

/// `--config file.yaml`: the file's keys as flags before those of the command line, so that the latter win.
public enum ConfigurationFile {
  /// The flags of one command.
  private struct Flags {
    /// Names of options, which take a value.
    var options = Set<String>()
    /// Names of those options that can be repeated.
    var lists = Set<String>()
    /// Names of flags, which take none.
    var flags = Set<String>()
    /// Names of what is typed without a flag, so that a file need not say it.
    var positionals = Set<String>()

    /// What a file may say. `--config` itself and those that print something else are not settings.
    var keys: Set<String> {
      options.union(flags.filter { !($0.hasPrefix("no-") && flags.contains(String($0.dropFirst(3)))) })
        .subtracting(["config", "help", "version"])
    }
  }

  /// The arguments with the keys of the file that `--config` names put in as flags, and today's names for flags that
  /// were called otherwise.
  /// - Parameters:
  ///   - arguments: As typed, without the program's name.
  ///   - help: The program's commands and flags, as swift-argument-parser's `_dumpHelp` tells them.
  /// - Throws: `InputError` if the file cannot be read, is not a mapping of keys to plain values, or holds a key
  ///   that the command does not know; the error names the nearest one.
  public static func expand(_ arguments: [String], help: @autoclosure () -> String) throws(InputError) -> [String] {
    let arguments = FormerFlags.renamed(arguments)
    guard let path = path(in: arguments) else { return arguments }
    let (depth, flags) = try command(of: arguments, help())
    guard flags.options.contains("config") else { return arguments }
    let data = try InputFile.read(URL(filePath: path), limit: 4 << 20)
    return try Array(arguments[..<depth]) + self.arguments(of: data, flags, name: path, command: arguments.first)
      + arguments[depth...]
  }

  private static func path(in arguments: [String]) -> String? {
    let arguments = arguments.prefix { $0 != "--" }
    if let index = arguments.firstIndex(of: "--config") {
      return index + 1 < arguments.endIndex ? arguments[index + 1] : nil
    }
    return arguments.first { $0.hasPrefix("--config=") }.map { String($0.dropFirst("--config=".count)) }
  }

  /// How many words name the command, and its flags.
  private static func command(of arguments: [String], _ help: String) throws(InputError) -> (depth: Int, Flags) {
    var command = try Value(json: Data(help.utf8), name: "help").record?["command"]?.record
    var depth = 0
    while depth < arguments.count,
      let next = command?["subcommands"]?.array?.lazy.compactMap(\.record)
        .first(where: { $0["commandName"]?.string == arguments[depth] })
    {
      command = next
      depth += 1
    }
    // `attack pgd` leaves out the name of the subcommand that is meant if none is said.
    if let name = command?["defaultSubcommand"]?.string,
      let next = command?["subcommands"]?.array?.lazy.compactMap(\.record)
        .first(where: { $0["commandName"]?.string == name })
    {
      command = next
    }
    var flags = Flags()
    for argument in command?["arguments"]?.array?.compactMap(\.record) ?? [] {
      let names = (argument["names"]?.array ?? []).compactMap { name -> String? in
        name.record?["kind"]?.string == "long" ? name.record?["name"]?.string : nil
      }
      if argument["kind"]?.string == "positional" {
        flags.positionals.formUnion(argument["valueName"]?.string.map { [$0] } ?? [])
        continue
      }
      if argument["isRepeating"] == .bool(true) { flags.lists.formUnion(names) }
      if argument["kind"]?.string == "flag" { flags.flags.formUnion(names) } else { flags.options.formUnion(names) }
    }
    return (depth, flags)
  }

  private static func arguments(
    of data: Data, _ flags: Flags, name: String, command: String?
  ) throws(InputError) -> [String] {
    let content = try Value(yaml: data, name: name)
    guard var record = content == .null ? Record() : content.record else {
      throw InputError("the configuration is not a mapping", at: name, expected: "lines such as 'epochs: 10'")
    }
    // A run's own configuration has its settings in a mapping of their own, beside what they were performed with.
    if let settings = record["settings"]?.record { record = settings }
    var arguments: [String] = []
    for (written, value) in record where !flags.positionals.contains(written) {
      let key = FormerFlags.current(written, of: command)
      let location = "\(name), key '\(key.excerpt(80))'"
      guard flags.keys.contains(key) else {
        let nearest = flags.keys.nearest(to: key)
        throw InputError("unknown key", at: location, remedy: nearest.map { "did you mean '\($0)'?" })
      }
      switch value {
      case .array(let values) where flags.lists.contains(key): arguments += values.map { "--\(key)=\($0)" }
      case .array(let values) where values.allSatisfy { $0.array == nil && $0.record == nil }:
        arguments.append("--\(key)=\(values.map(\.description).joined(separator: ","))")
      case .array, .object:
        throw InputError("a key takes one plain value or a list of such", at: location, found: "a nested one")
      case .null:
        throw InputError("the key has no value", at: location, remedy: "give one or remove the key")
      case .bool(let isOn) where flags.flags.contains(key):
        if isOn {
          arguments.append("--\(key)")
        } else if flags.flags.contains("no-\(key)") {
          arguments.append("--no-\(key)")
        }
      case _ where flags.flags.contains(key):
        throw InputError("not a truth value", at: location, expected: "true or false", found: "'\(value)'")
      default:
        arguments.append("--\(key)=\(value)")
      }
    }
    return arguments
  }
}
