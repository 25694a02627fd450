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
    let files = try RunFiles(folder)
    for warning in files.warnings { output.note("warning: \(warning)") }
    try files.report().write(to: folder.report)
    output.printResult(["report": .string(folder.report.relativePath)], folder.report.relativePath)
  }
}
