import Foundation
import Synchronization
import TestSupport
import Testing

/// A server of Quench in a process of its own, on a port that the system chooses.
final class ServerProcess {
  /// What it says that it serves.
  let url: String
  private let process = Process()
  private let words: ErrorReader

  /// Waits until requests are taken, or the server ends.
  init(_ arguments: [String], in folder: TemporaryFolder) async throws {
    let tool: URL = try #require(Tool.url, "build the product quench first")
    process.executableURL = tool
    process.arguments = arguments + ["--port", "0"]
    let errors = Pipe()
    process.standardError = errors
    words = ErrorReader(errors.fileHandleForReading)
    try process.run()
    try errors.fileHandleForWriting.close()
    let identifier = process.processIdentifier
    let watchdog = DispatchWorkItem { kill(identifier, SIGKILL) }
    DispatchQueue.global().asyncAfter(deadline: .now() + Tool.patience, execute: watchdog)
    defer { watchdog.cancel() }
    let url = await words.address
    self.url = try #require(url, "\(words.text)")
  }

  /// Reads what a server writes to its standard error, on a thread of its own: the tests' shared ones may be busy.
  private final class ErrorReader: Sendable {
    private let read = Mutex(Data())
    private let lines: AsyncStream<String>
    private let ends: AsyncStream<Void>

    init(_ handle: FileHandle) {
      let (lines, line) = AsyncStream<String>.makeStream()
      let (ends, end) = AsyncStream<Void>.makeStream()
      (self.lines, self.ends) = (lines, ends)
      Thread.detachNewThread { [self] in
        var rest = Data()
        while case let part = handle.availableData, !part.isEmpty {
          read.withLock { $0 += part }
          rest += part
          while let index = rest.firstIndex(of: UInt8(ascii: "\n")) {
            line.yield(String(decoding: rest[..<index], as: UTF8.self))
            rest = Data(rest[(index + 1)...])
          }
        }
        line.finish()
        end.finish()
      }
    }

    var text: String { read.withLock { String(decoding: $0, as: UTF8.self) } }

    /// What the server says that it serves; nil: it ended before.
    var address: String? {
      get async {
        for await line in lines where ["serving http", "dashboard: http"].contains(where: line.hasPrefix) {
          return line.range(of: "http").map { String(line[$0.lowerBound...]) }
        }
        return nil
      }
    }

    func end() async { for await _ in ends {} }
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
    await words.end()
    process.waitUntilExit()
    return (process.terminationStatus, words.text)
  }
}
