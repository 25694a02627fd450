import Foundation
import QuenchSupport

/// What a study is to run, as a file says it: experiments by kind and settings, each once or over a sweep of settings.
///
///     runs:
///       dense: {kind: train, settings: {epochs: 8}}
///       bip:
///         kind: prune-bip
///         settings: {weights: '{study}/dense/model.safetensors'}
///         sweep: {keep: [0.33, 0.17], seed: [1, 2, 3]}
///
/// `{study}` stands for the study's folder. A file with `kind` at its top holds one such entry.
public struct StudyPlan: Sendable {
  public struct Run: Sendable {
    /// The name of its folder.
    public var name: String
    public var kind: String
    public var settings: Record
  }

  public let runs: [Run]

  /// - Parameters:
  ///   - value: The file's content.
  ///   - folder: The study's.
  ///   - name: What errors call the file.
  /// - Throws: `InputError` for keys or values that a plan does not have, naming the entry.
  public init(_ value: Value, for folder: URL, name: String) throws(InputError) {
    guard let file = value.record, file["kind"] != nil || file["runs"]?.record?.isEmpty == false else {
      throw InputError("this is no plan of a study", at: name, expected: "a mapping with the key runs, or kind")
    }
    let entries = file["kind"] == nil ? file["runs"]?.record ?? [:] : ["": value]
    var runs: [Run] = []
    for (key, entry) in entries {
      let place = key.isEmpty ? name : "\(name), \(key)"
      let known = ["kind", "settings", "sweep"]
      guard let entry = entry.record, let kind = entry["kind"]?.string else {
        throw InputError("the entry says no kind of experiment", at: place, expected: "kind: and settings:")
      }
      if let stranger = entry.keys.first(where: { !known.contains($0) }) {
        throw InputError("unknown key", at: place, expected: known.joined(separator: ", "), found: "'\(stranger)'")
      }
      let settings = (entry["settings"]?.record ?? [:]).replacing("{study}", with: folder.relativePath)
      for point in try Self.points(entry["sweep"], at: place) {
        let parts = (key.isEmpty ? [] : [key]) + point.map { "\($0.key)-\($0.value)" }
        let label = parts.isEmpty ? kind : parts.joined(separator: "_")
        runs.append(Run(name: label.replacing("/", with: "-"), kind: kind, settings: settings.merging(point)))
      }
    }
    if let twice = Dictionary(grouping: runs, by: \.name).first(where: { $0.value.count > 1 })?.key {
      throw InputError("two runs have one name", at: name, found: "'\(twice)'", remedy: "give them other names")
    }
    self.runs = runs
  }

  /// Every combination of the values of a sweep.
  private static func points(_ sweep: Value?, at place: String) throws(InputError) -> [Record] {
    guard let sweep else { return [[:]] }
    guard let sweep = sweep.record else {
      throw InputError("a sweep is a mapping of settings to lists", at: place, found: "\(sweep)")
    }
    var points: [Record] = [[:]]
    for (key, values) in sweep {
      guard let values = values.array, !values.isEmpty else {
        throw InputError("a sweep needs a list of values", at: "\(place), \(key)", found: "\(values)")
      }
      points = points.flatMap { point in values.map { point.merging([key: $0]) } }
    }
    return points
  }
}

extension Record {
  /// The record with a text replaced in all its strings.
  fileprivate func replacing(_ text: String, with other: String) -> Record {
    func replaced(_ value: Value) -> Value {
      switch value {
      case .string(let string): .string(string.replacing(text, with: other))
      case .array(let values): .array(values.map(replaced))
      case .object(let record): .object(record.replacing(text, with: other))
      case .null, .bool, .int, .double: value
      }
    }
    var record = self
    for (key, value) in self { record[key] = replaced(value) }
    return record
  }
}
