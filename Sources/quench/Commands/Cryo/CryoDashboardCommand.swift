import ArgumentParser
import Foundation
import QuenchSupport

#if HTTP
  import QuenchServer
#endif

struct CryoDashboardCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dashboard", abstract: "Show a session as a page that follows it.",
    discussion: """
      Example:
        quench cryo dashboard --log session.sqlite --port 8731

      It only reads the session's log, also that of a session that has ended.
      'quench cryo live' starts it by itself.
      """)

  @Option(help: ArgumentHelp("The session's file.", valueName: "sqlite"), completion: .file())
  var log: String

  @Option(help: "Port to listen on; 0: any that is free.")
  var port = 8731

  @Option(help: "Address to listen on; 0.0.0.0 lets other machines in, and there is no password.")
  var host = "127.0.0.1"

  @Option(help: ArgumentHelp("End when this process ends.", valueName: "pid"))
  var parent: Int32?

  func validate() throws {
    guard (0...65535).contains(port) else { throw ValidationError("--port must be 0 to 65535.") }
  }

  func run() throws {
    #if HTTP
      let dashboard = try CryoDashboard(log: URL(filePath: log))
      try Blocking.run { [host, port, parent] in
        try await dashboard.serve(host: host, port: port, parent: parent) { address in
          FileHandle.standardError.write(Data("dashboard: \(address)\n".utf8))
        }
      }
    #else
      throw MissingHTTP.error(for: "quench cryo dashboard")
    #endif
  }
}
