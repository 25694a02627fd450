import Foundation
import QuenchReporting
import QuenchSupport

/// The dashboard of a session: `quench cryo dashboard` in a process of its own, which nothing that it does can bring
/// the session's down with.
struct Dashboard {
  private let process: Process

  /// - Returns: Nil if none is wanted, or this build has none, which is said.
  static func start(log: URL, port: Int, _ output: OutputOptions) throws(InputError) -> Dashboard? {
    guard port > 0 else { return nil }
    #if HTTP
      let process = Process()
      process.executableURL = Bundle.main.executableURL ?? URL(filePath: CommandLine.arguments[0])
      process.arguments = ["cryo", "dashboard", "--log", log.path, "--port", "\(port)", "--parent", "\(getpid())"]
      process.standardOutput = FileHandle.standardError
      do { try process.run() } catch {
        throw InputError("the dashboard cannot be started: \(error.localizedDescription)", at: log.path)
      }
      return Dashboard(process: process)
    #else
      output.note("no dashboard: \(MissingHTTP.error(for: "--port"))")
      return nil
    #endif
  }

  func stop() { if process.isRunning { process.terminate() } }
}
