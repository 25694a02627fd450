import Foundation
import GRDB
import QuenchSupport

/// The book of a black box's queries, in an SQLite file: what was asked, how much may still be asked, and the answers
/// that were paid for.
///
/// A query counts, image by image, from before it is sent: a crash can neither lose a count nor exceed the budget.
public final class QueryLedger {
  /// What images are asked for.
  public enum Purpose: String, CaseIterable, Sendable {
    /// The answer for a clean image, which is what a defense keeps.
    case target
    /// The value at the point of an estimate.
    case base
    /// The values round it.
    case perturbation
    case evaluation, certification
    /// What the model's answers are like, at the start.
    case probe
    /// Sent again after an error: the owner of the model counts those too.
    case retry
  }

  private let database: DatabasePool
  private let path: String
  /// The most images that may be asked for in all; nil: any number.
  public let budget: Int?

  /// How many answers are kept for a run that is resumed from its last checkpoint.
  private static let keptAnswers = 20_000

  /// Opens the book at `url`, or begins it.
  /// - Parameters:
  ///   - url: The file.
  ///   - model: The black box's version: a book belongs to one model.
  ///   - budget: The most images in all, those of earlier runs with this book included; nil: any number.
  /// - Throws: `InputError` if the file is no ledger, or that of another model.
  public convenience init(at url: URL, model: String, budget: Int?) throws {
    try self.init(at: url, model: model, budget: budget, mostPages: nil)
  }

  /// - Parameter mostPages: Pages after which the disk is taken as full, for tests.
  init(at url: URL, model: String, budget: Int?, mostPages: Int?) throws {
    var configuration = Configuration()
    configuration.busyMode = .timeout(30)
    configuration.prepareDatabase { db in
      try db.execute(sql: "PRAGMA synchronous = FULL")
      if let mostPages { try db.execute(sql: "PRAGMA max_page_count = \(mostPages)") }
    }
    let database: DatabasePool
    let owner: String?
    do {
      database = try DatabasePool(path: url.path, configuration: configuration)
      owner = try database.write { db -> String? in
        try db.execute(
          sql: """
            CREATE TABLE IF NOT EXISTS model (id INTEGER PRIMARY KEY CHECK (id = 1), version TEXT NOT NULL);
            CREATE TABLE IF NOT EXISTS queries (purpose TEXT PRIMARY KEY, images INTEGER NOT NULL,
              requests INTEGER NOT NULL, cached INTEGER NOT NULL);
            CREATE TABLE IF NOT EXISTS answers (id INTEGER PRIMARY KEY AUTOINCREMENT, hash TEXT NOT NULL UNIQUE,
              answer BLOB NOT NULL);
            """)
        try db.execute(sql: "INSERT OR IGNORE INTO model (id, version) VALUES (1, ?)", arguments: [model])
        return try String.fetchOne(db, sql: "SELECT version FROM model")
      }
    } catch { throw Self.problem(error, at: url.path) }
    guard owner == model else {
      throw InputError(
        "the ledger is that of another model", at: url.path, expected: "model \(model)",
        found: "model \(owner ?? "none")", remedy: "name another file for the ledger")
    }
    self.database = database
    path = url.path
    self.budget = budget
    if let budget, try total >= budget {
      throw Self.spent(budget, try total, path)
    }
  }

  /// Images asked for in all, cached answers left out.
  public var total: Int {
    get throws {
      try read { try Int.fetchOne($0, sql: "SELECT COALESCE(SUM(images), 0) FROM queries") ?? 0 }
    }
  }

  /// Images asked for by purpose; those answered from the book are not among them.
  public var counts: [Purpose: Int] {
    get throws { try column("images") }
  }

  /// Images answered from the book.
  public var cached: [Purpose: Int] {
    get throws { try column("cached") }
  }

  private func column(_ name: String) throws -> [Purpose: Int] {
    try read { db in
      let rows = try Row.fetchAll(db, sql: "SELECT purpose, \(name) AS value FROM queries")
      return rows.reduce(into: [:]) { counts, row in
        if let purpose = Purpose(rawValue: row["purpose"]) { counts[purpose] = row["value"] }
      }
    }
  }

