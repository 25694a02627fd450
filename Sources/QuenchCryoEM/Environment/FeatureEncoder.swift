import Foundation

/// How holes are described to a network: cryoRL's features, and ours.
public struct FeatureMode: Hashable, Sendable {
  public enum Kind: String, Codable, CaseIterable, Hashable, Sendable {
    /// 32 numbers a frame, from resolutions.
    case regression
    /// 17 numbers a frame, from probabilities, with measured outcomes of visited holes.
    case classification
    /// ``regression`` with measured outcomes of visited holes and the time that is left: 36 numbers a frame (ours).
    case feedback
  }

  public var kind = Kind.regression
  /// Whether holes are described by predictions; by the truth otherwise, as in the published training.
  public var usesPredictions = true
  /// Standard deviation of the Gaussian that smooths histograms, in bins; 0 for none.
  public var smoothing = 0.0

  public init(_ kind: Kind = .regression, usesPredictions: Bool = true, smoothing: Double = 0) {
    self.kind = kind
    self.usesPredictions = usesPredictions
    self.smoothing = smoothing
  }

  /// Numbers for each hole and frame.
  public var width: Int {
    switch kind {
    case .regression: 32
    case .classification: 17
    case .feedback: 36
    }
  }

  /// Numbers for each hole: four frames.
  public var observationWidth: Int { 4 * width }
  /// Numbers that a frame says of each region.
  package var groupWidth: Int {
    switch kind {
    case .regression: 9
    case .classification: 4
    case .feedback: 10
    }
  }
}

/// What of the features does not change during an episode.
public struct FeatureEncoder: Sendable {
  public let mode: FeatureMode
  public let survey: Survey
  public let threshold: Double
  /// Feature 0 of each hole.
  let head: [Float]
  /// The histogram bin of each hole; -1 outside all.
  let bins: [Int8]
  /// Whether each hole counts as low, by what the features speak of; by the score in classification.
  let isLow: [Bool]
  /// The probability of being good, for classification.
  let scores: [Double]
  /// The holes of each patch by rank, best first.
  let ranked: [[Int32]]
  /// smoothed[i]: what one hole of bin i adds to each bin.
  let smoothed: [[Double]]
  /// Holes are held comparable at these counts.
  static let countScales = [25.0, 150, 500]
  static let edges = [0.0, 4, 6, 8, 10, 999_999]

  /// - Parameters:
  ///   - environment: With the truth, for features that speak of it.
  ///   - mode: Which features.
  public init(_ environment: Environment, mode: FeatureMode) {
    self.init(
      environment.survey, mode: mode, threshold: environment.rules.threshold,
      truth: environment.survey.holes.map(\.fit))
  }

  /// - Parameter truth: By hole; needed where `mode` does not use predictions.
  package init(_ survey: Survey, mode: FeatureMode, threshold: Double, truth: [CTFFit]) {
    self.mode = mode
    self.survey = survey
    self.threshold = threshold
    /// A hole without a value is described as if its fit had failed.
    let values = survey.holes.indices.map { index -> Double in
      let truth = truth[index].clippedResolution ?? CTFFit.clip
      return mode.usesPredictions ? survey.holes[index].prediction?.resolution ?? CTFFit.clip : truth
    }
    let scores = survey.holes.indices.map { index -> Double in
      if mode.usesPredictions {
        return survey.holes[index].prediction?.probabilityOfGood ?? (values[index] <= threshold ? 1 : 0)
      }
      return values[index] < 6 ? 1 : 0
    }
    self.scores = scores
    let isClassification = mode.kind == .classification
    head = survey.holes.indices.map { index in
      Self.half(isClassification ? scores[index] : min(values[index], 20) / 20)
    }
    bins = values.map { value in Int8((0..<5).first { value >= Self.edges[$0] && value < Self.edges[$0 + 1] } ?? -1)
    }
    isLow = values.map { $0 <= threshold }
    let ranks = isClassification ? scores.map { 1 - $0 } : values
    ranked = survey.patches.map { $0.holes.sorted { (ranks[$0], $0) < (ranks[$1], $1) }.map { Int32($0) } }
    smoothed = Self.smoothing(mode.smoothing)
  }

