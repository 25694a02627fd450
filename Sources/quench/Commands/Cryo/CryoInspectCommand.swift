import ArgumentParser
import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport

struct CryoInspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Say what a survey and its predictions hold.",
    discussion: """
      Examples:
        quench cryo inspect --survey grid.csv --predictions grid.txt
        quench cryo inspect --survey session.csv --json
      """)

  @OptionGroup(title: "Survey") var survey: SurveyOptions

  @Option(help: ArgumentHelp("Holes fitted to this resolution or better are good.", valueName: "Å"))
  var threshold = 6.0

  @OptionGroup var output: OutputOptions

  func run() throws {
    let file = try survey.load(output)
    let inventory = SurveyInventory(file, threshold: threshold)
    let summary = try Value(encoding: inventory, style: .figures).record ?? [:]
    output.printResult(summary, Self.text(file.survey, inventory))
  }

  private static func text(_ survey: Survey, _ inventory: SurveyInventory) -> String {
    let tiles = Table(
      "", columns: [.text("tile"), .number("squares"), .number("patches"), .number("holes"), .number("good")],
      rows: survey.tiles.map { tile in
        let good = tile.holes.count { survey.holes[$0].fit.isGood(threshold: inventory.threshold) }
        let patches = tile.parts.reduce(0) { $0 + survey.squares[$1].parts.count }
        return ["\(tile.name)", "\(tile.parts.count)", "\(patches)", "\(tile.holes.count)", "\(good)"]
      })
    func count(_ value: Int) -> String { Wording.count(Double(value)) }
    let quartiles = [inventory.resolutionQ25, inventory.resolutionMedian, inventory.resolutionQ75]
      .map { $0.map { "\($0)" } ?? "null" }.joined(separator: ", ")
    let note = inventory.synthetic ? "\nsynthetic  these holes are made up; no microscope took them" : ""
    let accuracy = inventory.predictionAccuracy.map { ", right for \(NumberText.percent($0, decimals: 1))" }
    return """
      holes      \(count(inventory.holes)) in \(NumberText.count(inventory.patches, "patch")), \
      \(NumberText.count(inventory.squares, "square")), \(NumberText.count(inventory.tiles, "tile")), \
      \(NumberText.count(inventory.grids, "grid"))
      measured   \(count(inventory.measured)), \(count(inventory.good)) good at \
      \(NumberText.plain(inventory.threshold)) Å, \(NumberText.count(inventory.failed, "failed fit"))
      resolution quartiles \(quartiles) Å
      predicted  \(count(inventory.predicted)), \(count(inventory.predictedGood)) good\(accuracy ?? "")
      left out   \(NumberText.count(inventory.otherImages, "image")) of no hole, \
      \(NumberText.count(inventory.rawExposures, "raw exposure"))\(note)

      \(tiles.text)
      """
  }
}
