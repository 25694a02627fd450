import Foundation
import QuenchReporting
import QuenchSupport

/// Which holes there are.
public struct SurveySelection: InlineGroup, Hashable, Sendable {
  /// The file of a ``SurveyFile``.
  public var survey = ""
  /// The file of a ``PredictionFile`` for its holes.
  public var predictions: String?
  /// Whether files of predictions may speak of holes that the surveys do not have.
  public var extraPredictions = false

  public init(_ survey: String = "", predictions: String? = nil) {
    (self.survey, self.predictions) = (survey, predictions)
  }

  /// - Throws: `InputError` if no survey is named.
  package func validate() throws(InputError) {
    try requireSetting(!survey.isEmpty, "survey", "a file", "nothing")
  }

  /// - Throws: `InputError` if no predictions are named.
  package func requirePredictions() throws(InputError) {
    try requireSetting(predictions != nil, "predictions", "a file", "nothing")
  }

  /// The survey with its predictions; the console is told what is left out.
  /// - Throws: `InputError` that names the file and the line.
  public func load(_ console: RunConsole) throws(InputError) -> SurveyFile {
    var file = try SurveyFile(contentsOf: URL(filePath: survey))
    for warning in file.warnings { console.note("warning: \(warning)") }
    if let predictions {
      file.survey = try file.survey.predicting(
        PredictionFile(contentsOf: URL(filePath: predictions)), allowsStrangers: extraPredictions)
    }
    return file
  }

  package var files: KeyValuePairs<String, String?> { ["survey": survey, "predictions": predictions] }
}

/// What planners learn from: a survey whose outcomes are known.
public struct TrainingSurvey: InlineGroup, Hashable, Sendable {
  public var trainSurvey: String?
  public var trainPredictions: String?

  public init(_ survey: String? = nil, predictions: String? = nil) {
    (trainSurvey, trainPredictions) = (survey, predictions)
  }

  /// - Throws: `InputError` if one file is named without the other.
  func validate() throws(InputError) {
    guard (trainSurvey == nil) == (trainPredictions == nil) else {
      throw InputError(
        "a survey to learn from and its predictions go together",
        at: trainSurvey == nil ? "train-survey" : "train-predictions", remedy: "name both files, or neither")
    }
  }

  /// The survey with its predictions, if one is named; the console is told where these are not to be trusted.
  /// - Parameters:
  ///   - allowsStrangers: Whether the predictions may speak of holes that the survey does not have.
  ///   - threshold: Å up to which a hole is good.
  ///   - console: Of the run.
  /// - Throws: `InputError` that names the file and the line.
  public func load(
    allowsStrangers: Bool, threshold: Double, _ console: RunConsole
  ) throws(InputError) -> Survey? {
    guard let trainSurvey else { return nil }
    var source = SurveySelection(trainSurvey, predictions: trainPredictions)
    source.extraPredictions = allowsStrangers
    let survey = try source.load(console).survey
    // What is too little to learn from is an error where something is learned.
    if let warning = (try? LearnedCalibration(survey, threshold: threshold))?.warning {
      console.note("warning: \(warning)")
    }
    return survey
  }

  var files: KeyValuePairs<String, String?> { ["train-survey": trainSurvey, "train-predictions": trainPredictions] }
}

/// What an acquisition costs and what counts.
public struct CollectionRules: InlineGroup, Hashable, Sendable {
  /// Holes fitted to this resolution in Å, or better, are good.
  public var threshold = 6.0
  /// Minutes by move.
  public var costs = MoveTable.headMinutes
  /// Whether the visit that crosses the time's end counts.
  public var rule = BudgetRule.strict

  public init() {}

  /// The rules of an acquisition of so many minutes.
  /// - Throws: `InputError` if a number makes no sense.
  public func rules(budget: Double) throws(InputError) -> AcquisitionRules {
    let rules = AcquisitionRules(minutes: costs, threshold: threshold, budget: budget, rule: rule)
    try rules.validate()
    return rules
  }

  /// How policies are compared.
  package var protocolText: String {
    "Every policy from the same start holes; rule \(rule.rawValue), threshold \(threshold) Å."
  }
}

extension BudgetRule: Codable {}
extension PolicyName: Codable {}
extension CalibrationName: Codable {}

/// In files a list of four or five numbers, or the name of a published table.
extension MoveTable: Codable {
  /// - Parameter text: `head`, `old`, or numbers for another hole, patch, square, tile and, if there is a fifth, grid,
  ///   with commas between them.
  public init?(parsing text: String) {
    switch text {
    case "head": self = .headMinutes
    case "old": self = .oldMinutes
    default:
      let values = text.split(separator: ",", omittingEmptySubsequences: false)
        .compactMap { Double($0.trimmingPrefix(" ")) }
      guard values.count == text.count(where: { $0 == "," }) + 1 else { return nil }
      self.init(values)
    }
  }

  private init?(_ values: [Double]) {
    guard (4...5).contains(values.count) else { return nil }
    self.init(
      values[0], values[1], values[2], values[3], grid: values.count == 5 ? values[4] : max(20, values[3]))
  }

  public init(from decoder: any Decoder) throws {
    let text = try? decoder.singleValueContainer().decode(String.self)
    guard let table = try text.map({ MoveTable(parsing: $0) }) ?? MoveTable([Double](from: decoder)) else {
      throw DecodingError.dataCorrupted(
        .init(
          codingPath: decoder.codingPath,
          debugDescription: "these are no costs of moves; expected four or five numbers, head or old"))
    }
    self = table
  }

  public func encode(to encoder: any Encoder) throws { try values.encode(to: encoder) }
}

extension Survey {
  /// Whether it is made up, which its names say.
  public var isSynthetic: Bool { holes[0].name.hasPrefix("synthetic") }

  /// The measured holes alone; the console is told how many are left out.
  /// - Throws: `InputError` if there are none.
  public func measured(_ console: RunConsole) throws(InputError) -> Survey {
    let measured = holes.indices.filter { holes[$0].fit.isMeasured }
    guard measured.count < count else { return self }
    guard !measured.isEmpty else {
      throw InputError(
        "no hole of the survey was ever measured", at: "survey",
        remedy: "policies can be compared only on holes whose outcome is known")
    }
    console.note(
      "note: \(count - measured.count) of \(NumberText.count(count, "hole")) without a measured CTF left out")
    return try subset(measured, from: "survey")
  }

  /// Start holes by a number of random ones, or a list of names and indices from 0.
  /// - Throws: `InputError` if there is no such hole.
  package func starts(_ text: String, seed: UInt64) throws(InputError) -> [Int] {
    if let count = Int(text) {
      guard count >= 1 else {
        throw InputError("there is no start hole", at: "starts", expected: "1 or more", found: text)
      }
      return PolicyEvaluation.starts(count, of: self, seed: seed)
    }
    var starts: [Int] = []
    for item in text.split(separator: ",") { starts.append(try hole(String(item), at: "starts")) }
    return starts
  }

  /// One hole by its index from 0 or its name.
  func hole(_ text: String, at key: String) throws(InputError) -> Int {
    let text = text.trimmingCharacters(in: .whitespaces)
    guard let index = Int(text) else { return try self.index(of: text, at: key) }
    guard holes.indices.contains(index) else {
      throw InputError(
        "there is no hole of this index in the survey", at: key, expected: "0 to \(count - 1)", found: text)
    }
    return index
  }
}
