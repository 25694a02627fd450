import Foundation

/// A built program of the package, run as a user runs it.
///
/// Standard output and error go to files, so a program that writes much never waits for its reader.
struct Tool {
  /// What a finished program left. `status` is the exit code, or as in a shell 128 + the number of the signal that
  /// ended it.
  typealias Outcome = (status: Int32, output: String, errors: String)

  let process = Process()
  private let input = Pipe()
  private let folder: URL

  /// Runs `quench` to its end.
  /// - Parameters:
  ///   - directory: The working directory; the test process's own unless given.
  ///   - environment: Variables beside those of the test process.
  ///   - input: What stands on its standard input.
  static func run(
    _ arguments: [String], in directory: URL? = nil, environment: [String: String] = [:], input: String = "",
    program: String = "quench"
  ) throws -> Outcome {
    try Tool(arguments, in: directory, environment: environment, input: input, program: program).wait()
  }

  /// Starts a program and returns at once; end it with ``wait()``, after ``kill(with:)`` for one that is cut short.
  init(
    _ arguments: [String], in directory: URL? = nil, environment: [String: String] = [:], input text: String = "",
    program: String = "quench"
  ) throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "quench-tool-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    process.executableURL = Tool.programs.appending(path: program)
    process.arguments = arguments
    if let directory { process.currentDirectoryURL = directory }
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardInput = input
    process.standardOutput = try Tool.sink(folder.appending(path: "output"))
    process.standardError = try Tool.sink(folder.appending(path: "errors"))
    try process.run()
    // Texts are shorter than a pipe's buffer, so this does not wait for the program.
    try input.fileHandleForWriting.write(contentsOf: Data(text.utf8))
    try input.fileHandleForWriting.close()
  }

  /// What the program wrote to standard output so far.
  var output: String { text("output") }

  func kill(with signal: Int32 = SIGKILL) { Foundation.kill(process.processIdentifier, signal) }

  /// Waits for the program's end.
  func wait() -> Outcome {
    process.waitUntilExit()
    defer { try? FileManager.default.removeItem(at: folder) }
    let signalled = process.terminationReason == .uncaughtSignal
    return (process.terminationStatus + (signalled ? 128 : 0), output, text("errors"))
  }

  private func text(_ name: String) -> String {
    String(decoding: (try? Data(contentsOf: folder.appending(path: name))) ?? Data(), as: UTF8.self)
  }

  private static func sink(_ url: URL) throws -> FileHandle {
    _ = FileManager.default.createFile(atPath: url.path, contents: nil)
    return try FileHandle(forWritingTo: url)
  }

  /// The folder of the built programs: the one that holds the test bundle.
  private static var programs: URL {
    let bundle = Bundle.allBundles.first { $0.bundleURL.pathExtension == "xctest" }
    return bundle?.bundleURL.deletingLastPathComponent() ?? Bundle.main.bundleURL
  }
}

/// A folder that is removed with its last user.
final class TemporaryFolder {
  let url = FileManager.default.temporaryDirectory.appending(path: "quench-\(UUID().uuidString)")

  init() throws { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }
  deinit { try? FileManager.default.removeItem(at: url) }
}
