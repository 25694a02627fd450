import Foundation
import QuenchSupport
import QuenchTorch

/// The rows of images that ranks certify side by side, put together in the order of the images.
///
/// The ranks deal the images out among themselves one by one, and hand in what they have after each so many rows.
struct RowsInTurns {
  /// The images that this rank is to certify, in order.
  let own: [Int]
  private let world: World
  private let rowsPerTurn: Int
  private var turnsLeft: Int
  private var ready: [CertifiedRow] = []
  private let take: (CertifiedRow) throws -> Void

  /// What a rank hands in.
  private struct Turn: Codable {
    var rows: [CertifiedRow]
    var isInterrupted: Bool
  }

  /// - Parameter take: Given every rank's rows, in the order of the images.
  init(_ world: World, of indices: some Collection<Int>, _ take: @escaping (CertifiedRow) throws -> Void) {
    (self.world, self.take) = (world, take)
    // Images differ in how many noisy copies they take: several a turn, so that ranks do not wait for each other's every one.
    rowsPerTurn = world.size > 1 ? 8 : 1
    let all = Array(indices)
    own = stride(from: world.rank, to: all.count, by: world.size).map { all[$0] }
    let most = (all.count + world.size - 1) / world.size
    turnsLeft = (most + rowsPerTurn - 1) / rowsPerTurn
  }

  mutating func add(_ row: CertifiedRow) throws {
    ready.append(row)
    if ready.count == rowsPerTurn { try handIn() }
  }

  /// Hands in what is left; all ranks come to as many turns.
  mutating func finish() throws { while turnsLeft > 0 { try handIn() } }

  /// - Parameter isInterrupted: Whether the user asked this rank to leave.
  /// - Throws: `Interrupted` if so, or if another rank was asked; what `take` throws.
  mutating func handIn(isInterrupted: Bool = false) throws {
    let own = try JSONEncoder().encode(Turn(rows: ready, isInterrupted: isInterrupted))
    let turns = try world.gather(own).map { try JSONDecoder().decode(Turn.self, from: $0) }
    ready = []
    turnsLeft -= 1
    deal: for position in 0..<rowsPerTurn {
      for turn in turns {
        // Behind a row that is missing nothing can follow.
        guard position < turn.rows.count else { break deal }
        try take(turn.rows[position])
      }
    }
    if turns.contains(where: \.isInterrupted) { throw Interrupted(folder: nil) }
  }
}
