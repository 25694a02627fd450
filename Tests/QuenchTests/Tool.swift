import Foundation
import QuenchReporting
import QuenchSupport
import TestSupport
import Testing

@testable import quench

/// The built `quench`, or another of the package's programs, run as a user runs it.
struct Tool {
  struct Outcome {
    var code: Int32
    /// Whether a signal ended it.
    var wasKilled: Bool
    var output: String
    var errors: String

    /// The one JSON object that `--json` prints.
    func json() throws -> Record {
      try #require(try Value(json: Data(output.utf8), name: "standard output").record, "\(output) \(errors)")
    }
  }

  /// Seconds after which a program is taken to hang, and killed: far beyond what one of seconds takes on a busy machine.
  static let patience = 1800.0

  /// Tiny images, a small network and one thread: a run of a second or two.
  static let tiny = [
    "--data", "synthetic", "--limit", "40", "--train-limit", "64", "--threads", "1", "--precision", "float32"
  ]

  static let url: URL? = {
    let name = "quench"
    let starts =
      [Bundle.main.executableURL, CommandLine.arguments.first.map { URL(filePath: $0) }].compactMap { $0 }
      + CommandLine.arguments.filter { $0.contains(".xctest") }.map { URL(filePath: $0) }
    let beside = starts.flatMap { start in
      sequence(first: start.standardizedFileURL) { $0.path == "/" ? nil : $0.deletingLastPathComponent() }
        .prefix(6).dropFirst()
    }
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    return (beside + [root.appending(path: ".build/debug")]).map { $0.appending(path: name) }.first { url in
      var isFolder: ObjCBool = false
      return FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) && !isFolder.boolValue
        && FileManager.default.isExecutableFile(atPath: url.path)
    }
  }()

  /// Runs the tool to its end, or until `act` has done something to it.
  /// - Parameters:
  ///   - directory: The working directory; the test process's own unless given.
  ///   - environment: Variables beside those of the test process.
  ///   - input: What stands on its standard input, no longer than a pipe holds.
  ///   - program: The program beside `quench`, where it is not that.
  ///   - url: The program, where it does not lie there.
  static func run(
    _ arguments: [String], in directory: URL? = nil, environment: [String: String] = [:], input: String = "",
    program: String = "quench", at url: URL? = nil, act: ((Process) async throws -> Void)? = nil
  ) async throws -> Outcome {
    let folder = try TemporaryFolder()
    let (output, errors) = (folder / "output", folder / "errors")
    for file in [output, errors] { try Data().write(to: file) }
    let process = Process()
    let beside = try #require(Self.url, "build the product quench first").deletingLastPathComponent()
    process.executableURL = url ?? beside.appending(path: program)
    process.arguments = arguments
    if let directory { process.currentDirectoryURL = directory }
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    let standardInput = Pipe()
    process.standardInput = standardInput
    process.standardOutput = try FileHandle(forWritingTo: output)
    process.standardError = try FileHandle(forWritingTo: errors)
    let (ends, end) = AsyncStream<Void>.makeStream()
    process.terminationHandler = { _ in end.finish() }
    // A child takes over which signals its parent's thread blocks, and threads that run tests block most.
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGINT)
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    try process.run()
    try standardInput.fileHandleForWriting.write(contentsOf: Data(input.utf8))
    try standardInput.fileHandleForWriting.close()
    do { try await act?(process) } catch {
      kill(process.processIdentifier, SIGKILL)
      Issue.record("the tool said: \((try? String(contentsOf: errors, encoding: .utf8)) ?? "")")
      throw error
    }
    let identifier = process.processIdentifier
    let watchdog = DispatchWorkItem { kill(identifier, SIGKILL) }
    DispatchQueue.global().asyncAfter(deadline: .now() + patience, execute: watchdog)
    defer { watchdog.cancel() }
    for await _ in ends {}
    return Outcome(
      code: process.terminationStatus, wasKilled: process.terminationReason == .uncaughtSignal,
      output: try String(contentsOf: output, encoding: .utf8),
      errors: try String(contentsOf: errors, encoding: .utf8))
  }

  /// Runs the tool, sends it `signal` once `file` has `lines` lines, and waits for its end.
  static func run(
    _ arguments: [String], sending signal: Int32, once file: URL, hasLines lines: Int
  ) async throws -> Outcome {
    try await run(arguments, sending: signal) {
      (try? Data(contentsOf: file))?.count(where: { $0 == UInt8(ascii: "\n") }) ?? 0 >= lines
    }
  }

  /// Runs the tool, sends it `signal` once `condition` holds, and waits for its end.
  ///
  /// The condition is watched from a thread of its own: the tests' shared ones may be busy until the run is over.
  static func run(
    _ arguments: [String], environment: [String: String] = [:], sending signal: Int32,
    when condition: @escaping @Sendable () -> Bool
  ) async throws -> Outcome {
    try await run(arguments, environment: environment) { process in
      let identifier = process.processIdentifier
      let sent = await withCheckedContinuation { continuation in
        Thread.detachNewThread {
          let deadline = ContinuousClock.now + .seconds(patience)
          while !condition() {
            guard kill(identifier, 0) == 0, .now < deadline else { return continuation.resume(returning: false) }
            Thread.sleep(forTimeInterval: 0.005)
          }
          continuation.resume(returning: kill(identifier, signal) == 0)
        }
      }
      try #require(sent, "the run ended or hung before it was to get the signal")
    }
  }
}

/// Where a run is or will be.
struct RunPlace {
  let url: URL

  init(_ url: URL) { self.url = url }

  var path: String { url.path }
  var folder: RunFolder { get throws { try RunFolder(existing: url) } }

  func file(_ name: String) -> URL { url.appending(path: name) }
}

/// Whether two files hold the same bytes.
func sameBytes(_ a: URL, _ b: URL) throws -> Bool { try Data(contentsOf: a) == Data(contentsOf: b) }
