import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSmoothing
import QuenchSupport

struct CertifyPlotCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plot",
    abstract: "Plot certified accuracy against radius for one or more certifications.",
    discussion: """
      Examples:
        quench certify plot runs/certify
        quench certify plot runs/a runs/b cohen.tsv --out compare.html

      Accepts run folders and tables: those of 'quench certify' and of the public
      randomized smoothing code (idx, label, predict, radius, correct, time).
      """)

  @Argument(help: ArgumentHelp("Run folders or tables.", valueName: "run"), completion: .file())
  var runs: [String]

  @Option(help: ArgumentHelp("The page to write.", valueName: "file"), completion: .file(extensions: ["html"]))
  var out = "certified-accuracy.html"

  @OptionGroup var output: OutputOptions

  func run() throws {
    let tables = try runs.map { (name: $0, rows: try CertifiedTable.read(Self.table($0))) }
    let page = URL(filePath: out)
    try CertifiedCurves.report(of: tables).write(to: page)
    output.printResult(
      ["report": .string(page.relativePath)],
      "\(CertifiedCurves.table(tables).text)\n\nreport  \(page.relativePath)")
  }

  /// The table itself, or the one in a run's folder.
  private static func table(_ path: String) -> URL {
    var isFolder: ObjCBool = false
    let exists = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
    return exists && isFolder.boolValue
      ? URL(filePath: path, directoryHint: .isDirectory).appending(path: CertifiedTable.fileName)
      : URL(filePath: path)
  }
}
