import Foundation

/// How far regions differ from what the predictions say of them: the variances of Gaussian random effects on the logit.
public struct EffectVariances: Hashable, Sendable {
  public var patch: Double
  public var square: Double
  public var tile: Double
  public var grid: Double

  public init(patch: Double, square: Double, tile: Double, grid: Double = 0) {
    self.patch = patch
    self.square = square
    self.tile = tile
    self.grid = grid
  }

  /// Rounded from a published survey (cryoRL's), beside its ResNet-50's predictions.
  public static let published = EffectVariances(patch: 0.5, square: 0.25, tile: 0.25, grid: 0.5)

  subscript(level: Survey.Level) -> Double {
    get {
      switch level {
      case .patch: patch
      case .square: square
      case .tile: tile
      case .grid: grid
      }
    }
    set {
      switch level {
      case .patch: patch = newValue
      case .square: square = newValue
      case .tile: tile = newValue
      case .grid: grid = newValue
      }
    }
  }
}

/// What outcomes tell of the holes around them.
///
/// A hole is good with probability σ(logit + effects of its patch, square, tile and grid); the effects are Gaussian and
/// independent a priori. Their posterior is taken as Gaussian round its mode (Laplace), which Newton's method finds: as the
/// effects are nested, each step is one pass up the tree and one down, exact and linear in its size.
public struct Belief: Sendable {
  private let survey: Survey
  public let variances: EffectVariances
  /// Log-odds of each hole by its prediction alone.
  public let logits: [Double]
  /// Measured holes with what came out, in the order in which they were seen.
  private var outcomes: [(hole: Int, isGood: Bool)] = []
  private var levels: [Nodes]

  /// The regions of one level.
  private struct Nodes: Sendable {
    let variance: Double
    let parents: [Int]
    /// Precision and precision-weighted mean of what lies below, about the sum of effects down to here.
    var precision: [Double]
    var response: [Double]
    /// Mode of the region's own effect, and of the sum down to here, with its variance.
    var effect: [Double]
    var effectVariance: [Double]
    var sum: [Double]
    var sumVariance: [Double]

    init(variance: Double, parents: [Int]) {
      self.variance = variance
      self.parents = parents
      let zeros = [Double](repeating: 0, count: parents.count)
      (precision, response, effect, effectVariance, sum, sumVariance) = (zeros, zeros, zeros, zeros, zeros, zeros)
    }
  }

  public init(_ survey: Survey, logits: [Double], variances: EffectVariances) {
    self.survey = survey
    self.logits = logits
    self.variances = variances
    levels = Survey.Level.allCases.map { level in
      Nodes(variance: max(variances[level], 0), parents: survey.regions(level).map(\.parent))
    }
    descend()
  }

  /// Takes outcomes in.
  public mutating func observe(_ new: [(hole: Int, isGood: Bool)]) {
    guard !new.isEmpty else { return }
    outcomes += new
    findMode()
  }

  /// The probability that `hole` is good: σ(μ / √(1 + π s² / 8)), s² being the posterior variance of its effects.
  public func probability(_ hole: Int) -> Double {
    let patch = Int(survey.patchOfHole[hole])
    return sigmoid(
      (logits[hole] + levels[0].sum[patch]) / (1 + .pi / 8 * levels[0].sumVariance[patch]).squareRoot())
  }

  /// The probabilities of all holes.
  public func probabilities() -> [Double] {
    var result = [Double](repeating: 0, count: logits.count)
    for (patch, region) in survey.patches.enumerated() {
      let (mean, scale) = (levels[0].sum[patch], (1 + .pi / 8 * levels[0].sumVariance[patch]).squareRoot())
      for hole in region.holes { result[hole] = sigmoid((logits[hole] + mean) / scale) }
    }
    return result
  }

  /// The mean and variance of the sum of all effects on the holes of `patch`.
  public func effect(ofPatch patch: Int) -> (mean: Double, variance: Double) {
    (levels[0].sum[patch], levels[0].sumVariance[patch])
  }

  /// The mean over a level's regions of the squared effect, posterior variance included: the EM update of its variance.
  func secondMoment(_ level: Survey.Level) -> Double {
    let nodes = levels[level.rawValue]
    let sum = zip(nodes.effect, nodes.effectVariance).reduce(0) { $0 + $1.0 * $1.0 + $1.1 }
    return sum / Double(nodes.effect.count)
  }

