/// The features of one episode: for each of the last four frames what it says of every patch, square and tile, kept up
/// to date with each visit. Nothing of the size of holes times features is stored; a hole's observation is put together
/// when it is asked for.
public struct FeatureFrames: Sendable {
  public let encoder: FeatureEncoder
  /// What is counted in a region.
  struct Counts: Sendable {
    var bins: (Double, Double, Double, Double, Double) = (0, 0, 0, 0, 0)
    var unvisited = 0.0
    var unvisitedLow = 0.0
    var visited = 0.0
    var visitedLow = 0.0
    /// Visited holes that were measured good.
    var measuredLow = 0.0
  }

  /// One frame: the regions' numbers, and where the microscope stood.
  package struct Frame: Sendable {
    package var groups: [Float]
    package var current: Int
    /// Visits before it; the start is the first.
    package var step: Int32
    /// The share of the budget that was left.
    package var timeLeft: Float
  }

  private var counts: [Counts]
  /// Oldest first.
  package private(set) var frames: [Frame]
  /// For each hole the step in which it was visited.
  package private(set) var visitStep: [Int32]
  private(set) var step: Int32 = 0

  private var squares: Int { encoder.survey.patches.count }
  private var tiles: Int { encoder.survey.patches.count + encoder.survey.squares.count }

  /// - Parameters:
  ///   - encoder: The features.
  ///   - acquisition: What was done so far; the frames are those after its last visits.
  public init(_ encoder: FeatureEncoder, _ acquisition: Acquisition) {
    self.encoder = encoder
    let survey = encoder.survey
    counts = Array(
      repeating: Counts(), count: survey.patches.count + survey.squares.count + survey.tiles.count)
    visitStep = Array(repeating: .max, count: survey.count)
    frames = []
    for hole in survey.holes.indices { add(hole, 1) }
    let start = acquisition.visits[0]
    move(start, acquisition)
    let groups = counts.indices.flatMap(row)
    let first = Frame(groups: groups, current: start, step: 0, timeLeft: 1)
    frames = Array(repeating: first, count: 4)
    var elapsed = 0.0
    var previous = start
    for hole in acquisition.visits.dropFirst() {
      elapsed += acquisition.rules.minutes[survey.move(from: previous, to: hole)]
      previous = hole
      advance(hole, acquisition, elapsed: elapsed)
    }
  }

  /// Takes in that `hole` was visited.
  public mutating func visit(_ hole: Int, _ acquisition: Acquisition) {
    advance(hole, acquisition, elapsed: acquisition.elapsed)
  }

  private mutating func advance(_ hole: Int, _ acquisition: Acquisition, elapsed: Double) {
    step += 1
    move(hole, acquisition)
    // The oldest frame's memory becomes the newest's.
    var frame = frames.removeFirst()
    let newest = frames[2].groups
    frame.groups.withUnsafeMutableBufferPointer { target in
      newest.withUnsafeBufferPointer { source in
        for index in 0..<source.count { target[index] = source[index] }
      }
    }
    let width = encoder.mode.groupWidth
    for group in groups(of: hole) {
      let row = row(group)
      for index in 0..<width { frame.groups[group * width + index] = row[index] }
    }
    frame.current = hole
    frame.step = step
    frame.timeLeft = FeatureEncoder.half(max(0, 1 - elapsed / acquisition.rules.budget))
    frames.append(frame)
  }

  /// The positions of the hole's patch, square and tile among the groups.
  @inline(__always)
  private func groups(of hole: Int) -> [Int] {
    let survey = encoder.survey
    return [
      Int(survey.patchOfHole[hole]), squares + Int(survey.squareOfHole[hole]), tiles + Int(survey.tileOfHole[hole])
    ]
  }

  /// Counts `hole` among the unvisited, `sign` times.
  private mutating func add(_ hole: Int, _ sign: Double) {
    let isClassification = encoder.mode.kind == .classification
    for group in groups(of: hole) {
      switch encoder.bins[hole] {
      case 0: counts[group].bins.0 += sign
      case 1: counts[group].bins.1 += sign
      case 2: counts[group].bins.2 += sign
      case 3: counts[group].bins.3 += sign
      case 4: counts[group].bins.4 += sign
      default: break
      }
      counts[group].unvisited += sign
      counts[group].unvisitedLow += sign * (isClassification ? encoder.scores[hole] : encoder.isLow[hole] ? 1 : 0)
    }
  }

  /// Counts `hole` among the visited instead of the unvisited.
  private mutating func move(_ hole: Int, _ acquisition: Acquisition) {
    visitStep[hole] = step
    add(hole, -1)
    let isGood = acquisition.outcomes[hole].isGood(threshold: encoder.threshold)
    for group in groups(of: hole) {
      counts[group].visited += 1
      counts[group].visitedLow += encoder.isLow[hole] ? 1 : 0
      counts[group].measuredLow += isGood ? 1 : 0
    }
  }

  /// What a frame says of a region.
  private func row(_ group: Int) -> [Float] {
    let counts = counts[group]
    let scale = FeatureEncoder.countScales[group < squares ? 0 : group < tiles ? 1 : 2]
    func share(_ count: Double) -> Float { FeatureEncoder.half(min(count, scale) / scale) }
    switch encoder.mode.kind {
    case .classification:
      return [
        share(counts.unvisited), share(max(counts.unvisitedLow, 0)), share(counts.visited),
        share(counts.measuredLow)
      ]
    case .regression, .feedback:
      let raw = [counts.bins.0, counts.bins.1, counts.bins.2, counts.bins.3, counts.bins.4]
      var smooth = [0.0, 0, 0, 0, 0]
      for (bin, count) in raw.enumerated() where count != 0 {
        for index in 0..<5 { smooth[index] += count * encoder.smoothed[bin][index] }
      }
      let sum = smooth.reduce(0, +) + 1e-4
      var row = smooth.map { FeatureEncoder.half($0 / sum) }
      row += [share(counts.unvisited), share(counts.unvisitedLow), share(counts.visited), share(counts.visitedLow)]
      if encoder.mode.kind == .feedback { row.append(share(counts.measuredLow)) }
      return row
    }
  }

  // MARK: - Observations

  /// Writes the observation of `hole`, ``FeatureMode/observationWidth`` numbers, oldest frame first.
  public func write(_ hole: Int, _ target: UnsafeMutablePointer<Float>) {
    for (index, frame) in frames.enumerated() {
      frame.groups.withUnsafeBufferPointer { groups in
        encoder.write(
          hole, groups: groups, current: frame.current, timeLeft: frame.timeLeft,
          isVisited: visitStep[hole] <= frame.step, target + index * encoder.mode.width)
      }
    }
  }

  /// The observations of `holes`, row by row.
  public func observations(of holes: [Int]) -> [Float] {
    let width = encoder.mode.observationWidth
    return [Float](unsafeUninitializedCapacity: holes.count * width) { buffer, count in
      if let base = buffer.baseAddress {
        for (index, hole) in holes.enumerated() { write(hole, base + index * width) }
      }
      count = holes.count * width
    }
  }
}
