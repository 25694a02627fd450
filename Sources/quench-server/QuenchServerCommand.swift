import ArgumentParser
import Foundation
import QuenchServer
import Reporting
import Support
import Torch

/// The program that serves HTTP; `quench` starts it where a command wants a server.
@main
struct QuenchServerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quench-server", abstract: "Serve models and pages of Quench.",
    subcommands: [ServeCommand.self, BridgeCommand.self, CryoDashboardCommand.self])

  static var _errorPrefix: String { "error: " }

  static func main() async {
    LibTorch.waitBriefly()
    var arguments = Array(CommandLine.arguments.dropFirst())
    do {
      arguments = try expanded(arguments)
      var command = try parseAsRoot(arguments)
      if var command = command as? any AsyncParsableCommand { try await command.run() } else { try command.run() }
    } catch let error as InputError {
      FileHandle.standardError.write(Data("error: \(error)\n".utf8))
      Foundation.exit(1)
    } catch {
      if exitCode(for: error) == .validationFailure,
        let unknown = (try? CommandHelp(json: _dumpHelp()))?.unknownName(in: arguments)
      {
        exit(withError: ValidationError("\(unknown)"))
      }
      exit(withError: error)
    }
  }

  private static func expanded(_ arguments: [String]) throws -> [String] {
    do { return try ConfigurationFile.expand(arguments, help: _dumpHelp()) } catch {
      throw ValidationError("\(error)")
    }
  }
}

struct CryoDashboardCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cryo", abstract: "The dashboard of a cryo-EM session.",
    discussion: """
      Example:
        quench-server cryo --log session.sqlite --port 8731

      It only reads the session's log, which may be one that ended.
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

  func run() async throws {
    let dashboard = try CryoDashboard(log: URL(filePath: log))
    try await dashboard.serve(host: host, port: port, parent: parent) { address in
      FileHandle.standardError.write(Data("dashboard: \(address)\n".utf8))
    }
  }
}
