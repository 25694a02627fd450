import Foundation
import QuenchSupport

extension SurveyFile {
  /// The survey as text with a header line, for names of any kind: what ``init(parsing:name:)`` reads.
  /// - Throws: `InputError` if a name has an end of line in it.
  public static func table(of survey: Survey) throws(InputError) -> String {
    var text = "name,grid,tile,square,patch,x,y,stage_x,stage_y,ctf,confidence\n"
    for index in survey.holes.indices {
      let entry = survey.entry(index)
      let names = [entry.name, entry.grid, entry.tile, entry.square, entry.patch]
      if let name = names.first(where: { $0.contains(where: \.isNewline) }) {
        throw InputError("a name cannot stand in a table: it has an end of line in it", found: "'\(name)'")
      }
      func pair(_ values: SIMD2<Double>?) -> String { values.map { "\($0.x),\($0.y)" } ?? "," }
      let confidence = entry.confidence.map { "\($0)" } ?? ""
      text += names.map { DelimitedFile.field($0, separatedBy: ",") }.joined(separator: ",")
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
    let file = try DelimitedFile(parsing: data, name: name)
    let header = file.rows.first?.fields ?? []
    guard let nameColumn = header.firstIndex(of: "name") else {
      throw InputError(
        "this is no plan", at: name,
        expected: "a header line with the column name, as 'quench cryo plan' writes it",
        found: header.isEmpty ? "an empty file" : "'\(header.joined(separator: ",").prefix(60))'")
    }
    let columns = (p: header.firstIndex(of: "p_good"), resolution: header.firstIndex(of: "predicted_ctf"))
    var lines: [String: Int] = [:]
    var entries: [Entry] = []
    for row in file.rows.dropFirst() {
      guard row.fields.count == header.count else {
        throw InputError(
          "a line has another number of columns than the header", at: file.location(row),
          expected: "\(header.count)", found: "\(row.fields.count)")
      }
      func value(_ column: Int?) throws(InputError) -> Double? {
        guard let column, !row.fields[column].isEmpty else { return nil }
        return try file.number(row.fields[column], header[column], in: row)
      }
      let hole = row.fields[nameColumn]
      if let first = lines.updateValue(row.number, forKey: hole) {
        throw InputError(
          "the plan visits '\(hole.prefix(80))' twice", at: file.location(row),
          found: "it also stands in line \(first)")
      }
      entries.append(
        Entry(
          hole: hole, probability: try value(columns.p), resolution: try value(columns.resolution), line: row.number
        ))
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
  /// The file's items in the order of a plan (``ordered(by:)``), and the holes of the plan that are left out.
  ///
  /// Where some points are marked for acquisition, those that are not have been taken since the plan was made, or were
  /// turned off by hand: they are not turned on again.
  /// - Parameters:
  ///   - plan: Of holes that ``targets(registration:)`` names.
  ///   - turnsOn: Whether points that are not marked are to be acquired, too.
  /// - Throws: `InputError` with the plan's line if it names what the file does not have, or if nothing is left.
  public func ordered(
    by plan: PlanFile, turnsOn: Bool = false
  ) throws(InputError) -> (navigator: Navigator, leftOut: [String]) {
    let places = Dictionary(uniqueKeysWithValues: pointNames().map { ($1, $0) })
    let isMarked = items.contains { $0.kind == .point && $0.acquires }
    var (stops, leftOut): ([Stop], [String]) = ([], [])
    for entry in plan.entries {
      guard let item = places[entry.hole] else {
        throw InputError(
          "the plan names a hole that the navigator file does not have", at: "\(plan.name), line \(entry.line)",
          found: "'\(entry.hole.prefix(80))'",
          remedy: "make the plan from this navigator file: 'quench cryo export --navigator FILE --out survey.csv'")
      }
      if isMarked, !items[item].acquires, !turnsOn {
        leftOut.append(entry.hole)
      } else {
        stops.append(Stop(item: item, remark: entry.remark))
      }
    }
    guard !stops.isEmpty else {
      throw InputError(
        "no point of the plan is marked for acquisition any more", at: document.name,
        remedy: "turn them on again with `turn-on`")
    }
    return (try ordered(by: stops), leftOut)
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
