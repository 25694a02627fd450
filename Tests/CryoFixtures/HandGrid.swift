import QuenchCryoEM

/// The hand-made grid: twelve holes, three a patch, two patches a square, one tile.
public enum HandGrid {
  public static func survey() throws -> Survey {
    let truth = [5.0, 7.0, 3.5, 4.0, 6.0, 6.1, 3.0, 9.0, 5.5, 20.0, 100_000, 2.5]
    let predicted = [5.2, 5.8, 4.1, 6.4, 5.0, 7.3, 3.2, 8.0, 5.9, 12.0, 11.0, 6.2]
    var entries: [Survey.Entry] = []
    for index in 0..<12 {
      let (square, patch, hole) = (index / 6 + 1, index / 3 % 2 + 2, index % 3 + 2)
      let name = "99jan01a_toy_00001gr_0000\(square)sq_v01_0000\(patch)hl_v01_0000\(hole)en-a"
      guard let hole = HoleName(name), let fit = CTFFit(fileValue: truth[index]) else { continue }
      var entry = Survey.Entry(hole, fit: fit)
      entry.prediction = .resolution(predicted[index])
      entries.append(entry)
    }
    return try Survey(entries, from: "hand grid")
  }

  public static func environment(
    _ minutes: MoveTable = .headMinutes, _ rewards: RewardRule = RewardRule(), budget: Double = 1e6,
    rule: BudgetRule = .reference
  ) throws -> Environment {
    try Environment(
      survey(), rules: AcquisitionRules(minutes: minutes, budget: budget, rule: rule), rewards: rewards)
  }

  public static let old = RewardRule(.oldToolRewards)
}
