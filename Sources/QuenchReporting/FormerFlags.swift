/// Flags by the names that they had in earlier versions: command lines and configuration files may still use them,
/// help texts and records do not.
enum FormerFlags {
  /// By a command's first word.
  private static let names = [
    "cryo": ["budget": "minutes"], "defend": ["budget": "query-budget"], "serve": ["budget": "query-budget"]
  ]

  /// The name that the flag has now.
  static func current(_ name: String, of command: String?) -> String {
    command.flatMap { names[$0]?[name] } ?? name
  }

  /// The arguments with today's names of flags.
  static func renamed(_ arguments: [String]) -> [String] {
    let flags = arguments.prefix { $0 != "--" }.map { argument in
      guard argument.hasPrefix("--") else { return argument }
      let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return "--"
        + ([current(String(parts[0]), of: arguments.first)] + parts.dropFirst().map(String.init))
        .joined(separator: "=")
    }
    return flags + arguments[flags.count...]
  }
}
