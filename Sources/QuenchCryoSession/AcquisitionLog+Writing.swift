import Foundation
import GRDB
import QuenchCryoEM
import QuenchSupport

extension AcquisitionLog {
  /// Notes that `hole` was exposed.
  /// - Returns: Whether that was new.
  @discardableResult
  public func expose(_ hole: Int, at minutes: Double, source: String) throws(InputError) -> Bool {
    try writing { db in try Self.expose(db, hole, minutes, source) }
  }

  /// Notes what was measured at `hole`, and that it was exposed, if that was not known.
  /// - Returns: Whether that was new: false if the same was measured before.
  @discardableResult
  public func record(
    _ fit: CTFFit, of hole: Int, at minutes: Double, source: String
  ) throws(InputError) -> Bool {
    try writing { db in
      let last = try Double.fetchOne(
        db, sql: "SELECT ctf FROM valid WHERE kind = 'outcome' AND hole = ? ORDER BY id DESC LIMIT 1",
        arguments: [hole])
      guard last != fit.fileValue else { return false }
      try Self.expose(db, hole, minutes, source)
      try Self.insert(db, .outcome, minutes, source, hole: hole, ctf: fit.fileValue)
      return true
    }
  }

  /// Takes back all that was noted of `hole`, as if it had not been exposed.
  /// - Returns: The numbers of the notes; none if there was nothing to take back.
  @discardableResult
  public func withdraw(hole: Int, at minutes: Double, source: String) throws(InputError) -> [Int] {
    try writing { db in
      let ids = try Int.fetchAll(db, sql: "SELECT id FROM valid WHERE hole = ? ORDER BY id", arguments: [hole])
      for id in ids { try Self.insert(db, .withdrawal, minutes, source, target: id) }
      return ids
    }
  }

  /// Takes the note `id` back.
  /// - Throws: `InputError` if there is none that holds.
  public func withdraw(note id: Int, at minutes: Double, source: String) throws(InputError) {
    try writing { db in
      guard try Int.fetchOne(db, sql: "SELECT id FROM valid WHERE id = ?", arguments: [id]) != nil else {
        throw InputError(
          "there is nothing of this number to take back", at: self.url.path, found: "\(id)",
          remedy: "'quench cryo undo' lists what there is")
      }
      try Self.insert(db, .withdrawal, minutes, source, target: id)
    }
  }

  /// Notes that the session is planned in another way from now on.
  /// - Returns: The note's number.
  @discardableResult
  public func change(to settings: SessionSettings, at minutes: Double, source: String) throws(InputError) -> Int {
    try writing { db in try Self.insert(db, .settings, minutes, source, body: try Self.json(settings)) }
  }

  /// Notes that the computer's clock was ahead of the session's by so many minutes more than before.
  /// - Returns: The note's number.
  @discardableResult
  public func setClock(ahead: Double, at minutes: Double, source: String) throws(InputError) -> Int {
    try writing { db in try Self.insert(db, .clock, minutes, source, body: "\(ahead)") }
  }

  @discardableResult
  private static func expose(_ db: Database, _ hole: Int, _ minutes: Double, _ source: String) throws -> Bool {
    let known = try Int.fetchOne(
      db, sql: "SELECT id FROM valid WHERE kind = 'exposure' AND hole = ?", arguments: [hole])
    guard known == nil else { return false }
    try insert(db, .exposure, minutes, source, hole: hole)
    return true
  }

  @discardableResult
  private static func insert(
    _ db: Database, _ kind: Note.Kind, _ minutes: Double, _ source: String, hole: Int? = nil, ctf: Double? = nil,
    target: Int? = nil, body: String? = nil
  ) throws -> Int {
    try db.execute(
      sql: "INSERT INTO event (kind, hole, minutes, ctf, target, body, source) VALUES (?, ?, ?, ?, ?, ?, ?)",
      arguments: [kind.rawValue, hole, minutes, ctf, target, body, source])
    return Int(db.lastInsertedRowID)
  }

  /// Keeps the plan that was made after what it says.
  public func keep(_ plan: SessionPlan) throws(InputError) {
    try writing { db in
      try db.execute(
        sql: "INSERT OR REPLACE INTO plan VALUES (1, ?, ?)", arguments: [plan.after, try Self.json(plan)])
    }
  }
}

// MARK: - Notes of all kinds

extension AcquisitionLog {
  /// A line of the log, whether it holds or was taken back.
  public struct Note: Hashable, Sendable {
    public enum Kind: String, Hashable, Sendable { case exposure, outcome, settings, clock, withdrawal }

    public var id: Int
    public var kind: Kind
    public var hole: Int?
    /// Minutes since the session began.
    public var minutes: Double
    public var fit: CTFFit?
    /// The note that a withdrawal takes back.
    public var target: Int?
    /// Of a ``Kind/clock``: minutes by which the computer's clock was ahead.
    public var ahead: Double?
    /// Who noted it: a command or a file.
    public var source: String
    public var isWithdrawn: Bool
  }

  /// The last `count` lines of the log, in order.
  public func notes(last count: Int = .max) throws(InputError) -> [Note] {
    try reading { db in
      try Row.fetchAll(
        db,
        sql: """
          SELECT event.*, id IN (SELECT target FROM event WHERE kind = 'withdrawal') AS withdrawn
          FROM event ORDER BY id DESC LIMIT ?
          """, arguments: [Int64(clamping: count)]
      ).reversed().map { row in
        Note(
          id: try row.required("id"), kind: Note.Kind(rawValue: try row.required("kind")) ?? .withdrawal,
          hole: try row.value("hole"), minutes: try row.required("minutes"),
          fit: try row.value("ctf").flatMap(CTFFit.init(fileValue:)), target: try row.value("target"),
          ahead: try row.value("body").flatMap { Double($0 as String) }, source: try row.required("source"),
          isWithdrawn: try row.value("withdrawn") ?? false)
      }
    }
  }

  /// Grows whenever something was taken back, or settings or clock were changed: what was concluded from the log before is
  /// to be concluded anew.
  public func revision() throws(InputError) -> Int {
    try reading { db in
      try Int.fetchOne(
        db, sql: "SELECT max(id) FROM event WHERE kind IN ('settings', 'clock', 'withdrawal')") ?? 0
    }
  }

  /// Minutes since the session began, by the computer's clock and what is known of its errors.
  public func minutes(at date: Date) throws(InputError) -> Double {
    let ahead = try reading { db in
      try Double.fetchOne(db, sql: "SELECT total(body) FROM valid WHERE kind = 'clock'") ?? 0
    }
    return try settings().minutes(at: date) - ahead
  }
}
