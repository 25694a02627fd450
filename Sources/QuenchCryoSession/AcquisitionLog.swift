import Foundation
import GRDB
import QuenchCryoEM
import QuenchSupport

/// Everything that happened in a collection session, in one SQLite file: the survey, how the session is planned, and every
/// exposure and measurement in the order in which they came. What is noted is never changed; a note may be taken back by
/// another.
///
/// A note is in the file itself, whole, before the call that makes it returns (rollback journal, no write-ahead log): a copy
/// of the one file is the session. Several processes may read and write at once.
public final class AcquisitionLog: Sendable {
  public let url: URL
  private let database: DatabaseQueue

  /// "QnCr", in the file's header.
  private static let applicationID = 0x516E_4372
  private static let version = 2

  /// What happened.
  public struct Event: Hashable, Sendable {
    public enum Kind: String, Hashable, Sendable {
      case exposure
      /// What was measured; a later one of the same hole corrects it.
      case outcome
    }

    /// Counted from 1 in the order of the log.
    public var id: Int
    public var kind: Kind
    /// The hole's place in the survey.
    public var hole: Int
    /// Minutes since the session began.
    public var minutes: Double
    /// Unmeasured for an exposure.
    public var fit: CTFFit
  }

  /// Opens the log of a session that was begun.
  /// - Throws: `InputError` if there is none, or the file is no such log.
  public init(existing url: URL) throws(InputError) {
    guard FileManager.default.fileExists(atPath: url.path) else {
      throw InputError("there is no acquisition log", at: url.path, remedy: "begin one with 'quench cryo live'")
    }
    self.url = url
    database = try Self.open(url)
    try reading { db in
      let id = try Int.fetchOne(db, sql: "PRAGMA application_id")
      let version = try Int.fetchOne(db, sql: "PRAGMA user_version")
      guard id == Self.applicationID else {
        throw InputError(
          "this is no acquisition log", at: url.path, expected: "a file that 'quench cryo live' began")
      }
      guard version == Self.version else {
        throw InputError(
          "the acquisition log is of another version", at: url.path, expected: "\(Self.version)",
          found: version.map { "\($0)" }, remedy: "use the version of quench that began it")
      }
    }
  }

  /// Begins a log; it is there, whole, or not at all.
  /// - Parameters:
  ///   - url: Where; nothing may be there.
  ///   - survey: The holes. Measurements that it has are kept for comparison only; no planner sees them.
  ///   - settings: How the session is planned.
  ///   - curves: What to compare with.
  public init(
    creating url: URL, survey: Survey, settings: SessionSettings, curves: [SessionCurve]
  ) throws(InputError) {
    guard !FileManager.default.fileExists(atPath: url.path) else {
      throw InputError(
        "the acquisition log is there already", at: url.path, remedy: "choose another name with `log`")
    }
    let temporary = url.deletingLastPathComponent().appending(
      path: ".\(url.lastPathComponent).\(UUID().uuidString)")
    let files = [temporary.path, temporary.path + "-journal"]
    do {
      let queue = try DatabaseQueue(path: temporary.path)
      try queue.write { db in try Self.fill(db, survey, settings, curves) }
      try queue.close()
      guard rename(temporary.path, url.path) == 0 else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
    } catch {
      for file in files { unlink(file) }
      throw Self.failure(error, url)
    }
    self.url = url
    database = try Self.open(url)
  }

  private static func open(_ url: URL) throws(InputError) -> DatabaseQueue {
    var configuration = Configuration()
    configuration.busyMode = .timeout(10)
    // A note must be on the disk when it counts as made, also where the power fails.
    configuration.prepareDatabase { db in try db.execute(sql: "PRAGMA synchronous = EXTRA") }
    do { return try DatabaseQueue(path: url.path, configuration: configuration) } catch {
      throw failure(error, url)
    }
  }

  static func json(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
  }

