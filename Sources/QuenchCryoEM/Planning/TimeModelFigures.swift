import QuenchReporting

/// A time model as figures and as a table.
extension TimeModel {
  /// The figures of one kind of move.
  public struct MoveFigures: Codable, Hashable, Sendable {
    /// Gaps that are no breaks.
    public var n: Int
    /// Seconds; NaN where there are no gaps.
    public var medianS: Double
    public var meanS: Double
    public var p10S: Double
    public var p90S: Double
    public var longStops: Int
    public var costMin: Double
    /// With the mean share of long stops.
    public var costWithStopsMin: Double
    /// Whether there were too few gaps, and the cost is the preset's.
    public var fromPreset: Bool

    private enum CodingKeys: String, CodingKey {
      case n
      case medianS = "median_s"
      case meanS = "mean_s"
      case p10S = "p10_s"
      case p90S = "p90_s"
      case longStops
      case costMin = "cost_min"
      case costWithStopsMin = "cost_with_stops_min"
      case fromPreset
    }
  }

  /// The figures of each kind of move, smallest first.
  public var figures: [(move: Move, figures: MoveFigures)] {
    let (plain, full) = (minutes(), minutes(includesStops: true))
    return gaps.map { gaps in
      let figures = MoveFigures(
        n: gaps.count, medianS: gaps.median, meanS: gaps.count > 0 ? gaps.mean : .nan, p10S: gaps.quantile(0.1),
        p90S: gaps.quantile(0.9), longStops: gaps.longStops.count, costMin: plain[gaps.move],
        costWithStopsMin: full[gaps.move], fromPreset: gaps.count < Self.fewestGaps)
      return (gaps.move, figures)
    }
  }

  /// A row a kind of move.
  public var table: Table {
    func text(_ value: Double) -> String { value.isFinite ? NumberText.plain(value, digits: 4) : "–" }
    return Table(
      "",
      columns: [
        .text("move to another"), .number("n"), .number("median s"), .number("mean s"), .number("p10 s"),
        .number("p90 s"), .number("long stops"), .number("cost min"), .text("from")
      ],
      rows: figures.map { move, figures in
        [
          "\(move)", "\(Wording.count(Double(figures.n)))", "\(text(figures.medianS))", "\(text(figures.meanS))",
          "\(text(figures.p10S))", "\(text(figures.p90S))", "\(figures.longStops)",
          "\(NumberText.fixed(figures.costMin, decimals: 2))", "\(figures.fromPreset ? "preset" : "median")"
        ]
      })
  }
}
