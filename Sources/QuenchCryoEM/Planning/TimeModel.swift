import QuenchSupport

/// What moves really take, from the time stamps of a session.
public struct TimeModel: Hashable, Sendable {
  /// Gaps between consecutive exposures that one kind of move explains.
  public struct Gaps: Hashable, Sendable {
    public var move: Move
    /// All of them, in seconds, ascending.
    public var seconds: [Int]

    /// Those that are no breaks, ascending: below ``TimeModel/longestGap``.
    public var moves: [Int] { Array(seconds.prefix { $0 < TimeModel.longestGap }) }
    /// How many are no breaks.
    public var count: Int { moves.count }
    /// The middle of those that are no breaks, or the mean of the middle two.
    public var median: Double {
      let moves = moves
      guard !moves.isEmpty else { return .nan }
      return Double(moves[(moves.count - 1) / 2] + moves[moves.count / 2]) / 2
    }
    /// The mean of those that are no breaks.
    public var mean: Double { Double(moves.reduce(0, +)) / Double(count) }
    /// The one at place ⌊q (n - 1)⌋ of all.
    public func quantile(_ q: Double) -> Double {
      seconds.isEmpty ? .nan : Double(seconds[Int((q * Double(seconds.count - 1)).rounded(.down))])
    }
    /// Moves over twice the median: stops for service that come with the move now and then.
    public var longStops: [Int] {
      let median = median
      return moves.filter { Double($0) > 2 * median }
    }
  }

  /// Seconds from which a gap is a break and no move.
  public static let longestGap = 20 * 60
  /// With fewer gaps of a kind the preset stands in.
  public static let fewestGaps = 5

  /// By kind of move, smallest first.
  public var gaps: [Gaps] = []
  /// Gaps that are no moves.
  public struct Breaks: Hashable, Sendable {
    public var count = 0
    public var seconds = 0
  }

  public var breaks = Breaks()
  /// Seconds from the raw exposure to its aligned sum, which is when the CTF is known: the median.
  public var feedbackDelay: Double?

  /// - Throws: `InputError` if there are not two exposures of Leginon names.
  public init(_ file: TimestampFile, from location: String) throws(InputError) {
    var found: [Move: [Int]] = [:]
    var previous: (name: HoleName, seconds: Int)?
    var raw: [String: Int] = [:]
    var delays: [Int] = []
    for entry in file.entries {
      guard let name = HoleName(entry.image) else { continue }
      if name.isAligned {
        if let start = raw[String(name.hole.dropLast(2))] { delays.append(entry.seconds - start) }
        continue
      }
      raw[name.hole] = entry.seconds
      if let previous {
        let gap = entry.seconds - previous.seconds
        if gap >= Self.longestGap {
          breaks.count += 1
          breaks.seconds += gap
        }
        if gap >= 0 { found[Self.move(from: previous.name, to: name), default: []].append(gap) }
      }
      previous = (name, entry.seconds)
    }
    guard !found.isEmpty else {
      throw InputError(
        "the time stamps show no two exposures in a row", at: location,
        expected: "names such as label_00001gr_00001sq_00001hl_00001en")
    }
    gaps = Move.allCases.map { Gaps(move: $0, seconds: (found[$0] ?? []).sorted()) }
    delays.sort()
    feedbackDelay = delays.isEmpty ? nil : Double(delays[(delays.count - 1) / 2])
  }

  private static func move(from a: HoleName, to b: HoleName) -> Move {
    if a.patch == b.patch { return .hole }
    if a.square == b.square { return .patch }
    if a.tile == b.tile { return .square }
    return a.grid == b.grid ? .tile : .grid
  }

  /// Medians in minutes, the preset's where there were fewer than ``fewestGaps``; none smaller than the one before it.
  /// - Parameters:
  ///   - preset: What stands in.
  ///   - includesStops: Whether the long stops' mean share is added to patch changes.
  public func minutes(preset: MoveTable = .headMinutes, includesStops: Bool = false) -> MoveTable {
    var table = preset
    var least = 0.0
    for gaps in gaps {
      var minutes = gaps.count < Self.fewestGaps ? preset[gaps.move] : gaps.median / 60
      if includesStops, gaps.move == .patch, gaps.count >= Self.fewestGaps {
        let excess = gaps.longStops.reduce(0) { $0 + Double($1) - gaps.median }
        minutes += excess / Double(gaps.count) / 60
      }
      table[gaps.move] = max(minutes, least)
      least = table[gaps.move]
    }
    return table
  }
}
