import QuenchSupport

/// How far the microscope goes from one hole to the next, named after the largest thing that changes.
public enum Move: Int, CaseIterable, Hashable, Sendable {
  /// To another hole of the same patch.
  case hole
  /// To another patch of the same square.
  case patch
  /// To another square of the same tile.
  case square
  /// To another tile of the same grid.
  case tile
  /// To another grid, which means an exchange of specimens.
  case grid
}

extension Survey {
  /// The move from hole `a` to hole `b`.
  @inline(__always)
  public func move(from a: Int, to b: Int) -> Move {
    if patchOfHole[a] == patchOfHole[b] { return .hole }
    if squareOfHole[a] == squareOfHole[b] { return .patch }
    if tileOfHole[a] == tileOfHole[b] { return .square }
    return gridOfHole[a] == gridOfHole[b] ? .tile : .grid
  }
}

/// A number for each kind of move: minutes or rewards. Totals, not added up over levels.
public struct MoveTable: Hashable, Sendable {
  public var hole: Double
  public var patch: Double
  public var square: Double
  public var tile: Double
  public var grid: Double

  /// - Parameters:
  ///   - hole: For another hole of the patch.
  ///   - patch: For another patch of the square.
  ///   - square: For another square of the tile.
  ///   - tile: For another tile of the grid.
  ///   - grid: For another grid; as for a tile unless given.
  public init(_ hole: Double, _ patch: Double, _ square: Double, _ tile: Double, grid: Double? = nil) {
    self.hole = hole
    self.patch = patch
    self.square = square
    self.tile = tile
    self.grid = grid ?? tile
  }

  public subscript(move: Move) -> Double {
    @inline(__always)
    get {
      switch move {
      case .hole: hole
      case .patch: patch
      case .square: square
      case .tile: tile
      case .grid: grid
      }
    }
    set {
      switch move {
      case .hole: hole = newValue
      case .patch: patch = newValue
      case .square: square = newValue
      case .tile: tile = newValue
      case .grid: grid = newValue
      }
    }
  }

  /// The five numbers, from hole to grid.
  public var values: [Double] { Move.allCases.map { self[$0] } }

  /// Minutes by move in the newest published code (cryoRL, 2022-09); its grids are all one, so the exchange is ours.
  public static let headMinutes = MoveTable(1, 2, 6, 8, grid: 20)
  /// Minutes by move in the first published code (2022-06), behind the figures of arXiv 2204.07543.
  public static let oldMinutes = MoveTable(2, 5, 10, 20, grid: 40)
  /// Rewards of a good hole with ``headMinutes``: exp(-0.1 (minutes - 1)) rounded to two places.
  public static let headRewards = MoveTable(1, 0.90, 0.61, 0.50, grid: 0.15)
  /// Rewards of the first code's training environment.
  public static let oldRewards = MoveTable(1, 0.57, 0.46, 0.09)
  /// Rewards of the first code's greedy tool.
  public static let oldToolRewards = MoveTable(1, 0.57, 0.23, 0.09)
}

/// When a visit that crosses the budget still counts.
public enum BudgetRule: String, CaseIterable, Hashable, Sendable {
  /// The visit that crosses the budget counts and ends the episode: for parity with published figures.
  case reference = "R"
  /// A visit counts only if it ends within the budget.
  case strict = "S"
}

/// What an acquisition is measured by.
public struct AcquisitionRules: Hashable, Sendable {
  /// What moves cost, the exposure at their end included, in minutes.
  public var minutes = MoveTable.headMinutes
  /// Holes fitted to this resolution in Å, or better, are good.
  public var threshold = 6.0
  /// Minutes at the microscope.
  public var budget = 480.0
  public var rule = BudgetRule.strict

  public init(
    minutes: MoveTable = .headMinutes, threshold: Double = 6, budget: Double = 480, rule: BudgetRule = .strict
  ) {
    self.minutes = minutes
    self.threshold = threshold
    self.budget = budget
    self.rule = rule
  }

  /// - Throws: `InputError` if a number makes no sense: costs that are not above 0 or do not grow with the distance,
  ///   a budget or threshold that is not above 0.
  public func validate() throws(InputError) {
    let minutes = self.minutes.values
    guard minutes.allSatisfy({ $0 > 0 && $0.isFinite }), zip(minutes, minutes.dropFirst()).allSatisfy({ $0 <= $1 })
    else {
      throw InputError(
        "the costs of moves make no sense", at: "costs",
        expected: "minutes above 0 for hole, patch, square and tile, none smaller than the one before",
        found: minutes.map { "\($0)" }.joined(separator: ","))
    }
    guard budget > 0, budget.isFinite else {
      throw InputError("there is no time", at: "minutes", expected: "minutes above 0", found: "\(budget)")
    }
    guard threshold > 0, threshold < CTFFit.clip else {
      throw InputError(
        "no useful threshold", at: "threshold", expected: "Å above 0 and below \(Int(CTFFit.clip))",
        found: "\(threshold)")
    }
  }
}
