import ArgumentParser
import Foundation
import Reporting
import Support

struct ReportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Rewrite a run's report.html from the other files in its folder.",
    discussion: """
      Examples:
        quench report runs/train   also during the run, or after it was stopped
      """)

  @Argument(help: ArgumentHelp("The run's folder.", valueName: "dir"), completion: .directory)
  var folder: String

  @OptionGroup var output: OutputOptions

  func run() throws {
    let folder = try RunFolder(existing: URL(filePath: folder, directoryHint: .isDirectory))
    let (report, warnings) = try page(of: folder)
    for warning in warnings { output.note("warning: \(warning)") }
    try report.write(to: folder.report)
    output.printResult(["report": .string(folder.report.relativePath)], folder.report.relativePath)
  }

  private func page(of folder: RunFolder) throws -> (Report, warnings: [String]) {
    if let type = try Experiments.type(of: folder.record().experimentKind) { return try type.page(of: folder) }
    let files = try RunFiles(folder)
    return (try files.report(), files.warnings)
  }
}
