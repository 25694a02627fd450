import Foundation
import QuenchReporting
import QuenchSupport

/// The book of the queries that a run asks, and what they cost.
public struct LedgerSettings: InlineGroup, Hashable, Sendable {
  /// The most images that the model may be asked about in all; nil: any number.
  public var queryBudget: Int?
  /// The file of the ``QueryLedger``; nil: `queries.sqlite` in the run's folder.
  public var ledger: String?
  /// What 1,000 images cost; nil: nobody knows.
  public var price: Double?

  enum CodingKeys: String, CodingKey {
    case queryBudget, ledger
    case price = "price-per-1000"
  }

  /// The settings' keys: no result depends on them.
  static let revisable: Set<String> = ["query-budget", "ledger", "price-per-1000"]

  public init() {}

  func validate() throws(InputError) {
    try requireSetting(queryBudget ?? 1 >= 1, "query-budget", "at least 1", queryBudget ?? 0)
    try requireSetting(price ?? 0 >= 0, "price-per-1000", "0 or more", price ?? 0)
  }

  /// The model, with every query entered in the ledger, which rank 0 alone keeps.
  /// - Throws: `InputError` if the ledger cannot be used, or its budget is spent.
  func meter(
    _ model: any BlackBox, _ box: BlackBoxSettings, in folder: RunFolder, rank: Int = 0
  ) throws -> MeteredBlackBox {
    let file = ledger.map { URL(filePath: $0) } ?? folder.artefact("queries.sqlite")
    let book = try rank == 0 ? QueryLedger(at: file, model: model.version, budget: queryBudget) : nil
    return MeteredBlackBox(model, ledger: book, batchSize: box.queryBatch, patience: box.patience)
  }
}

/// What a ledger holds at the end of a run.
public struct QueryCosts: InlineGroup, Hashable, Sendable {
  /// Images that were asked about, those sent again included.
  public var ledgerQueries: Int
  /// Images sent again.
  public var retries: Int
  /// Images answered from the ledger.
  public var cached: Int
  public var price: Double?
  /// Images that were asked about, by purpose.
  public var purposes: Purposes

  /// `ledger_target`, and so on: for each purpose that occurred.
  public struct Purposes: InlineGroup, Hashable, Sendable {
    public var counts: [QueryLedger.Purpose: Int]

    init(_ counts: [QueryLedger.Purpose: Int]) { self.counts = counts }

    private static func key(_ purpose: QueryLedger.Purpose) -> FigureKey { FigureKey("ledger_\(purpose.rawValue)") }

    public init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: FigureKey.self)
      counts = [:]
      for purpose in QueryLedger.Purpose.allCases {
        counts[purpose] = try container.decodeIfPresent(Int.self, forKey: Self.key(purpose))
      }
    }

    public func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: FigureKey.self)
      for (purpose, count) in counts.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
        try container.encode(count, forKey: Self.key(purpose))
      }
    }
  }

  /// - Parameters:
  ///   - ledger: Nil: nothing was asked.
  ///   - price: Of 1,000 images.
  init(_ ledger: QueryLedger?, price: Double?) throws {
    let counts = try ledger?.counts ?? [:]
    let total = counts.values.reduce(0, +)
    ledgerQueries = total
    retries = counts[.retry] ?? 0
    cached = try ledger?.cached.values.reduce(0, +) ?? 0
    self.price = price.map { $0 * Double(total) / 1000 }
    purposes = Purposes(counts)
  }

  /// One line about them.
  var text: String {
    "\(Wording.count(Double(ledgerQueries))) in the ledger, of which \(Wording.count(Double(retries))) sent again; "
      + "\(Wording.count(Double(cached))) answered from it"
      + (price.map { ", price \(NumberText.plain($0))" } ?? "")
  }

  var keyFigure: Report.KeyFigure {
    .init(
      "In the ledger", Wording.count(Double(ledgerQueries)),
      detail: "\(Wording.count(Double(retries))) sent again, \(Wording.count(Double(cached))) answered from it"
        + (price.map { "; price \(NumberText.plain($0))" } ?? ""))
  }
}
