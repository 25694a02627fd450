import ArgumentParser
import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport

struct CryoCalibrateCommand: CryoExperimentCommand {
  typealias Work = CalibratePredictions

  static let configuration = CommandConfiguration(
    commandName: "calibrate",
    abstract: "Turn predictions into probabilities, and show how far these can be trusted.",
    discussion: """
      A predictor says a resolution, or scores of classes; a planner needs the
      probability that a hole is good. Two ways are fitted to a survey whose outcomes
      are known: a logistic curve of the logarithm of the predicted resolution, and
      the best curve that never rises as predictions get worse (isotonic). With a
      test survey both are also judged on holes that they were not fitted to. Neither
      rises: where worse predictions were good more often, the logistic curve is the
      share of good holes, and planners assume a usual predictor instead.

      Example:
        quench cryo calibrate --survey train.csv --predictions train.txt \\
          --test-survey val.csv --test-predictions val.txt

      Writes summary.json, config.yaml and report.html with a reliability plot.
      """)

  @Option(
    help: ArgumentHelp("Holes with their measured CTF, to fit to.", valueName: "csv"), completion: .file())
  var survey: String

  @Option(help: ArgumentHelp("What was predicted for them.", valueName: "txt"), completion: .file())
  var predictions: String

  @Option(help: ArgumentHelp("Other holes, to judge by.", valueName: "csv"), completion: .file())
  var testSurvey: String?

  @Option(help: ArgumentHelp("What was predicted for those.", valueName: "txt"), completion: .file())
  var testPredictions: String?

  @OptionGroup var strangers: StrangersOptions

  @Option(help: ArgumentHelp("Å up to which a hole is good.", valueName: "Å"))
  var threshold = 6.0

  @Option(help: ArgumentHelp("Spans of probability in the reliability plot.", valueName: "n"))
  var bins = 10

  @OptionGroup(title: "Run") var options: RunOptions

  /// Nothing is drawn at random.
  var settings: Record {
    var settings = Flags.settings(of: self)
    (settings["seed"], settings["precision"]) = (nil, nil)
    return settings
  }

  func validate() throws {
    guard (testSurvey == nil) == (testPredictions == nil) else {
      throw ValidationError("--test-survey and --test-predictions go together.")
    }
    try requireUsage { _ = try Work(settings: settings, name: "flags").checked() }
  }
}
