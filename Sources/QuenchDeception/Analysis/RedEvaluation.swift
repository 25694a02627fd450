import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Judges a denoiser on the test cells: what it recovers, what it is worth as a detector and as a defense.
public struct RedEvaluation {
  /// How a cell stands to the training data.
  public enum Group: String, CaseIterable, Codable, Sendable {
    case seen
    case unseenStrength = "unseen-strength"
    case unseenAttack = "unseen-attack"
    case unseenVictim = "unseen-victim"
    /// All cells together; each is of another group too.
    case all
  }

  public let victims: [Victim]
  /// Names of the victims that the training data are of.
  public let seenVictims: Set<String>
  /// D; not clamped.
  public let denoise: (Tensor) -> Tensor
  /// How likely labels are right; nil: nobody says.
  public var labels: LabelCalibration?
  public var progress = ProgressLine.Style.quiet

  public init(victims: [Victim], seenVictims: Set<String>, denoise: @escaping (Tensor) -> Tensor) {
    self.victims = victims
    self.seenVictims = seenVictims
    self.denoise = denoise
  }

  /// What one cell came to, over its successful pairs.
  public struct Cell: Sendable {
    public var key: PairCell.Key
    public var group: Group
    public var figures: PairFigures
    /// The same for D = identity: the floor.
    public var identity: PairFigures
    public var attribution: AttributionFigures
    /// The share of pairs whose x' and x'_R another victim answers as the attacked one answers x'.
    public var transfer: (attacked: Double, estimate: Double)?
  }

  /// A cell as `cells.json` has it.
  public struct CellFigures: Codable, Hashable, Sendable {
    /// The answers of another victim.
    public struct Transfer: InlineGroup, Hashable, Sendable {
      public var transferAttacked: Double
      public var transferEstimate: Double
    }

    public var cell: String
    public var group: Group
    public var means: PairMeans
    public var certainty: CertaintyFigures?
    public var identityPaBenign: Double
    public var identityPaAdversarial: Double
    /// Input attribution alignment.
    public var iaaBenign: Double
    public var iaaAdversarial: Double
    public var iaaBenignOtherClass: Double
    public var iaaAdversarialOtherClass: Double
    public var transfer: Transfer?

    init(_ judged: Cell) {
      (cell, group, means) = (judged.key.name, judged.group, judged.figures.means)
      certainty = judged.figures.certainty
      identityPaBenign = judged.identity.benignAlignment.fraction
      identityPaAdversarial = judged.identity.adversarialAlignment.fraction
      iaaBenign = PairFigures.mean(judged.attribution.benign)
      iaaAdversarial = PairFigures.mean(judged.attribution.adversarial)
      iaaBenignOtherClass = PairFigures.mean(judged.attribution.benignOtherClass)
      iaaAdversarialOtherClass = PairFigures.mean(judged.attribution.adversarialOtherClass)
      transfer = judged.transfer.map { Transfer(transferAttacked: $0.attacked, transferEstimate: $0.estimate) }
    }
  }

  private func group(_ key: PairCell.Key) -> Group {
    if !RedAttack.seen.contains(key.attack) { return .unseenAttack }
    if !seenVictims.contains(key.victim) { return .unseenVictim }
    return key.level == .out ? .unseenStrength : .seen
  }

  /// Judges every test cell whose victim is at hand, by that victim.
  /// - Throws: `InputError` if a cell's victim is missing.
  public func cells(_ cells: [PairCell]) throws(InputError) -> [Cell] {
    var line = ProgressLine("Judging", total: cells.count, unit: "cells", style: progress)
    var results: [Cell] = []
    for (index, cell) in cells.enumerated() {
      guard let victim = victims.first(where: { $0.name == cell.key.victim }) else {
        throw InputError(
          "a cell's victim is missing", at: cell.key.name, expected: "a victim named '\(cell.key.victim)'",
          found: victims.map(\.name).joined(separator: ", "), remedy: "name its weights with `victim`")
      }
      let pairs = cell.successful
      if pairs.count > 0 { results.append(judge(pairs, victim)) }
      line.update(index + 1)
    }
    line.finish()
    return results
  }

  private func judge(_ pairs: PairCell, _ victim: Victim) -> Cell {
    var cell = Cell(
      key: pairs.key, group: group(pairs.key), figures: .init(), identity: .init(), attribution: .init())
    let other = victims.first { $0.name != victim.name }
    var (hits, estimateHits) = (0, 0)
    for (x, xA) in zip(pairs.clean.split(250), pairs.adversarial.split(250)) {
      let (clean, attacked) = (PairCell.pixels(x), PairCell.pixels(xA))
      let denoised = denoise(attacked)
      cell.figures.add(clean: clean, attacked: attacked, denoised: denoised) { victim.logits($0) }
      if let labels {
        let found = RecoveredLabels(of: attacked, denoise: denoise) { victim.logits($0) }
        cell.figures.likelihoods += found.firmness.compactMap(labels.likelihood)
      }
      cell.identity.add(clean: clean, attacked: attacked, denoised: attacked) { victim.logits($0) }
      cell.attribution.add(clean: clean, attacked: attacked, denoised: denoised, cam: victim.cam)
      if let other {
        let target = victim.answers(attacked)
        hits += (other.answers(attacked) .== target).nonzeroCount()
        estimateHits += (other.answers(attacked - denoised + clean) .== target).nonzeroCount()
      }
    }
    if other != nil {
      cell.transfer = (Double(hits) / Double(pairs.count), Double(estimateHits) / Double(pairs.count))
    }
    return cell
  }

