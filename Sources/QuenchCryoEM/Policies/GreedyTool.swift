/// The published greedy baseline, by the exact rules of the first code's tool (cryoRL, commit a0561e1), whose numbers
/// it reproduces. It differs from the environment: the first hole costs 2 minutes and counts, costs and rewards are
/// the old ones, and it stops before counting the visit that reaches the budget.
public struct GreedyTool: Sendable {
  public enum Sort: Sendable {
    /// Patches by how many predicted-good holes they have.
    case patch
    /// Tiles by that first, which the tool calls grids; the published rows.
    case grid
  }

  private let survey: Survey
  private let threshold: Double
  /// Patches in the order of the list, with their predicted-good holes in the order of the prediction file.
  private let list: [(patch: Int, holes: [Int])]

  /// - Parameters:
  ///   - survey: With measurements and predictions.
  ///   - order: The survey's holes in the order of the prediction file.
  ///   - sort: What is sorted first.
  ///   - threshold: Å up to which a hole is good.
  ///   - isPredictedGood: The predictor's call, which may be replaced by the truth.
  public init(
    _ survey: Survey, order: [Int], sort: Sort, threshold: Double, isPredictedGood: (Hole) -> Bool
  ) {
    self.survey = survey
    self.threshold = threshold
    var holes = [[Int]](repeating: [], count: survey.patches.count)
    for hole in order where isPredictedGood(survey.holes[hole]) { holes[survey.holes[hole].patch].append(hole) }
    let tiles = survey.patches.map { survey.region(of: $0.holes.lowerBound, .tile) }
    var tileValues = [Int](repeating: 0, count: survey.tiles.count)
    for (patch, found) in holes.enumerated() { tileValues[tiles[patch]] += found.count }
    let order = survey.patches.indices.sorted { a, b in
      if sort == .grid, tiles[a] != tiles[b] {
        return (-tileValues[tiles[a]], tiles[a]) < (-tileValues[tiles[b]], tiles[b])
      }
      return (-holes[a].count, a) < (-holes[b].count, b)
    }
    list = order.map { ($0, holes[$0]) }
  }

  /// What it collects in `budget` minutes when entries 0 and `first` of the list change places.
  public func run(startingWith first: Int, budget: Double) -> EpisodeResult {
    var list = list
    list.swapAt(0, first)
    var result = EpisodeResult(good: 0, visits: 0, minutes: 0, reward: 0)
    var previous: Int?
    for hole in list.lazy.flatMap(\.holes) {
      let move = previous.map { survey.move(from: $0, to: hole) } ?? .hole
      result.minutes += MoveTable.oldMinutes[move]
      guard result.minutes < budget else { break }
      result.visits += 1
      if survey.holes[hole].fit.isGood(threshold: threshold) {
        result.good += 1
        result.reward += MoveTable.oldToolRewards[move]
      }
      previous = hole
    }
    return result
  }
}
