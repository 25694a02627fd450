/// A way to choose the next hole from what was seen so far.
public protocol Policy {
  /// Whether the choices depend on the budget. If not, the results of smaller budgets are the beginnings of one long
  /// episode.
  var dependsOnBudget: Bool { get }
  /// Prepares for `acquisition`, which may be under way already, as after a restart.
  mutating func begin(_ acquisition: Acquisition)
  /// The hole to expose next, unvisited; nil when the policy has none to propose. `acquisition` is the one that the
  /// policy began with, or what became of it.
  mutating func next(_ acquisition: Acquisition) -> Int?
}

extension Policy {
  public var dependsOnBudget: Bool { false }
  public mutating func begin(_ acquisition: Acquisition) {}
}