  private static func fill(
    _ db: Database, _ survey: Survey, _ settings: SessionSettings, _ curves: [SessionCurve]
  ) throws {
    try db.execute(
      sql: """
        PRAGMA application_id = \(applicationID);
        PRAGMA user_version = \(version);
        CREATE TABLE session (key TEXT PRIMARY KEY, value TEXT NOT NULL);
        CREATE TABLE hole (
          id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, patch TEXT NOT NULL, square TEXT NOT NULL,
          tile TEXT NOT NULL, grid TEXT NOT NULL, x REAL, y REAL, stage_x REAL, stage_y REAL, prediction TEXT,
          reference REAL);
        CREATE TABLE event (
          id INTEGER PRIMARY KEY,
          kind TEXT NOT NULL CHECK (kind IN ('exposure', 'outcome', 'settings', 'clock', 'withdrawal')),
          hole INTEGER REFERENCES hole (id), minutes REAL NOT NULL, ctf REAL, target INTEGER REFERENCES event (id),
          body TEXT, source TEXT NOT NULL);
        -- What holds: neither a withdrawal nor withdrawn.
        CREATE VIEW valid AS SELECT * FROM event WHERE kind <> 'withdrawal'
          AND id NOT IN (SELECT target FROM event WHERE kind = 'withdrawal');
        CREATE TABLE plan (id INTEGER PRIMARY KEY CHECK (id = 1), after INTEGER NOT NULL, body TEXT NOT NULL);
        """)
    for (key, value) in [("settings", try json(settings)), ("curves", try json(curves))] {
      try db.execute(sql: "INSERT INTO session VALUES (?, ?)", arguments: [key, value])
    }
    for index in survey.holes.indices {
      let entry = survey.entry(index)
      try db.execute(
        sql: "INSERT INTO hole VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        arguments: [
          index, entry.name, entry.patch, entry.square, entry.tile, entry.grid, entry.offset?.x, entry.offset?.y,
          entry.stage?.x, entry.stage?.y, entry.prediction.map(\.logText),
          entry.fit.isMeasured ? entry.fit.fileValue : nil
        ])
    }
  }
}

// MARK: - Reading

extension AcquisitionLog {
  /// The holes, with the measurements that the survey had before the session (``SessionSettings/knowsMeasurements``).
  /// - Throws: `InputError` if the file is damaged.
  public func survey() throws(InputError) -> Survey {
    let path = url.path
    let entries = try reading { db in
      try Row.fetchAll(db, sql: "SELECT * FROM hole ORDER BY id").map { row in
        func pair(_ x: String, _ y: String) throws -> SIMD2<Double>? {
          guard let x: Double = try row.value(x), let y: Double = try row.value(y) else { return nil }
          return SIMD2(x, y)
        }
        return Survey.Entry(
          name: try row.required("name"), patch: try row.required("patch"), square: try row.required("square"),
          tile: try row.required("tile"), grid: try row.required("grid"), offset: try pair("x", "y"),
          stage: try pair("stage_x", "stage_y"),
          fit: try row.value("reference").flatMap(CTFFit.init(fileValue:)) ?? .unmeasured,
          prediction: try row.value("prediction").flatMap(Prediction.init(logText:)))
      }
    }
    let survey = try Survey(entries, from: path)
    guard survey.holes.map(\.name) == entries.map(\.name) else {
      throw InputError("the acquisition log is damaged: its holes are in disorder", at: path)
    }
    return survey
  }

  /// How the session is planned now: as it was begun, or as it was changed last.
  public func settings() throws(InputError) -> SessionSettings {
    let changed = try reading { db -> SessionSettings? in
      try String.fetchOne(db, sql: "SELECT body FROM valid WHERE kind = 'settings' ORDER BY id DESC LIMIT 1").map {
        try JSONDecoder().decode(SessionSettings.self, from: Data($0.utf8))
      }
    }
    if let changed { return changed }
    return try value("settings")
  }

  public func curves() throws(InputError) -> [SessionCurve] { try value("curves") }

  private func value<Value: Decodable>(_ key: String) throws(InputError) -> Value {
    try reading { db in
      guard let text = try String.fetchOne(db, sql: "SELECT value FROM session WHERE key = ?", arguments: [key])
      else {
        throw InputError("the acquisition log is damaged: '\(key)' is missing", at: self.url.path)
      }
      return try JSONDecoder().decode(Value.self, from: Data(text.utf8))
    }
  }

