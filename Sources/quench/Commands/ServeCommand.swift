import ArgumentParser
import Foundation
import Support

struct ServeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Serve a model, or a defense in front of one, by the Open Inference Protocol.",
    discussion: """
      Examples:
        quench serve --weights model.safetensors --name box --port 8000
        quench serve --defend runs/defend --weights model.safetensors
        quench serve --defend runs/defend --endpoint http://host:8000/v2/models/box

      The server is a separate program, quench-server, which must lie beside quench;
      there, 'quench serve --help' lists all its flags.
      """)

  @ArgumentParser.Argument(
    parsing: .captureForPassthrough, help: ArgumentHelp("Flags of 'quench-server serve'.", valueName: "flags"))
  var flags: [String] = []

  func run() throws {
    if ServerProgram.url == nil, flags.contains(where: ["-h", "--help"].contains) {
      throw CleanExit.helpRequest(self)
    }
    let server = try ServerProgram.required(for: "quench serve").path
    // The server takes this process's place, so that signals reach it.
    var arguments = ([server, "serve"] + flags).map { strdup($0) } + [nil]
    execv(server, &arguments)
    throw InputError("the server cannot be started: \(String(cString: strerror(errno)))", at: server)
  }
}
