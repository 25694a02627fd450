import ArgumentParser
import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport

/// A command about surveys, which computes in float32 whatever `--precision` says.
protocol CryoExperimentCommand: ExperimentCommand {
  var options: RunOptions { get }
}

extension CryoExperimentCommand {
  var runOptions: RunOptions { options }
  var settings: Record {
    var settings = Flags.settings(of: self)
    settings["precision"] = nil
    return settings
  }
}

extension OutputOptions {
  /// Where planning is done.
  var lab: Lab {
    var lab = Lab()
    lab.console = console
    lab.command = ["quench"] + CommandLine.arguments.dropFirst()
    return lab
  }

  /// Does an experiment whose run's folder nobody keeps.
  func perform<Work: Experiment>(_ experiment: Work, _ take: (PerformedRun<Work>) throws -> Void) throws {
    do { try lab.perform(experiment, take) } catch let error as InputError { throw error.namingFlags }
  }
}

/// Whether prediction files may hold more than is asked of them.
struct StrangersOptions: ParsableArguments {
  @Flag(help: "Let the prediction files speak of holes that the surveys do not have.")
  var extraPredictions = false
}

/// Which holes there are.
struct SurveyOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Table of the holes.", valueName: "csv"), completion: .file())
  var survey: String

  @Option(help: ArgumentHelp("What a predictor says of them.", valueName: "txt"), completion: .file())
  var predictions: String?

  @OptionGroup var strangers: StrangersOptions

  /// The survey with its predictions; says what is left out.
  func load(_ output: OutputOptions) throws(InputError) -> SurveyFile {
    var source = SurveySelection(survey, predictions: predictions)
    source.extraPredictions = strangers.extraPredictions
    return try source.load(output.console)
  }
}

/// What planners learn from: a survey whose outcomes are known.
struct TrainingSurveyOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("Measured survey to learn calibration and variances from.", valueName: "csv"),
    completion: .file())
  var trainSurvey: String?

  @Option(help: ArgumentHelp("Predictions of its holes.", valueName: "txt"), completion: .file())
  var trainPredictions: String?

  func validate() throws {
    if (trainSurvey == nil) != (trainPredictions == nil) {
      throw ValidationError("--train-survey and --train-predictions go together.")
    }
  }
}

/// What an acquisition costs and what counts.
struct RulesOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Holes fitted to this resolution or better are good.", valueName: "Å"))
  var threshold = 6.0

  @Option(
    help: ArgumentHelp(
      "Minutes to a hole of the same patch, square, tile, and to another tile; a fifth number is for another grid. Or head or old, the published tables.",
      valueName: "list"))
  var costs = MoveTable.headMinutes

  @Option(
    help: ArgumentHelp(
      "R counts the visit that crosses the time's end, as published; S does not.", valueName: "R|S"))
  var rule = BudgetRule.strict
}

extension BudgetRule: ExpressibleByArgument {}
extension CalibrationName: ExpressibleByArgument {}
extension MoveTable: ExpressibleByArgument {
  public init?(argument: String) { self.init(parsing: argument) }
  public var defaultValueDescription: String { "1,2,6,8" }
}