  /// The exposures and measurements after the event `id` that were not taken back, in order.
  public func events(after id: Int = 0) throws(InputError) -> [Event] {
    try reading { db in
      try Row.fetchAll(
        db,
        sql: """
          SELECT id, kind, hole, minutes, ctf FROM valid WHERE id > ? AND kind IN ('exposure', 'outcome') ORDER BY id
          """, arguments: [id]
      )
      .map { row in
        Event(
          id: try row.required("id"), kind: Event.Kind(rawValue: try row.required("kind")) ?? .exposure,
          hole: try row.required("hole"), minutes: try row.required("minutes"),
          fit: try row.value("ctf").flatMap(CTFFit.init(fileValue:)) ?? .unmeasured)
      }
    }
  }

  /// How many events came from `source`.
  public func count(from source: String) throws(InputError) -> Int {
    try reading { db in
      try Int.fetchOne(db, sql: "SELECT count(*) FROM event WHERE source = ?", arguments: [source]) ?? 0
    }
  }

  /// The plan that was made last.
  public func plan() throws(InputError) -> SessionPlan? {
    try reading { db in
      guard let text = try String.fetchOne(db, sql: "SELECT body FROM plan") else { return nil }
      return try JSONDecoder().decode(SessionPlan.self, from: Data(text.utf8))
    }
  }

  /// Checks that the log is of `survey`: the same holes with the same predictions.
  /// - Throws: `InputError` that says what differs.
  public func check(isOf survey: Survey) throws(InputError) {
    let own = try self.survey()
    func fail(_ expected: String, _ found: String) throws(InputError) -> Never {
      throw InputError(
        "the acquisition log is of another survey", at: url.path, expected: expected, found: found,
        remedy: "name the survey and predictions that it was begun with, or begin another with `log`")
    }
    guard own.count == survey.count else { try fail("\(survey.count) holes", "\(own.count)") }
    for (mine, theirs) in zip(own.holes, survey.holes) {
      guard mine.name == theirs.name else { try fail("the hole '\(theirs.name)'", "'\(mine.name)'") }
      guard mine.prediction == theirs.prediction else {
        try fail("the prediction of '\(theirs.name)' as given", "another")
      }
    }
  }

  func reading<Result>(_ body: (Database) throws -> Result) throws(InputError) -> Result {
    do { return try database.read(body) } catch { throw Self.failure(error, url) }
  }

  func writing<Result>(_ body: (Database) throws -> Result) throws(InputError) -> Result {
    do { return try database.write(body) } catch { throw Self.failure(error, url) }
  }

  fileprivate static func failure(_ error: any Error, _ url: URL) -> InputError {
    switch error {
    case let error as InputError: return error
    case let error as DatabaseError where error.resultCode == .SQLITE_NOTADB || error.resultCode == .SQLITE_CORRUPT:
      return InputError("this is no acquisition log, or it is damaged", at: url.path)
    case let error as DatabaseError:
      return InputError(
        "the acquisition log cannot be used: \(error.message ?? "\(error.resultCode)")", at: url.path)
    case is DecodingError, is RowDecodingError: return InputError("the acquisition log is damaged", at: url.path)
    default: return InputError.writing(url, error)
    }
  }
}

extension Prediction {
  /// As the log keeps it: numbers separated by blanks, one for a resolution, more for classes.
  fileprivate var logText: String {
    switch self {
    case .resolution(let value): "\(value)"
    case .classes(let scores): scores.map { "\($0)" }.joined(separator: " ")
    }
  }

  fileprivate init?(logText: String) {
    let values = logText.split(separator: " ").compactMap { Double($0) }
    guard let first = values.first else { return nil }
    self = values.count == 1 ? .resolution(first) : .classes(values)
  }
}

/// Values of a file that anybody may have changed: one of another type is an error, not the process's end.
extension Row {
  func required<Value: DatabaseValueConvertible>(_ column: String) throws -> Value {
    try decode(Value.self, forColumn: column)
  }

  func value<Value: DatabaseValueConvertible>(_ column: String) throws -> Value? {
    try decode(Value?.self, forColumn: column)
  }
}
