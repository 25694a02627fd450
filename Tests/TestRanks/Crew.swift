import Foundation
import QuenchSupport
import QuenchTorch

/// Ranks as threads of this process, which find each other as processes do.
public enum Crew {
  /// A rank did not get as far as a result.
  public struct Lost: Error {
    public let rank: Int
  }

  /// - Parameters:
  ///   - size: How many ranks.
  ///   - work: What each does.
  /// - Returns: Their results, in the order of the ranks.
  /// - Throws: ``Lost``.
  public static func run<Result: Sendable>(
    _ size: Int, _ work: @escaping @Sendable (World) -> Result
  ) async throws -> [Result] {
    let store = try RankStore(host: "127.0.0.1", port: 0, serves: true, prefix: "", seconds: 60)
    let results = await withTaskGroup(of: (Int, Result?).self) { group in
      for rank in 0..<size {
        var place = RankPlace(rank: rank, size: size, address: "127.0.0.1", port: store.port)
        place.isServed = true
        group.addTask { [place] in
          await withCheckedContinuation { continuation in
            let thread = Thread {
              let world = try? World(joining: place) { fatalError("\($0)") }
              let result = world.map(work)
              world?.leave()
              continuation.resume(returning: (rank, result))
            }
            thread.stackSize = 8 << 20
            thread.start()
          }
        }
      }
      return await group.reduce(into: [Int: Result]()) { $0[$1.0] = $1.1 }
    }
    withExtendedLifetime(store) {}
    return try (0..<size).map { rank in
      guard let result = results[rank] else { throw Lost(rank: rank) }
      return result
    }
  }
}