  /// The response of each of five bins to a unit in each: a Gaussian cut at four standard deviations, mirrored at the
  /// ends with the end bins repeated, as `scipy.ndimage.gaussian_filter1d` does.
  static func smoothing(_ sigma: Double) -> [[Double]] {
    let radius = Int(4 * sigma + 0.5)
    guard sigma > 0, radius > 0 else { return (0..<5).map { row in (0..<5).map { $0 == row ? 1 : 0 } } }
    var kernel = (-radius...radius).map { exp(-0.5 * Double($0 * $0) / (sigma * sigma)) }
    let sum = kernel.reduce(0, +)
    kernel = kernel.map { $0 / sum }
    var response = [[Double]](repeating: Array(repeating: 0, count: 5), count: 5)
    for bin in 0..<5 {
      for (offset, weight) in zip(-radius...radius, kernel) {
        var source = (bin + offset) % 10
        if source < 0 { source += 10 }
        if source > 4 { source = 9 - source }
        response[source][bin] += weight
      }
    }
    return response
  }

  /// A value as the features are stored, in 16 bits.
  @inline(__always)
  static func half(_ value: Double) -> Float { Float(Float16(value)) }

  /// Writes the numbers of one frame for `hole`.
  /// - Parameters:
  ///   - hole: A position in the survey's holes.
  ///   - groups: What the frame says of patches, squares and tiles, row by row.
  ///   - current: Where the microscope stood.
  ///   - timeLeft: The share of the budget that was left.
  ///   - isVisited: Whether the hole was visited then.
  ///   - target: Room for ``FeatureMode/width`` numbers.
  @inline(__always)
  package func write(
    _ hole: Int, groups: UnsafeBufferPointer<Float>, current: Int, timeLeft: Float, isVisited: Bool,
    _ target: UnsafeMutablePointer<Float>
  ) {
    guard let groups = groups.baseAddress else { return }
    let width = mode.groupWidth
    let (patch, square, tile) = (survey.patchOfHole[hole], survey.squareOfHole[hole], survey.tileOfHole[hole])
    let (squares, tiles) = (survey.patches.count, survey.patches.count + survey.squares.count)
    target[0] = head[hole]
    target[1] = isVisited ? 1 : 0
    (target + 2).update(from: groups + Int(patch) * width, count: width)
    (target + 2 + width).update(from: groups + (squares + Int(square)) * width, count: width)
    (target + 2 + 2 * width).update(from: groups + (tiles + Int(tile)) * width, count: width)
    let flags = target + 2 + 3 * width
    flags[0] = tile == survey.tileOfHole[current] ? 1 : 0
    flags[1] = square == survey.squareOfHole[current] ? 1 : 0
    flags[2] = patch == survey.patchOfHole[current] ? 1 : 0
    if mode.kind == .feedback { flags[3] = timeLeft }
  }

  /// Holes that can have the largest score. Unvisited holes of a patch differ in their own value alone, so the best, the
  /// middle and the worst of each patch stand for all.
  /// - Parameter isVisited: By hole.
  /// - Returns: Positions of holes, ascending by patch.
  public func candidates(isVisited: (Int) -> Bool) -> [Int] {
    var result: [Int] = []
    var open: [Int] = []
    for holes in ranked {
      open.removeAll(keepingCapacity: true)
      for hole in holes where !isVisited(Int(hole)) { open.append(Int(hole)) }
      guard let first = open.first, let last = open.last else { continue }
      result.append(first)
      if open.count > 2 { result.append(open[open.count / 2]) }
      if open.count > 1 { result.append(last) }
    }
    return result
  }
}