  /// Enters a request that is about to be sent.
  /// - Throws: `InputError`, with nothing entered, if the budget does not allow it.
  func enter(_ images: Int, for purpose: Purpose) throws {
    let (budget, path) = (budget, path)
    try write { db in
      let total = try Int.fetchOne(db, sql: "SELECT COALESCE(SUM(images), 0) FROM queries") ?? 0
      if let budget, total + images > budget { throw Self.spent(budget, total, path) }
      try Self.add(db, purpose, "images", images)
    }
  }

  /// Takes back images that surely were not evaluated: they were not sent, or refused.
  func retract(_ images: Int, for purpose: Purpose) throws {
    try write { db in
      try db.execute(
        sql: "UPDATE queries SET images = images - ?, requests = requests - 1 WHERE purpose = ?",
        arguments: [images, purpose.rawValue])
    }
  }

  private static func add(_ db: Database, _ purpose: Purpose, _ column: String, _ images: Int) throws {
    try db.execute(
      sql: "INSERT OR IGNORE INTO queries VALUES (?, 0, 0, 0)", arguments: [purpose.rawValue])
    try db.execute(
      sql: "UPDATE queries SET \(column) = \(column) + ?, requests = requests + 1 WHERE purpose = ?",
      arguments: [images, purpose.rawValue])
  }

  private static func spent(_ budget: Int, _ total: Int, _ path: String) -> InputError {
    InputError(
      "the query budget is spent", at: path, expected: "at most \(budget) images in all",
      found: "\(total) asked for",
      remedy: "raise query-budget and resume the run: what was learned so far is kept")
  }

  /// The answer to a request that was paid for before.
  func answer(to hash: String, images: Int, for purpose: Purpose) throws -> Data? {
    try write { db in
      guard let answer = try Data.fetchOne(db, sql: "SELECT answer FROM answers WHERE hash = ?", arguments: [hash])
      else { return nil }
      try Self.add(db, purpose, "cached", images)
      return answer
    }
  }

  /// Keeps an answer; old ones make room.
  func keep(_ answer: Data, to hash: String) throws {
    try write { db in
      try db.execute(
        sql: "INSERT OR REPLACE INTO answers (hash, answer) VALUES (?, ?)", arguments: [hash, answer])
      try db.execute(
        sql: "DELETE FROM answers WHERE id <= ?", arguments: [db.lastInsertedRowID - Int64(Self.keptAnswers)])
    }
  }

  // MARK: - The file

  private func write<Value>(_ work: (Database) throws -> Value) throws -> Value {
    do { return try database.write(work) } catch { throw Self.problem(error, at: path) }
  }

  private func read<Value>(_ work: (Database) throws -> Value) throws -> Value {
    do { return try database.read(work) } catch { throw Self.problem(error, at: path) }
  }

  /// What the database's error means for the user.
  private static func problem(_ error: any Error, at path: String) -> any Error {
    guard let error = error as? DatabaseError else { return error }
    let resumes = "then resume the run: what was answered is kept"
    return switch error.resultCode {
    case .SQLITE_FULL:
      InputError(
        "the disk is full, and no query is sent that cannot be entered", at: path,
        remedy: "make room, \(resumes)")
    case .SQLITE_IOERR:
      InputError(
        "the ledger cannot be read or written: the disk or the network drive fails", at: path,
        found: "\(error.message ?? "no reason")", remedy: "see that the disk works and has room, \(resumes)")
    case .SQLITE_READONLY, .SQLITE_CANTOPEN, .SQLITE_PERM, .SQLITE_AUTH:
      InputError(
        "the ledger cannot be written", at: path, found: "\(error.message ?? "no reason")",
        remedy: "make the file and its folder writable, or name another for the ledger")
    case .SQLITE_BUSY, .SQLITE_LOCKED:
      InputError("another process holds the ledger", at: path, remedy: "end it, \(resumes)")
    default:
      InputError(
        "this is no query ledger, or it is damaged", at: path,
        found: "\(error.message ?? "\(error.resultCode)")", remedy: "name another file for the ledger")
    }
  }
}
