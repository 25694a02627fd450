import ArgumentParser
import CryoEM
import Foundation
import Reporting
import Support

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

  /// Whoever finds this finds the other files too.
  static let lastFile = "README.txt"

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

  var method: SyntheticSurvey {
    var method = SyntheticSurvey()
    (method.tiles, method.squares, method.patches, method.holes, method.grids) = (
      tiles, squares, patches, holes, grids
    )
    return method
  }

  func validate() throws { try requireUsage { try method.validate() } }

  func run() throws {
    let seed = UInt64(bitPattern: Int64(self.seed))
    let survey = try method.make(seed: seed)
    let folder = URL(filePath: out, directoryHint: .isDirectory)
    do { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) } catch {
      throw InputError.writing(folder, error)
    }
    func write(_ text: String, _ name: String) throws(InputError) {
      try AtomicFile.write(Data(text.utf8), to: folder.appending(path: name))
    }
    try write(SurveyFile.text(of: survey), "survey.csv")
    try write(PredictionFile.text(of: survey), "predictions.txt")
    try write(TimestampFile.text(of: SyntheticSurvey.timestamps(of: survey, seed: seed)), "timestamps.csv")
    try write(
      """
      SYNTHETIC cryo-EM survey, made by 'quench cryo simulate' with seed \(self.seed).
      No microscope took these exposures and no network made these predictions.

      survey.csv       name, x, y (pixels in the parent image), CTFMaxRes (Å, 100000 = failed fit), confidence
      predictions.txt  name, predicted CTFMaxRes
      timestamps.csv   name, time of the image

      """, Self.lastFile)
    let good = survey.goodCount(threshold: 6)
    output.printResult(
      [
        "synthetic": true, "holes": .int(survey.count), "patches": .int(survey.patches.count),
        "squares": .int(survey.squares.count), "tiles": .int(survey.tiles.count), "good": .int(good),
        "seed": .int(self.seed)
      ],
      """
      synthetic  \(NumberText.count(survey.count, "hole")) in \(NumberText.count(survey.patches.count, "patch")), \
      \(NumberText.count(survey.squares.count, "square")), \(NumberText.count(survey.tiles.count, "tile")); \
      \(good) good at 6 Å
      files      \(folder.relativePath)
      """)
  }
}
