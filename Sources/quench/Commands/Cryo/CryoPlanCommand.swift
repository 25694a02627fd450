import ArgumentParser
import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport

struct CryoPlanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan",
    abstract: "Write the order in which to expose holes.",
    discussion: """
      The plan is the exact best for calibrated predictions and level-based costs in
      thousandths of a minute or half seconds; for other costs, or where these are too
      many for the time, it says how much more may be possible. Holes that the survey
      gives a measured CTF for count as exposed unless --ignore-measured, or unless
      all are measured: a finished survey is planned anew.

      Examples:
        quench cryo plan --survey grid.csv --predictions grid.txt --start 0 \\
          --out plan.csv
        quench cryo plan --survey grid.csv --predictions grid.txt --start HOLE \\
          --minutes 240 \\
          --train-survey old.csv --train-predictions old.txt \\
            --time-stamps old-times.csv --out plan.csv
      """)

  @OptionGroup(title: "Survey") var survey: SurveyOptions
  @OptionGroup(title: "Learning") var training: TrainingSurveyOptions
  @OptionGroup(title: "Rules") var rules: RulesOptions

  @Option(help: ArgumentHelp("The hole to begin at: its name, or its index from 0.", valueName: "hole"))
  var start: String

  @Option(help: ArgumentHelp("Minutes at the microscope.", valueName: "min"))
  var minutes = 480.0

  @Option(help: "How probabilities are made of predictions: auto, logistic, isotonic, scores or hard.")
  var calibration = CalibrationName.automatic

  @Option(
    help: ArgumentHelp("Fit costs to a session's time stamps instead of --costs.", valueName: "csv"),
    completion: .file())
  var timeStamps: String?

  @Option(
    help: ArgumentHelp("Plan with stage travel at this speed instead of costs by level.", valueName: "µm/min"))
  var stageSpeed: Double?

  @Flag(help: "Plan as if nothing had been measured yet.")
  var ignoreMeasured = false

  @Option(help: ArgumentHelp("The plan's file.", valueName: "csv"), completion: .file())
  var out: String

  @OptionGroup var output: OutputOptions

  private var experiment: PlanAcquisition {
    get throws { try PlanAcquisition(settings: Flags.settings(of: self), name: "flags") }
  }

  func validate() throws { try requireUsage { _ = try experiment.checked() } }

  func run() throws {
    try output.perform(experiment) { run in
      let plan = try InputFile.read(run.folder.artefact(PlanAcquisition.planFileName))
      try AtomicFile.write(plan, to: URL(filePath: out))
      output.printResult(try run.folder.readSummary(), "\(run.text)\nplan           \(out)")
    }
  }
}
