import Foundation
import Support

/// A predictor's answers as text, a line a hole: `name resolution` for a regressor, in Å, or `name p0 p1 ...` for a
/// classifier, with the probabilities of its classes from best to worst.
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
    let file = try TextLines(data, name: name)
    self.name = name
    entries = []
    var lines: [Substring: Int] = [:]
    var width: Int?
    for (number, line) in file.lines {
      let fields = line.split { $0 == " " || $0 == "\t" || $0 == "," }
      guard fields.count >= 2, fields.count == width ?? fields.count else {
        throw InputError(
          "a line has another number of values", at: file.location(number),
          expected: width.map { "a name and \($0 - 1) values, as in the first line" } ?? "a name and a resolution",
          found: "\(max(fields.count - 1, 0)) values")
      }
      width = fields.count
      if let first = lines.updateValue(number, forKey: fields[0]) {
        throw InputError(
          "the hole '\(fields[0].prefix(80))' is predicted twice", at: file.location(number),
          found: "it also stands in line \(first)")
      }
      var values: [Double] = []
      for field in fields.dropFirst() { values.append(try file.number(field, "prediction", line: number)) }
      let prediction: Prediction
      if values.count == 1 {
        guard values[0] > 0 else {
          throw InputError(
            "the prediction is no resolution", at: file.location(number), expected: "Å above 0",
            found: "\(fields[1])")
        }
        prediction = .resolution(values[0])
      } else {
        // Two decimals a class: each may be off by half a hundredth.
        let slack = 0.005 * Double(values.count) + 1e-9
        guard values.allSatisfy({ (0...1).contains($0) }), abs(values.reduce(0, +) - 1) <= slack else {
          throw InputError(
            "these are not the probabilities of classes", at: file.location(number),
            expected: "\(values.count) values of 0 to 1 that add up to 1",
            found: fields.dropFirst().joined(separator: " "))
        }
        prediction = .classes(values)
      }
      entries.append(Entry(hole: String(fields[0]), prediction: prediction, line: number))
    }
    guard !entries.isEmpty else {
      throw InputError(
        "the file holds no predictions", at: name, expected: "a line 'name resolution' for every hole")
    }
  }

  /// The predictions as text: resolutions and probabilities with two decimals.
  public static func text(of survey: Survey) -> String {
    func two(_ value: Double) -> String { String(format: "%.2f", value) }
    return survey.holes.reduce(into: "") { text, hole in
      switch hole.prediction {
      case .resolution(let value): text += "\(hole.name) \(two(value))\n"
      case .classes(let scores): text += "\(hole.name) \(scores.map(two).joined(separator: " "))\n"
      case nil: break
      }
    }
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
          remedy: "check that both files belong together, or allow it with --extra-predictions")
      }
    }
    return predicting(holes.map { byName[$0.name]?.prediction })
  }
}
