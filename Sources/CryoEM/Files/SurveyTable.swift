import Foundation
import Support

extension SurveyFile {
  /// The survey as text with a header line, for names of any kind: what ``init(parsing:name:)`` reads.
  /// - Throws: `InputError` if a name has a comma or an end of line in it.
  public static func table(of survey: Survey) throws(InputError) -> String {
    var text = "name,grid,tile,square,patch,x,y,stage_x,stage_y,ctf,confidence\n"
    for index in survey.holes.indices {
      let entry = survey.entry(index)
      let names = [entry.name, entry.grid, entry.tile, entry.square, entry.patch]
      if let name = names.first(where: { $0.contains { $0 == "," || $0.isNewline } }) {
        throw InputError("a name cannot stand in a table", found: "'\(name)'", remedy: "leave out commas")
      }
      func pair(_ values: SIMD2<Double>?) -> String { values.map { "\($0.x),\($0.y)" } ?? "," }
      let confidence = entry.confidence.map { "\($0)" } ?? ""
      text += names.joined(separator: ",")
      text += ",\(pair(entry.offset)),\(pair(entry.stage)),\(entry.fit.fileValue),\(confidence)\n"
    }
    return text
  }
}

/// A plan as a table: a line a hole in the order of exposure. Only the columns that exports need are read.
public struct PlanFile: Sendable {
  public struct Entry: Hashable, Sendable {
    public var hole: String
    /// The probability that it is good, where the plan says.
    public var probability: Double?
    /// The predicted resolution in Å, where the plan says.
    public var resolution: Double?
    public var line: Int
  }

  /// The file, for errors.
  public let name: String
  /// In planned order.
  public let entries: [Entry]

  /// - Throws: `InputError` as ``init(parsing:name:)`` does, or if the file cannot be read.
  public init(contentsOf url: URL) throws(InputError) {
    try self.init(parsing: try InputError.read(url), name: url.path)
  }

  /// - Parameters:
  ///   - data: A header line with at least `name`, further `p_good` and `predicted_ctf`, and a line a hole.
  ///   - name: The file, for errors.
  /// - Throws: `InputError` that names the line with a missing column, a value that is no number, or a hole that occurs
  ///   twice.
  public init(parsing data: Data, name: String) throws(InputError) {
    let file = try TextLines(data, name: name)
    func fields(_ text: Substring) -> [Substring] { text.split(separator: ",", omittingEmptySubsequences: false) }
    let header = file.lines.first.map { fields($0.text) } ?? []
    guard let nameColumn = header.firstIndex(of: "name") else {
      throw InputError(
        "this is no plan", at: name,
        expected: "a header line with the column name, as 'quench cryo plan' writes it",
        found: file.lines.first.map { "'\($0.text.prefix(60))'" } ?? "an empty file")
    }
    let columns = (p: header.firstIndex(of: "p_good"), resolution: header.firstIndex(of: "predicted_ctf"))
    var lines: [Substring: Int] = [:]
    var entries: [Entry] = []
    for (number, text) in file.lines.dropFirst() {
      let values = fields(text)
      guard values.count == header.count else {
        throw InputError(
          "a line has another number of columns than the header", at: file.location(number),
          expected: "\(header.count)", found: "\(values.count)")
      }
      func value(_ column: Int?) throws(InputError) -> Double? {
        guard let column, !values[column].isEmpty else { return nil }
        return try file.number(values[column], String(header[column]), line: number)
      }
      if let first = lines.updateValue(number, forKey: values[nameColumn]) {
        throw InputError(
          "the plan visits '\(values[nameColumn].prefix(80))' twice", at: file.location(number),
          found: "it also stands in line \(first)")
      }
      entries.append(
        Entry(
          hole: String(values[nameColumn]), probability: try value(columns.p),
          resolution: try value(columns.resolution), line: number))
    }
    guard !entries.isEmpty else { throw InputError("the plan has no hole in it", at: name) }
    self.name = name
    self.entries = entries
  }
}

extension PlanFile.Entry {
  /// What the operator reads beside a point: `p=0.91 ctf=4.2`.
  var remark: String {
    [probability.map { String(format: "p=%.2f", $0) }, resolution.map { String(format: "ctf=%.1f", $0) }]
      .compactMap { $0 }.joined(separator: " ")
  }
}

extension Navigator {
  /// The file's items in the order of a plan (``ordered(by:)``).
  /// - Throws: `InputError` with the plan's line if it names what the file does not have.
  public func ordered(by plan: PlanFile) throws(InputError) -> Navigator {
    let targets = try targets()
    let places = Dictionary(uniqueKeysWithValues: zip(targets.survey.holes.map(\.name), targets.items))
    var stops: [Stop] = []
    for entry in plan.entries {
      guard let item = places[entry.hole] else {
        throw InputError(
          "the plan names a hole that the navigator file does not have", at: "\(plan.name), line \(entry.line)",
          found: "'\(entry.hole.prefix(80))'",
          remedy: "make the plan from this navigator file: 'quench cryo export --navigator FILE --out survey.csv'")
      }
      stops.append(Stop(item: item, remark: entry.remark))
    }
    return try ordered(by: stops)
  }

  /// A new file with the points of a plan, from the stage positions that the survey has.
  /// - Throws: `InputError` with the plan's line if the survey lacks a hole or its stage position.
  public init(_ plan: PlanFile, of survey: Survey, name: String) throws(InputError) {
    let indices = Dictionary(uniqueKeysWithValues: survey.holes.enumerated().map { ($1.name, $0) })
    var points: [Point] = []
    for (rank, entry) in plan.entries.enumerated() {
      guard let index = indices[entry.hole], let stage = survey.holes[index].stage else {
        throw InputError(
          indices[entry.hole] == nil
            ? "the survey has no such hole" : "the survey does not say where the hole lies",
          at: "\(plan.name), line \(entry.line)", expected: "stage_x and stage_y in the survey",
          found: "'\(entry.hole.prefix(80))'", remedy: "give the navigator file that the holes come from")
      }
      points.append(
        Point(
          label: "\(rank + 1)", stage: StagePosition(x: stage.x, y: stage.y),
          note: [entry.hole, entry.remark].filter { !$0.isEmpty }.joined(separator: " "),
          groupID: survey.holes[index].patch + 1))
    }
    try self.init(points: points, name: name)
  }
}
