import Foundation

/// The steps in which a dynamic program counts time.
///
/// Where the costs are multiples of a common step, up to thousandths of a minute or halves of a second, counting in it is
/// exact. Other costs, or a step too short for the budget, are counted in the longest step that divides the cost of a
/// hole: the charges for entering regions are then rounded up, so that every plan can be kept, or down, for a bound.
struct TimeGrid: Hashable {
  /// Minutes of a step.
  let unit: Double
  /// Steps that the budget holds.
  let budget: Int
  /// Steps of a hole.
  let hole: Int
  /// Steps that a region costs beside its parts, by level: patch, square, tile, grid.
  let charges: [Int]
  /// Whether no cost was rounded.
  let isExact: Bool

  enum Rounding { case up, down }

  /// - Parameters:
  ///   - minutes: Costs, above 0, that grow with the level.
  ///   - budget: Minutes.
  ///   - longest: Steps that there may be at most.
  ///   - rounding: Where costs are no multiples of a step.
  init(_ minutes: MoveTable, budget: Double, longest: Int, rounding: Rounding = .up) {
    let costs = minutes.values
    let exact = Self.commonUnit(costs).flatMap { budget / $0 <= Double(longest) ? $0 : nil }
    isExact = exact != nil
    unit = exact ?? minutes.hole / max(1, (Double(longest) * minutes.hole / max(budget, 1e-9)).rounded(.down))
    self.budget = max(0, Int(min(budget / unit + 1e-9, 1e9).rounded(.down)))
    hole = Int((minutes.hole / unit).rounded())
    charges = zip(costs, costs.dropFirst()).map { [unit] lower, upper in
      let steps = (upper - lower) / unit
      guard exact == nil else { return Int(steps.rounded()) }
      // What is a multiple but for the error of its arithmetic stays one.
      return Int(rounding == .up ? (steps - 1e-9).rounded(.up) : (steps + 1e-9).rounded(.down))
    }
  }

  /// The longest step of which all costs are multiples; nil where there is none among the steps that people use.
  private static func commonUnit(_ costs: [Double]) -> Double? {
    for parts in [1.0, 10, 60, 100, 120, 1000] {
      let multiples = costs.map { ($0 * parts).rounded() }
      guard zip(costs, multiples).allSatisfy({ abs($0 * parts - $1) < 1e-6 && $1 >= 1 && $1 < 1e9 }) else {
        continue
      }
      return multiples.reduce(0) { greatestCommonDivisor($0, $1) } / parts
    }
    return nil
  }

  private static func greatestCommonDivisor(_ a: Double, _ b: Double) -> Double {
    a == 0 ? b : greatestCommonDivisor(b.truncatingRemainder(dividingBy: a), a)
  }
}
