import ArgumentParser
import CryoEM
import Foundation
import Reporting
import Support

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
    try Self.load(survey, predictions, allowsStrangers: strangers.extraPredictions, output)
  }

  static func load(
    _ survey: String, _ predictions: String?, allowsStrangers: Bool, _ output: OutputOptions
  ) throws(InputError) -> SurveyFile {
    var file = try SurveyFile(contentsOf: URL(filePath: survey))
    for warning in file.warnings { output.note("warning: \(warning)") }
    if let predictions {
      file.survey = try file.survey.predicting(
        PredictionFile(contentsOf: URL(filePath: predictions)), allowsStrangers: allowsStrangers)
    }
    return file
  }

  var settings: Record {
    var settings: Record = ["survey": .string(survey)]
    settings["predictions"] = predictions.map { .string($0) }
    return settings
  }

  func inputs() throws(InputError) -> Record {
    try Fingerprint.inputs(["survey": survey, "predictions": predictions])
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

  /// The survey with its predictions; says where these are not to be trusted.
  func load(
    allowsStrangers: Bool, threshold: Double, _ output: OutputOptions
  ) throws(InputError) -> Survey? {
    guard let trainSurvey else { return nil }
    let survey = try SurveyOptions.load(trainSurvey, trainPredictions, allowsStrangers: allowsStrangers, output)
      .survey
    // What is too little to learn from is an error where something is learned.
    if let warning = (try? LearnedCalibration(survey, threshold: threshold))?.warning {
      output.note("warning: \(warning)")
    }
    return survey
  }

  var settings: Record {
    var settings: Record = [:]
    settings["train-survey"] = trainSurvey.map { .string($0) }
    settings["train-predictions"] = trainPredictions.map { .string($0) }
    return settings
  }

  func inputs() throws(InputError) -> Record {
    try Fingerprint.inputs(["train-survey": trainSurvey, "train-predictions": trainPredictions])
  }
}

/// Minutes by move: a preset or numbers.
struct CostsArgument: ExpressibleByArgument {
  let table: MoveTable

  init(_ table: MoveTable) { self.table = table }

  init?(argument: String) {
    switch argument {
    case "head": table = .headMinutes
    case "old": table = .oldMinutes
    default:
      let values = argument.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
      let numbers = values.compactMap { $0 }
      guard numbers.count == values.count, (4...5).contains(numbers.count) else { return nil }
      table = MoveTable(
        numbers[0], numbers[1], numbers[2], numbers[3],
        grid: numbers.count == 5 ? numbers[4] : max(20, numbers[3]))
    }
  }

  var defaultValueDescription: String { "1,2,6,8" }
}

/// Several times in minutes.
struct MinutesArgument: ExpressibleByArgument {
  let values: [Double]

  init(_ values: [Double]) { self.values = values }

  init?(argument: String) {
    let numbers = argument.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
    values = numbers.compactMap { $0 }
    guard values.count == numbers.count, !values.isEmpty else { return nil }
  }

  var defaultValueDescription: String { values.map { NumberText.plain($0) }.joined(separator: ",") }
}

extension BudgetRule: ExpressibleByArgument {}

/// What an acquisition costs and what counts.
struct RulesOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Holes fitted to this resolution or better are good.", valueName: "Å"))
  var threshold = 6.0

  @Option(
    help: ArgumentHelp(
      "Minutes to a hole of the same patch, square, tile, and to another tile; a fifth number is for another grid. Or head or old, the published tables.",
      valueName: "list"))
  var costs = CostsArgument(.headMinutes)

  @Option(
    help: ArgumentHelp(
      "R counts the visit that crosses the time's end, as published; S does not.", valueName: "R|S"))
  var rule = BudgetRule.strict

  func rules(budget: Double) throws -> AcquisitionRules {
    let rules = AcquisitionRules(minutes: costs.table, threshold: threshold, budget: budget, rule: rule)
    try requireUsage { try rules.validate() }
    return rules
  }

  var settings: Record {
    [
      "threshold": .double(threshold), "costs": .array(costs.table.values.map { .double($0) }),
      "rule": .string(rule.rawValue)
    ]
  }
}
