import ArgumentParser
import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport

struct CryoSimulateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate",
    abstract: "Make a synthetic survey with predictions and time stamps.",
    discussion: """
      Quality clusters by tile, square and patch as on real grids, and so do the
      predictor's errors. Everything is made up, and every name says so.

      Examples:
        quench cryo simulate --out demo-grid
        quench cryo simulate --tiles 10 --patches 8 --seed 3 --out demo-grid

      Writes survey.csv, predictions.txt, timestamps.csv and README.txt.
      """)

  @Option(help: "Atlas tiles of a grid.")
  var tiles = SyntheticSurvey().tiles

  @Option(help: "Squares of a tile, on average.")
  var squares = SyntheticSurvey().squares

  @Option(help: "Patches of a square, on average.")
  var patches = SyntheticSurvey().patches

  @Option(help: "Holes of a patch, on average.")
  var holes = SyntheticSurvey().holes

  @Option(help: "Grids.")
  var grids = 1

  @Option(help: "Seed of every random choice.")
  var seed = 1

  @Option(help: ArgumentHelp("Folder for the files.", valueName: "dir"), completion: .directory)
  var out: String

  @OptionGroup var output: OutputOptions

  private var experiment: SimulateSurvey {
    get throws { try SimulateSurvey(settings: Flags.settings(of: self), name: "flags") }
  }

  func validate() throws { try requireUsage { _ = try experiment.checked() } }

  func run() throws {
    let folder = URL(filePath: out, directoryHint: .isDirectory)
    try output.perform(experiment) { run in
      do { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) } catch {
        throw InputError.writing(folder, error)
      }
      for name in SimulateSurvey.fileNames {
        try AtomicFile.write(InputFile.read(run.folder.artefact(name)), to: folder.appending(path: name))
      }
      output.printResult(try run.folder.readSummary(), "\(run.text)\nfiles      \(folder.relativePath)")
    }
  }
}