  /// A group of cells in the mean: PA over cells, unweighted, and distances over pairs.
  public struct GroupFigures: Codable, Hashable, Sendable {
    public var means: PairMeans
    public var certainty: CertaintyFigures?
    public var cells: Int
    public var paBenignCellMean: Double
    public var identityPaBenign: Double
    public var paAdversarialCellMean: Double
    public var identityPaAdversarial: Double
    /// Input attribution alignment, and how many overlaps fall into each twentieth.
    public var iaaBenign: Double
    public var iaaBenignHistogram: [Int]
    public var iaaAdversarial: Double
    public var iaaAdversarialHistogram: [Int]

    init(_ judged: [Cell]) {
      func mean(_ path: KeyPath<Cell, Double>) -> Double { PairFigures.mean(judged.map { $0[keyPath: path] }) }
      let figures = judged.reduce(into: PairFigures()) { $0.append($1.figures) }
      (means, certainty) = (figures.means, figures.certainty)
      cells = judged.count
      paBenignCellMean = mean(\.figures.benignAlignment.fraction)
      identityPaBenign = mean(\.identity.benignAlignment.fraction)
      paAdversarialCellMean = mean(\.figures.adversarialAlignment.fraction)
      identityPaAdversarial = mean(\.identity.adversarialAlignment.fraction)
      let (benign, adversarial) = (judged.flatMap(\.attribution.benign), judged.flatMap(\.attribution.adversarial))
      (iaaBenign, iaaAdversarial) = (PairFigures.mean(benign), PairFigures.mean(adversarial))
      iaaBenignHistogram = AttributionFigures.histogram(benign)
      iaaAdversarialHistogram = AttributionFigures.histogram(adversarial)
    }
  }

  /// The means of each group that has cells, and of all.
  public static func groups(_ cells: [Cell]) -> ByCase<Group, GroupFigures> {
    var groups = ByCase<Group, GroupFigures>()
    for group in Group.allCases {
      let own = cells.filter { group == .all || $0.group == group }
      if !own.isEmpty { groups[group] = GroupFigures(own) }
    }
    return groups
  }

  /// How well each way to be suspicious tells adversarial images from clean ones, of which each counts once a victim.
  public func detection(_ cells: [PairCell]) -> ByCase<SuspicionScore, DetectionFigures> {
    var figures = ByCase<SuspicionScore, DetectionFigures>()
    for score in SuspicionScore.allCases {
      var (clean, adversarial): ([Double], [Double]) = ([], [])
      for victim in victims {
        let own = cells.filter { $0.key.victim == victim.name }.map(\.successful).filter { $0.count > 0 }
        clean += SuspicionCalibration(score: score, of: own, victim: victim, denoise: denoise).clean
        for part in own.flatMap({ $0.adversarial.split(250) }) {
          let attacked = PairCell.pixels(part)
          adversarial += score(attacked, denoised: denoise(attacked)) { victim.logits($0) }
        }
      }
      guard !clean.isEmpty else { continue }
      figures[score] = DetectionFigures(Detection(adversarial: adversarial, clean: clean))
    }
    return figures
  }

  /// The portion study and the consistency study on the first victim's successful PGD pairs of medium strength.
  public func studies(
    _ cells: [PairCell]
  ) -> (pairs: Int, portions: PortionStudy, consistency: ConsistencyStudy)? {
    guard let victim = victims.first,
      let pairs = cells.first(where: {
        $0.key.victim == victim.name && $0.key.attack == .pgd && $0.key.level == .medium
      })?.successful, pairs.count > 0
    else { return nil }
    let (clean, attacked) = (PairCell.pixels(pairs.clean), PairCell.pixels(pairs.adversarial))
    return (
      pairs.count, PortionStudy(clean: clean, attacked: attacked, denoise: denoise) { victim.logits($0) },
      ConsistencyStudy(clean: clean, attacked: attacked, denoise: denoise) { victim.logits($0) }
    )
  }
}

extension PairFigures {
  /// Adds the pairs of another set.
  mutating func append(_ other: PairFigures) {
    denoised += other.denoised
    perturbed += other.perturbed
    removed += other.removed
    absoluteError += other.absoluteError
    squaredError += other.squaredError
    logitsBenign += other.logitsBenign
    logitsAdversarial += other.logitsAdversarial
    logitsPerturbed += other.logitsPerturbed
    angle += other.angle
    logitsAngle += other.logitsAngle
    benign += other.benign
    adversarial += other.adversarial
    deltaOverlap += other.deltaOverlap
    isSuccess += other.isSuccess
    likelihoods += other.likelihoods
  }
}
