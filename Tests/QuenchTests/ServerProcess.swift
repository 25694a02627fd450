import Foundation
import TestSupport
import Testing

/// A server of Quench in a process of its own, on a port that the system chooses.
final class ServerProcess {
  /// What it says that it serves.
  let url: String
  private let process = Process()
  private let ended: AsyncStream<Void>
  private let errors: URL

  /// Waits until requests are taken.
  init(_ arguments: [String], program: String = "quench", in folder: TemporaryFolder) async throws {
    errors = folder / "serve-\(UUID().uuidString)"
    try Data().write(to: errors)
    process.executableURL = try #require(Tool.url, "build the product quench first")
      .deletingLastPathComponent().appending(path: program)
    process.arguments = arguments + ["--port", "0"]
    process.standardError = try FileHandle(forWritingTo: errors)
    let (ends, end) = AsyncStream<Void>.makeStream()
    ended = ends
    process.terminationHandler = { _ in end.finish() }
    try process.run()
    let (file, identifier) = (errors, process.processIdentifier)
    // Watched from a thread of its own: the tests' shared ones may be busy.
    let url: String? = await withCheckedContinuation { continuation in
      Thread.detachNewThread {
        let deadline = Date(timeIntervalSinceNow: 300)
        while kill(identifier, 0) == 0, Date() < deadline {
          let lines = (try? String(contentsOf: file, encoding: .utf8))?.split(separator: "\n") ?? []
          let starts = ["serving ", "dashboard: "]
          if let line = lines.first(where: { line in starts.contains { line.hasPrefix($0 + "http") } }) {
            return continuation.resume(returning: line.range(of: "http").map { String(line[$0.lowerBound...]) })
          }
          Thread.sleep(forTimeInterval: 0.01)
        }
        continuation.resume(returning: nil)
      }
    }
    let text = try String(contentsOf: errors, encoding: .utf8)
    self.url = try #require(url, "\(text)")
  }

  deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

  /// What it answers to `GET path`.
  func get(_ path: String) throws -> String {
    let address = try #require(URL(string: path, relativeTo: URL(string: url)))
    return String(decoding: try Data(contentsOf: address), as: UTF8.self)
  }

  /// Ends it as an operator does.
  func end() async throws -> (code: Int32, errors: String) {
    kill(process.processIdentifier, SIGTERM)
    for await _ in ended {}
    return (process.terminationStatus, try String(contentsOf: errors, encoding: .utf8))
  }
}
