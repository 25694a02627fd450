import ArgumentParser
import CryoEM
import Foundation
import Reporting
import Support
import Torch

struct CryoCalibrateCommand: ParsableCommand {
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

  func validate() throws {
    guard (testSurvey == nil) == (testPredictions == nil) else {
      throw ValidationError("--test-survey and --test-predictions go together.")
    }
    guard threshold > 0, threshold < CTFFit.clip else {
      throw ValidationError("--threshold must be above 0 and below \(Int(CTFFit.clip)) Å.")
    }
    guard (2...100).contains(bins) else { throw ValidationError("--bins must be 2 to 100.") }
  }

  func run() throws {
    let device = try options.machine.prepare()
    let url = try options.folder(named: "cryo-calibrate")
    var inputs: Record = [:]
    let train = try read(survey, predictions, "train", &inputs)
    let test: Survey? =
      if let testSurvey, let testPredictions {
        try read(testSurvey, testPredictions, "test", &inputs)
      } else { nil }
    let job = CalibrationRun(train: train, test: test, threshold: threshold, bins: bins)
    let record = RunRecord.current(settings, inputs: inputs, device: device)
    let summary = try Run(at: url, record, resumes: options.resume, options.output).perform { _ in try job.perform()
    }
    if let warning = summary["warning"]?.string { options.output.note("warning: \(warning)") }
    options.output.printResult(summary, CalibrationReport.text(summary, url))
  }

  private func read(
    _ survey: String, _ predictions: String, _ name: String, _ inputs: inout Record
  ) throws(InputError) -> Survey {
    let (surveyURL, predictionsURL) = (URL(filePath: survey), URL(filePath: predictions))
    inputs["\(name) survey"] = .string(try Fingerprint.sha256(ofFile: surveyURL))
    inputs["\(name) predictions"] = .string(try Fingerprint.sha256(ofFile: predictionsURL))
    return try SurveyOptions.load(survey, predictions, allowsStrangers: strangers.extraPredictions, options.output)
      .survey
  }

  private var settings: Record {
    var settings: Record = ["survey": .string(survey), "predictions": .string(predictions)]
    settings["test-survey"] = testSurvey.map { .string($0) }
    settings["test-predictions"] = testPredictions.map { .string($0) }
    settings["threshold"] = .double(threshold)
    settings["bins"] = .int(bins)
    return settings
  }
}
