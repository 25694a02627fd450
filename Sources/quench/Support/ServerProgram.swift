import Foundation
import Support

/// The program quench-server, which holds all that speaks HTTP, beside this one.
enum ServerProgram {
  /// Nil where it was not built.
  static var url: URL? {
    let program = (Bundle.main.executableURL ?? URL(filePath: CommandLine.arguments[0])).resolvingSymlinksInPath()
      .deletingLastPathComponent().appending(path: "quench-server")
    return FileManager.default.isExecutableFile(atPath: program.path) ? program : nil
  }

  static let remedy = "build it with 'swift build -c release --product quench-server'"

  /// - Throws: `InputError` where it was not built.
  static func required(for purpose: String) throws(InputError) -> URL {
    guard let url else {
      throw InputError("quench-server is not beside quench", at: purpose, remedy: remedy)
    }
    return url
  }
}