  /// The gradient and curvature of the log-likelihood in a shift of all logits.
  func interceptDerivatives() -> (gradient: Double, curvature: Double) {
    outcomes.reduce(into: (0.0, 0.0)) { result, outcome in
      let p = sigmoid(logits[outcome.hole] + levels[0].sum[Int(survey.patchOfHole[outcome.hole])])
      result.0 += (outcome.isGood ? 1 : 0) - p
      result.1 += p * (1 - p)
    }
  }

  private mutating func findMode() {
    for _ in 0..<25 {
      let before = levels[0].sum
      ascend()
      descend()
      let change = zip(before, levels[0].sum).reduce(0) { max($0, abs($1.0 - $1.1)) }
      if change < 1e-7 { break }
    }
  }

  /// Collects the outcomes, as a Gaussian about the present mode, from the holes up.
  private mutating func ascend() {
    for level in levels.indices {
      for node in levels[level].precision.indices {
        levels[level].precision[node] = 0
        levels[level].response[node] = 0
      }
    }
    for (hole, isGood) in outcomes {
      let patch = Int(survey.patchOfHole[hole])
      let sum = levels[0].sum[patch]
      let p = sigmoid(logits[hole] + sum)
      let weight = max(p * (1 - p), 1e-10)
      levels[0].precision[patch] += weight
      levels[0].response[patch] += weight * sum + (isGood ? 1 : 0) - p
    }
    for level in levels.indices.dropLast() {
      let variance = levels[level].variance
      for node in levels[level].precision.indices where levels[level].precision[node] > 0 {
        let damping = 1 / (1 + levels[level].precision[node] * variance)
        levels[level + 1].precision[levels[level].parents[node]] += levels[level].precision[node] * damping
        levels[level + 1].response[levels[level].parents[node]] += levels[level].response[node] * damping
      }
    }
  }

  /// Solves for the effects from the grids down.
  private mutating func descend() {
    for level in levels.indices.reversed() {
      let variance = levels[level].variance
      for node in levels[level].precision.indices {
        let parent = levels[level].parents[node]
        let (above, aboveVariance) =
          level + 1 < levels.count ? (levels[level + 1].sum[parent], levels[level + 1].sumVariance[parent]) : (0, 0)
        let precision = levels[level].precision[node]
        let damping = 1 / (1 + precision * variance)
        let effect = (levels[level].response[node] - precision * above) * variance * damping
        let gain = precision * variance * damping
        levels[level].effect[node] = effect
        levels[level].effectVariance[node] = gain * gain * aboveVariance + variance * damping
        levels[level].sum[node] = above + effect
        levels[level].sumVariance[node] = damping * damping * aboveVariance + variance * damping
      }
    }
  }
}

extension Belief {
  /// The variances, and the shift of all logits, that make a survey's outcomes likeliest, by EM.
  /// - Parameters:
  ///   - survey: With measurements.
  ///   - logits: What predictions alone say.
  ///   - threshold: Å up to which a hole is good.
  ///   - fitsIntercept: Whether a common shift of the logits is found as well.
  static func fit(
    _ survey: Survey, logits: [Double], threshold: Double, fitsIntercept: Bool, iterations: Int = 100
  ) -> (variances: EffectVariances, shift: Double) {
    let outcomes = survey.holes.indices.filter { survey.holes[$0].fit.isMeasured }
      .map { (hole: $0, isGood: survey.holes[$0].fit.isGood(threshold: threshold)) }
    var variances = EffectVariances(patch: 0.5, square: 0.3, tile: 0.3)
    var shift = 0.0
    for _ in 0..<iterations {
      var belief = Belief(survey, logits: logits.map { $0 + shift }, variances: variances)
      belief.observe(outcomes)
      for level in [Survey.Level.patch, .square, .tile] { variances[level] = belief.secondMoment(level) }
      if fitsIntercept {
        let (gradient, curvature) = belief.interceptDerivatives()
        shift += max(-1, min(1, gradient / max(curvature, 1e-9)))
      }
    }
    return (variances, shift)
  }
}
