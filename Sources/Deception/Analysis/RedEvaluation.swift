import Attacks
import Reporting
import Support
import Torch
import Vision

/// Judges a denoiser on the test cells: what it recovers, what it is worth as a detector and as a defence.
public struct RedEvaluation {
  /// How a cell stands to the training data.
  public enum Group: String, CaseIterable, Sendable {
    case seen
    case unseenStrength = "unseen-strength"
    case unseenAttack = "unseen-attack"
    case unseenVictim = "unseen-victim"
  }

  public let victims: [Victim]
  /// Names of the victims that the training data are of.
  public let seenVictims: Set<String>
  /// D; not clamped.
  public let denoise: (Tensor) -> Tensor
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

    public var record: Record {
      var record: Record = ["cell": .string(key.name), "group": .string(group.rawValue)]
      record.merge(figures.record)
      record["identity_pa_benign"] = .double(identity.benignAlignment.fraction)
      record["identity_pa_adversarial"] = .double(identity.adversarialAlignment.fraction)
      record["iaa_benign"] = .double(PairFigures.mean(attribution.benign))
      record["iaa_adversarial"] = .double(PairFigures.mean(attribution.adversarial))
      record["iaa_benign_other_class"] = .double(PairFigures.mean(attribution.benignOtherClass))
      record["iaa_adversarial_other_class"] = .double(PairFigures.mean(attribution.adversarialOtherClass))
      if let transfer {
        record["transfer_attacked"] = .double(transfer.attacked)
        record["transfer_estimate"] = .double(transfer.estimate)
      }
      return record
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
          found: victims.map(\.name).joined(separator: ", "), remedy: "name its weights with --victim")
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

  /// The means of each group, and of all cells under `all`: of PA over cells, unweighted, and of distances over pairs.
  public static func groups(_ cells: [Cell]) -> Record {
    var groups: Record = [:]
    for group in Group.allCases {
      let own = cells.filter { $0.group == group }
      if !own.isEmpty { groups[group.rawValue] = .object(means(own)) }
    }
    if !cells.isEmpty { groups["all"] = .object(means(cells)) }
    return groups
  }

  private static func means(_ cells: [Cell]) -> Record {
    let pairs = cells.reduce(into: PairFigures()) { $0.append($1.figures) }
    var record = pairs.record
    record["cells"] = .int(cells.count)
    for (name, path) in [
      ("pa_benign", \PairFigures.benignAlignment.fraction), ("pa_adversarial", \.adversarialAlignment.fraction)
    ] {
      record["\(name)_cell_mean"] = .double(PairFigures.mean(cells.map { $0.figures[keyPath: path] }))
      record["identity_\(name)"] = .double(PairFigures.mean(cells.map { $0.identity[keyPath: path] }))
    }
    for (name, path) in [("iaa_benign", \AttributionFigures.benign), ("iaa_adversarial", \.adversarial)] {
      let overlaps = cells.flatMap { $0.attribution[keyPath: path] }
      record[name] = .double(PairFigures.mean(overlaps))
      record["\(name)_histogram"] = .array(AttributionFigures.histogram(overlaps).map { .int($0) })
    }
    return record
  }

  /// How well each way to be suspicious tells adversarial images from clean ones, of which each counts once a victim.
  public func detection(_ cells: [PairCell]) -> Record {
    var record: Record = [:]
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
      record[score.rawValue] = .object(Detection(adversarial: adversarial, clean: clean).record)
    }
    return record
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

  /// What the denoiser is worth as a defence of `victim`: attacks that do not know it, and attacks that do.
  /// - Parameters:
  ///   - data: Clean images and labels.
  ///   - victim: Defended.
  ///   - denoiser: D with gradients.
  ///   - seed: Of the attacks.
  /// - Returns: Accuracies by attacker and budget; an attacker that knows the denoiser is always among them.
  public func defence(
    _ data: ImageDataset, of victim: Victim, denoiser: Network, seed: UInt64
  ) throws -> [Record] {
    let frozen = denoiser.foldingBatchNorm()
    let defended = victim.model.behind("denoiser") { frozen($0) }
    let bpda = victim.model.behind("denoiser", knowledge: .identity) { frozen($0) }
    var records: [Record] = []
    func attack(_ model: AttackedModel, _ knowledge: String, judgedOn judge: AttackedModel) throws {
      for epsilon in [2.0, 4, 8].map({ $0 / 255 }) {
        var pgd = PGD()
        (pgd.budget, pgd.steps, pgd.stopsAtSuccess) = (epsilon, 20, model === judge)
        var evaluator = AttackEvaluator([model === judge ? pgd : Transfer(pgd, from: model)] as [any Attack])
        evaluator.seed = seed
        let report = try evaluator.run(on: judge, AttackData(data))
        records.append([
          "model": .string(judge.name), "attacker": .string(knowledge), "epsilon": .double(epsilon),
          "clean_accuracy": .double(report.clean.fraction),
          "robust_accuracy": report.summary["robust_accuracy"] ?? .null,
          "interval": report.summary["interval"] ?? .null, "n": .int(report.clean.count),
          "findings": .array(report.findings.map(\.value))
        ])
      }
    }
    try attack(victim.model, "no defense", judgedOn: victim.model)
    try attack(victim.model, "does not know the denoiser", judgedOn: defended)
    try attack(bpda, "takes the denoiser for the identity", judgedOn: defended)
    try attack(defended, "knows the denoiser", judgedOn: defended)
    return records
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
  }
}
