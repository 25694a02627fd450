import ArgumentParser
import CryoEM
import Foundation
import Reporting
import Support

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
    let survey = file.survey
    let fits = survey.holes.map(\.fit)
    let resolutions = fits.compactMap(\.clippedResolution).sorted()
    func quantile(_ q: Double) -> Value {
      resolutions.isEmpty ? .null : .double(resolutions[Int((q * Double(resolutions.count - 1)).rounded())])
    }
    var summary: Record = [
      "holes": .int(survey.count), "patches": .int(survey.patches.count), "squares": .int(survey.squares.count),
      "tiles": .int(survey.tiles.count), "grids": .int(survey.grids.count), "measured": .int(resolutions.count),
      "failed": .int(fits.count { $0 == .failed }), "good": .int(survey.goodCount(threshold: threshold)),
      "threshold": .double(threshold), "resolution_q25": quantile(0.25), "resolution_median": quantile(0.5),
      "resolution_q75": quantile(0.75), "predicted": .int(survey.holes.count { $0.prediction != nil }),
      "predicted_good": .int(survey.holes.count { $0.prediction?.isGood(threshold: threshold) ?? false }),
      "other_images": .int(file.passedOver), "raw_exposures": .int(file.rawExposures),
      "synthetic": .bool(CryoStudy.isSynthetic(survey))
    ]
    let both = survey.holes.filter { $0.fit.isMeasured && $0.prediction != nil }
    if !both.isEmpty {
      let right = both.count {
        $0.fit.isGood(threshold: threshold) == ($0.prediction?.isGood(threshold: threshold) ?? false)
      }
      summary["prediction_accuracy"] = .double(Double(right) / Double(both.count))
    }
    output.printResult(summary, Self.text(survey, summary, threshold))
  }

  private static func text(_ survey: Survey, _ summary: Record, _ threshold: Double) -> String {
    func count(_ key: String) -> String { Wording.count(summary[key]?.number) }
    func counted(_ key: String, _ noun: String) -> String { NumberText.count(summary[key]?.integer ?? 0, noun) }
    let tiles = Table(
      "", columns: [.text("tile"), .number("squares"), .number("patches"), .number("holes"), .number("good")],
      rows: survey.tiles.map { tile in
        let good = tile.holes.count { survey.holes[$0].fit.isGood(threshold: threshold) }
        let patches = tile.parts.reduce(0) { $0 + survey.squares[$1].parts.count }
        return ["\(tile.name)", "\(tile.parts.count)", "\(patches)", "\(tile.holes.count)", "\(good)"]
      })
    let note =
      summary["synthetic"]?.bool == true ? "\nsynthetic  these holes are made up; no microscope took them" : ""
    let accuracy = summary["prediction_accuracy"]?.number.map {
      ", right for \(NumberText.percent($0, decimals: 1))"
    }
    return """
      holes      \(count("holes")) in \(counted("patches", "patch")), \(counted("squares", "square")), \
      \(counted("tiles", "tile")), \(counted("grids", "grid"))
      measured   \(count("measured")), \(count("good")) good at \(NumberText.plain(threshold)) Å, \
      \(counted("failed", "failed fit"))
      resolution quartiles \(summary["resolution_q25"]?.description ?? "–"), \
      \(summary["resolution_median"]?.description ?? "–"), \(summary["resolution_q75"]?.description ?? "–") Å
      predicted  \(count("predicted")), \(count("predicted_good")) good\(accuracy ?? "")
      left out   \(counted("other_images", "image")) of no hole, \(counted("raw_exposures", "raw exposure"))\(note)

      \(tiles.text)
      """
  }
}
