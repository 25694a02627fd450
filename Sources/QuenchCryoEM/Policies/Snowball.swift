/// Stays in a patch while it is good: outcomes alone, no predictions.
///
/// In the current patch it visits holes in order while fewer than ``patience`` outcomes in a row were bad; then it closes
/// the patch and goes to the first open one after it in the same square, else tile, else grid, else anywhere. When
/// all are closed the remaining holes follow in order. (Named in eLife 88640 without a definition; the rules are ours.)
public struct Snowball: Policy, Sendable {
  /// Bad outcomes in a row that close a patch.
  public var patience = 3

  private var isClosed: [Bool] = []
  private var patch = 0
  private var badOutcomes = 0
  private var seen = 0

  public init(patience: Int = 3) { self.patience = patience }

  public mutating func begin(_ acquisition: Acquisition) {
    isClosed = Array(repeating: false, count: acquisition.survey.patches.count)
    patch = acquisition.survey.holes[acquisition.visits[0]].patch
    badOutcomes = 0
    seen = 0
  }

  public mutating func next(_ acquisition: Acquisition) -> Int? {
    let survey = acquisition.survey
    while seen < acquisition.visits.count {
      let hole = acquisition.visits[seen]
      if survey.holes[hole].patch != patch {
        isClosed[patch] = true
        patch = survey.holes[hole].patch
        badOutcomes = 0
      }
      badOutcomes = acquisition.isGood(hole) == false ? badOutcomes + 1 : 0
      seen += 1
    }
    func unvisited(_ patch: Int) -> Int? { survey.patches[patch].holes.first { !acquisition.isVisited[$0] } }
    if !isClosed[patch], badOutcomes < patience, let hole = unvisited(patch) { return hole }
    isClosed[patch] = true
    let here = survey.patches[patch].holes.lowerBound
    let count = survey.patches.count
    for level in [Survey.Level.square, .tile, .grid, nil] {
      for step in 1..<max(count, 2) {
        let other = (patch + step) % count
        guard !isClosed[other] else { continue }
        let there = survey.patches[other].holes.lowerBound
        if let level, survey.region(of: here, level) != survey.region(of: there, level) { continue }
        if let hole = unvisited(other) { return hole }
        isClosed[other] = true
      }
    }
    return acquisition.isVisited.firstIndex(of: false)
  }
}
