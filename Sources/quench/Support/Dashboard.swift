import Foundation
import Reporting
import Support

/// The dashboard of a session: the program quench-server, started beside this one where it is there.
struct Dashboard {
  private let process: Process

  /// - Returns: Nil if none is wanted, or quench-server is not there, which is said.
  static func start(log: URL, port: Int, _ output: OutputOptions) throws(InputError) -> Dashboard? {
    guard port > 0 else { return nil }
    guard let program = ServerProgram.url else {
      output.note(
        "no dashboard: quench-server is not beside quench; \(ServerProgram.remedy), or do without one: --port 0")
      return nil
    }
    let process = Process()
    process.executableURL = program
    process.arguments = ["cryo", "--log", log.path, "--port", "\(port)", "--parent", "\(getpid())"]
    process.standardOutput = FileHandle.standardError
    do { try process.run() } catch {
      throw InputError("the dashboard cannot be started: \(error.localizedDescription)", at: program.path)
    }
    return Dashboard(process: process)
  }

  func stop() { if process.isRunning { process.terminate() } }
}
