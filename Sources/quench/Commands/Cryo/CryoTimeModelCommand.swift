import ArgumentParser
import CryoEM
import Foundation
import Reporting
import Support

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
    let (plain, full) = (model.minutes(), model.minutes(includesStops: true))
    var summary: Record = [:]
    for gaps in model.gaps {
      summary["\(gaps.move)"] = .object([
        "n": .int(gaps.count), "median_s": .double(gaps.median),
        "mean_s": .double(gaps.count > 0 ? gaps.mean : .nan),
        "p10_s": .double(gaps.quantile(0.1)), "p90_s": .double(gaps.quantile(0.9)),
        "long_stops": .int(gaps.longStops.count), "cost_min": .double(plain[gaps.move]),
        "cost_with_stops_min": .double(full[gaps.move]), "from_preset": .bool(gaps.count < TimeModel.fewestGaps)
      ])
    }
    summary["breaks"] = .int(model.breaks.count)
    summary["break_hours"] = .double(Double(model.breaks.seconds) / 3600)
    summary["feedback_delay_s"] = model.feedbackDelay.map { .double($0) }
    summary["costs"] = .string(plain.values.map { NumberText.plain($0) }.joined(separator: ","))
    let table = Table(
      "",
      columns: [
        .text("move to another"), .number("n"), .number("median s"), .number("mean s"), .number("p10 s"),
        .number("p90 s"), .number("long stops"), .number("cost min"), .text("from")
      ],
      rows: model.gaps.map { gaps in
        func text(_ value: Double) -> String { value.isFinite ? NumberText.plain(value, digits: 4) : "–" }
        return [
          "\(gaps.move)", "\(Wording.count(Double(gaps.count)))", "\(text(gaps.median))",
          "\(gaps.count > 0 ? text(gaps.mean) : "–")", "\(text(gaps.quantile(0.1)))", "\(text(gaps.quantile(0.9)))",
          "\(gaps.longStops.count)", "\(NumberText.fixed(plain[gaps.move], decimals: 2))",
          "\(gaps.count < TimeModel.fewestGaps ? "preset" : "median")"
        ]
      })
    output.printResult(
      summary,
      """
      \(table.text)

      breaks         \(model.breaks.count) of 20 min or more, \
      \(NumberText.fixed(Double(model.breaks.seconds) / 3600, decimals: 1)) h in all
      CTF known      \(model.feedbackDelay.map { "\(NumberText.plain($0)) s" } ?? "–") after the exposure (median)
      patch change   \(NumberText.fixed(full.patch, decimals: 2)) min with the mean share of long stops
      for planning   --costs \(plain.values.prefix(4).map { NumberText.plain($0) }.joined(separator: ","))
      """)
  }
}
