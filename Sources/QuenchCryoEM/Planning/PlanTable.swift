import Foundation

/// A plan as a table that ``PlanFile`` reads: a row a hole, in the order of exposure.
public struct PlanTable: Sendable {
  public private(set) var csv =
    "order,name,tile,square,patch,predicted_ctf,p_good,move,cost_min,cum_min,cum_expected_good\n"

  /// - Parameters:
  ///   - plan: The order.
  ///   - survey: The holes.
  ///   - probabilities: That each of them is good.
  ///   - start: The hole that the plan begins at.
  ///   - minutes: Costs of moves. Travel that depends on places is spread over the moves in proportion to these.
  public init(_ plan: Plan, _ survey: Survey, _ probabilities: [Double], from start: Int, minutes: MoveTable) {
    let moves = zip([start] + plan.holes, plan.holes).map { survey.move(from: $0, to: $1) }
    let scale = plan.minutes / max(moves.reduce(0) { $0 + minutes[$1] }, 1e-9)
    var (elapsed, good) = (0.0, 0.0)
    for (index, (hole, move)) in zip(plan.holes, moves).enumerated() {
      let entry = survey.entry(hole)
      let cost = minutes[move] * scale
      elapsed += cost
      good += probabilities[hole]
      let names = [entry.name, entry.tile, entry.square, entry.patch]
        .map { DelimitedFile.field($0, separatedBy: ",") }
      let prediction = survey.holes[hole].prediction?.resolution.map { Self.decimal($0) } ?? ""
      let numbers = [cost, elapsed, good].map { Self.decimal($0) }
      csv +=
        (["\(index + 1)"] + names + [prediction, Self.decimal(probabilities[hole]), "\(move)"] + numbers)
        .joined(separator: ",") + "\n"
    }
  }

  private static func decimal(_ value: Double) -> String { "\((value * 1e4).rounded() / 1e4)" }
}
