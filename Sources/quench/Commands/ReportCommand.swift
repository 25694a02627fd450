import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSupport

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
    let record = try folder.record()
    guard let type = Experiments.type(of: record.experimentKind) else {
      throw InputError(
        "there is no report for this kind of run", at: folder.config.path,
        expected: "a run of train, evaluate, prune, slim, attack, red, certify, defend, cryo or demo",
        found: "'\(record.experimentKind ?? record.command.joined(separator: " "))'")
    }
    return try type.page(of: folder)
  }
}
