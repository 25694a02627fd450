import QuenchSupport

/// A policy whose order stands before the first exposure: the baselines that do not look at outcomes.
public struct FixedOrder: Policy, Sendable {
  private let order: @Sendable (Acquisition) -> [Int]
  private var holes: [Int] = []
  private var position = 0

  /// - Parameter order: The holes from first to last; those that were visited already are passed over.
  public init(_ order: @escaping @Sendable (Acquisition) -> [Int]) { self.order = order }

  public mutating func begin(_ acquisition: Acquisition) {
    holes = order(acquisition)
    position = 0
  }

  public mutating func next(_ acquisition: Acquisition) -> Int? {
    while position < holes.count, acquisition.isVisited[holes[position]] { position += 1 }
    return position < holes.count ? holes[position] : nil
  }

  /// Every order with the same probability; the same one for the same seed and start hole.
  public static func random(seed: UInt64) -> FixedOrder {
    FixedOrder { acquisition in
      var generator = SplitMix64(seed, UInt64(acquisition.visits[0]))
      return acquisition.survey.holes.indices.shuffled(using: &generator)
    }
  }

  /// The order of the survey, from the start hole on and round its end.
  public static let serial = FixedOrder { acquisition in
    let (start, count) = (acquisition.visits[0], acquisition.survey.count)
    return (1..<count).map { (start + $0) % count }
  }

  /// The best prediction first; of equal ones the first in the survey's order. Holes without a prediction come last.
  public static let predictRank = FixedOrder { acquisition in
    let ranks = acquisition.survey.holes.map { $0.prediction?.rank ?? .infinity }
    return ranks.indices.sorted { (ranks[$0], $0) < (ranks[$1], $1) }
  }

  /// What a greedy order sorts first.
  public enum GreedySort: Sendable {
    /// Patches by how many of their holes are predicted good.
    case patch
    /// Tiles by how many of their holes are predicted good, and patches so within a tile.
    case tile
  }

  /// The predicted-good holes, patch by patch: the start hole's patch first, then those with the most predicted-good
  /// holes (the first by name of equals). It ends when no predicted-good hole is left.
  public static func greedy(_ sort: GreedySort) -> FixedOrder {
    FixedOrder { acquisition in
      let survey = acquisition.survey
      let start = survey.holes[acquisition.visits[0]].patch
      let isGood = survey.holes.map { $0.prediction?.isGood(threshold: acquisition.rules.threshold) ?? false }
      let values = survey.patches.map { $0.holes.count { isGood[$0] } }
      let tileValues = survey.tiles.map { $0.holes.count { isGood[$0] } }
      let keys = survey.patches.indices.map { patch -> (first: Int, tile: Int, value: Int) in
        let tile = survey.region(of: survey.patches[patch].holes.lowerBound, .tile)
        return (patch == start ? 0 : 1, sort == .tile ? tile : 0, -values[patch])
      }
      let order = survey.patches.indices.sorted { a, b in
        let (left, right) = (keys[a], keys[b])
        if left.first != right.first { return left.first < right.first }
        if left.tile != right.tile {
          return (-tileValues[left.tile], left.tile) < (-tileValues[right.tile], right.tile)
        }
        return (left.value, a) < (right.value, b)
      }
      return order.flatMap { survey.patches[$0].holes.filter { isGood[$0] } }
    }
  }
}
