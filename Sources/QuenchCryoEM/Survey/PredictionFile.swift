import Foundation
import QuenchReporting
import QuenchSupport

/// A predictor's answers as text, a line a hole: `name resolution` for a regressor, in Å, or `name p0 p1 ...` for a
/// classifier, with the probabilities of its classes from best to worst. Blanks, commas, semicolons or tabs separate them;
/// a name with blanks stands in quotes, or in a file that is separated otherwise. A header line may come first.
public struct PredictionFile: Sendable {
  public struct Entry: Hashable, Sendable {
    public var hole: String
    public var prediction: Prediction
    public var line: Int
  }

  /// The file, for errors.
  public var name: String
  /// In the order of the file.
  public var entries: [Entry]

  /// - Throws: `InputError` that names the file and the line.
  public init(contentsOf url: URL) throws(InputError) {
    try self.init(parsing: try InputError.read(url), name: url.path)
  }

  /// - Parameters:
  ///   - data: The file's bytes.
  ///   - name: The file, for errors.
  /// - Throws: `InputError` that names the line with a value that is no number, a resolution that is not above 0,
  ///   probabilities that are not, another number of values than the first line has, or a hole that occurs twice.
  public init(parsing data: Data, name: String) throws(InputError) {
    let file = try DelimitedFile(parsing: data, name: name)
    self.name = name
    entries = []
    var lines: [String: Int] = [:]
    var width: Int?
    for (index, row) in file.rows.enumerated() {
      let fields = row.fields
      if index == 0, ["name", "hole"].contains(fields[0].lowercased()),
        fields.dropFirst().allSatisfy({ Double($0) == nil })
      {
        continue
      }
      guard fields.count >= 2, fields.count == width ?? fields.count else {
        throw InputError(
          "a line has another number of values", at: file.location(row),
          expected: width.map { "a name and \(NumberText.count($0 - 1, "value")), as in the first line" }
            ?? "a name and a resolution",
          found: NumberText.count(max(fields.count - 1, 0), "value"),
          remedy: "put names with blanks in quotes, or separate columns by tabs")
      }
      width = fields.count
      if let first = lines.updateValue(row.number, forKey: fields[0]) {
        throw InputError(
          "the hole '\(fields[0].prefix(80))' is predicted twice", at: file.location(row),
          found: "it also stands in line \(first)")
      }
      var values: [Double] = []
      for field in fields.dropFirst() { values.append(try file.number(field, "prediction", in: row)) }
      let prediction: Prediction
      if values.count == 1 {
        guard values[0] > 0 else {
          throw InputError(
            "the prediction is no resolution", at: file.location(row), expected: "Å above 0",
            found: fields[1])
        }
        prediction = .resolution(values[0])
      } else {
        // Two decimals a class: each may be off by half a hundredth.
        let slack = 0.005 * Double(values.count) + 1e-9
        guard values.allSatisfy({ (0...1).contains($0) }), abs(values.reduce(0, +) - 1) <= slack else {
          throw InputError(
            "these are not the probabilities of classes", at: file.location(row),
            expected: "\(values.count) values of 0 to 1 that add up to 1",
            found: fields.dropFirst().joined(separator: " "))
        }
        prediction = .classes(values)
      }
      entries.append(Entry(hole: fields[0], prediction: prediction, line: row.number))
    }
    guard !entries.isEmpty else {
      throw InputError(
        "the file holds no predictions", at: name, expected: "a line 'name resolution' for every hole")
    }
  }

  /// The predictions as text; holes without one are left out.
  public static func text(of survey: Survey) -> String {
    let predicted = survey.holes.filter { $0.prediction != nil }
    return text(predicted.map(\.name), predicted.compactMap(\.prediction))
  }
}

extension Survey {
  /// The survey with the predictions of `file`.
  /// - Parameters:
  ///   - file: A prediction for every hole.
  ///   - allowsStrangers: Whether the file may speak of holes that the survey does not have.
  /// - Throws: `InputError` if a hole has no prediction, or if a line names no hole of the survey.
  public func predicting(_ file: PredictionFile, allowsStrangers: Bool = false) throws(InputError) -> Survey {
    let byName = Dictionary(uniqueKeysWithValues: file.entries.map { ($0.hole, $0) })
    let missing = holes.lazy.filter { byName[$0.name] == nil }
    if let first = missing.first {
      throw InputError(
        "\(missing.count) of \(count) holes have no prediction", at: file.name,
        expected: "a line for every hole of the survey", found: "none for '\(first.name)'",
        remedy: "run the predictor on these holes as well")
    }
    if !allowsStrangers, file.entries.count > count {
      let names = Set(holes.lazy.map(\.name))
      let strangers = file.entries.lazy.filter { !names.contains($0.hole) }
      if let first = strangers.first {
        throw InputError(
          "\(strangers.count) of \(file.entries.count) predictions are for holes that the survey does not have",
          at: "\(file.name), line \(first.line)", found: "'\(first.hole.prefix(80))'",
          remedy: "check that both files belong together, or allow it with `extra-predictions`")
      }
    }
    return predicting(holes.map { byName[$0.name]?.prediction })
  }
}
