import ArgumentParser
import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport

struct CryoTimeModelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "time-model",
    abstract: "Fit the costs of moves to the time stamps of a session.",
    discussion: """
      Costs are the medians of gaps between consecutive exposures by kind of move;
      gaps of 20 minutes and more are breaks. The preset stands in where there were
      fewer than five.

      Examples:
        quench cryo time-model --time-stamps timestamps.csv
        quench cryo plan --survey grid.csv --predictions grid.txt --start 0 \\
          --time-stamps timestamps.csv --out plan.csv   plan with these costs
      """)

  @Option(help: ArgumentHelp("Lines name,YYYY-MM-DD HH:MM:SS.", valueName: "csv"), completion: .file())
  var timeStamps: String

  @OptionGroup var output: OutputOptions

  func run() throws {
    let url = URL(filePath: timeStamps)
    let model = try TimeModel(TimestampFile(contentsOf: url), from: url.path)
    let costs = model.minutes()
    var summary = try model.figures.reduce(into: Record()) {
      $0["\($1.move)"] = try Value(encoding: $1.figures, style: .figures)
    }
    summary["breaks"] = .int(model.breaks.count)
    summary["break_hours"] = .double(Double(model.breaks.seconds) / 3600)
    summary["feedback_delay_s"] = model.feedbackDelay.map { .double($0) }
    summary["costs"] = .string(costs.values.map { NumberText.plain($0) }.joined(separator: ","))
    output.printResult(
      summary,
      """
      \(model.table.text)

      breaks         \(model.breaks.count) of 20 min or more, \
      \(NumberText.fixed(Double(model.breaks.seconds) / 3600, decimals: 1)) h in all
      CTF known      \(model.feedbackDelay.map { "\(NumberText.plain($0)) s" } ?? "–") after the exposure (median)
      patch change   \(NumberText.fixed(model.minutes(includesStops: true).patch, decimals: 2)) min with the mean share of long stops
      for planning   --costs \(costs.values.prefix(4).map { NumberText.plain($0) }.joined(separator: ","))
      """)
  }
}
