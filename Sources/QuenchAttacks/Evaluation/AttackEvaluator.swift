import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Runs attacks on a classifier and says what survived.
///
/// No attack gets round it: only samples that are right and not broken yet are handed out; what comes back is checked for
/// range and budget, scored again and measured; queries are counted by the model. One row a sample is kept, and a run
/// that was killed goes on to the same rows, since a sample's random numbers follow from its own index.
public struct AttackEvaluator {
  public enum Mode: String, Codable, Sendable {
    /// Each attack works on the samples that the ones before left.
    case ensemble
    /// Each attack works on all samples; a sample is robust if it withstood every one.
    case individual
  }

  public var attacks: [any Attack]
  public var mode = Mode.ensemble
  /// Budgets in pixel units, ascending, for a curve; nil: each attack's own.
  ///
  /// A sample that is broken at one budget is broken at the larger ones, whose balls hold the same image. An attack that
  /// looks for the smallest perturbation runs once for all of them.
  public var epsilons: [Double]?
  public var seed: UInt64 = 1
  /// Samples that are attacked at once.
  public var batchSize = 250
  /// Aim at a class instead of at any wrong one.
  public var aim: TargetPicker?
  /// What the user believes the clean accuracy to be; a difference of more than a point is a finding.
  public var expectedCleanAccuracy: Double?
  /// What is known before the run, such as changes to an ensemble.
  public var findings: [Finding] = []
  /// Forward passes that judge an image, clean or attacked: the class of the largest mean probability counts. Nil: 1, and
  /// 20 for a model that answers the same image differently, where an attack could win by one lucky pass.
  public var judgements: Int?
  /// Return the images, for evaluations without a folder.
  public var keepsImages = false
  /// Search among pictures of 8 bits only; see ``OnGrid``.
  public var staysOnGrid = false
  /// Whether attacks none of which climbs the difference of logits ratio end with a short one that does: a saturated
  /// cross-entropy has no gradient, and what such attacks leave need not be robust.
  public var probes = true
  /// Given each image that is broken, as soon as it is; an `InputError` ends the run.
  public var keepBroken: ((BrokenImage) throws(InputError) -> Void)?
  /// The ranks that share the work: each attacks some of the batches, and all see what came of every one.
  public var world = World.alone
  public var progress = ProgressLine.Style.quiet
  /// Told what is amiss with the files of a run that is resumed, and does not stop it.
  public var warn: (String) -> Void = { _ in }

  public init(_ attacks: [any Attack]) { self.attacks = attacks }

  public init(_ attack: AutoAttack, for model: AttackedModel) {
    (attacks, findings) = attack.attacks(for: model)
    if attack.version == .individual { mode = .individual }
  }

  /// Attacks every sample of `data` that `model` classifies right.
  /// - Parameters:
  ///   - model: Under attack.
  ///   - data: Images and labels.
  ///   - folder: Where `rows.csv` and the journal go; nil: nowhere.
  ///   - resumes: Go on with what the folder's journal holds.
  /// - Throws: `InputError` if model, images and attacks do not fit together, if the model answers NaN, or if an attack
  ///   leaves its budget; `Interrupted` when the user asked to leave.
  public func run(
    on model: AttackedModel, _ data: AttackData, in folder: RunFolder? = nil, resumes: Bool = false
  ) throws -> AttackReport {
    try check(model, data)
    var board = try Board(model, data, budgets: budgets, norm: norm, batchSize: batchSize, judgements: judgements)
    board.findings = findings + board.findings
    board.images = keepsImages ? data.pixels(at: Tensor(Array(0..<data.count)).to(model.device)) : nil
    let targets = aim?.targets(board.logits, labels: data.labels, indices: data.indices, seed: seed)
    let journal = try folder.map {
      try AttackJournal(at: $0.artefact("journal.jsonl"), resumes: resumes, warn: warn)
    }
    let rows = try folder.map { try RowFile(at: $0.artefact("rows.csv")) }
    try rows?.append(board.rows(of: board.settled(after: nil, mode, isLast: false)))
    let stages = stages(for: model)
    var line = ProgressLine("Attacking", total: data.count * stages.count, unit: "samples", style: progress)
    var unit = 0
    for (number, stage) in stages.enumerated() {
      let (point, attack) = (stage.point, stage.attack)
      let work = stage.isProbe ? board.survivors(at: point) : board.work(at: point, mode)
      var done = 0
      while done < work.count {
        let turn = stride(from: done, to: min(work.count, done + batchSize * world.size), by: batchSize)
          .map { Array(work[$0..<min(work.count, $0 + batchSize)]) }
        var known: [AttackJournal.Entry?] = []
        for (offset, places) in turn.enumerated() {
          known.append(try journal?.entry(unit + offset, attack: attack.name, places: places))
        }
        if known.contains(where: { $0 == nil }) {
          let isInterrupted = world.sum([Interruption.isRequested ? 1 : 0])[0] > 0
          if isInterrupted, let folder { throw Interrupted(folder: folder.url) }
        }
        for (entry, isNew) in try attempts(stage, turn, known, targets, on: model, data, &board) {
          if isNew { try journal?.append(entry, unit: unit) }
          unit += 1
          done += entry.outcomes.count
          if stage.isProbe {
            board.applyProbe(entry, at: point)
          } else {
            board.apply(entry, at: point, spans: attack.isBounded ? nil : budgets.count, mode)
            let isLast = number == stages.count - 1 && done >= work.count
            try rows?.append(board.rows(of: board.settled(after: point, mode, isLast: isLast)))
          }
          line.update(
            number * data.count + data.count - work.count + done,
            note: "\(attack.name), robust \(NumberText.percent(board.robustShare(at: point), decimals: 1))")
        }
      }
      if !stage.isProbe { board.close(attack, at: point, tried: work.count, mode) }
    }
    line.finish(note: "robust \(NumberText.percent(board.robustShare(at: budgets.count - 1), decimals: 1))")
    let report = board.report(expected: expectedCleanAccuracy, mode)
    try rows?.finish(report.points.flatMap(\.rows))
    return report
  }

  private var norm: Norm { attacks.first?.norm ?? .linf }

  /// The budgets of the curve; one that is nil where the attack has none.
  private var budgets: [Double?] { epsilons.map { $0 } ?? [attacks.first?.epsilon] }

  /// One attack's turn at a budget of the curve.
  private struct Stage {
    var point: Int
    var attack: any Attack
    var isProbe = false
  }

  /// What is run, in order. With several budgets an attack without one runs at the first.
  private func stages(for model: AttackedModel) -> [Stage] {
    let needsProbe =
      probes && norm != .l1 && attacks.contains { $0.follows != nil } && !attacks.contains { $0.follows == .dlr }
    return budgets.indices.flatMap { point in
      let epsilon = budgets[point]
      var stages = attacks.compactMap { attack -> Stage? in
        let attack = staysOnGrid ? attack.onGrid() : attack
        guard let epsilon else { return Stage(point: point, attack: attack) }
        guard attack.isBounded || budgets.count == 1 else {
          return point == 0 ? Stage(point: 0, attack: attack) : nil
        }
        return Stage(point: point, attack: attack.bounded(by: epsilon))
      }
      if needsProbe, let epsilon, epsilon > 0 {
        let probe = probe(of: model, epsilon)
        stages.append(Stage(point: point, attack: staysOnGrid ? OnGrid(probe) : probe, isProbe: true))
      }
      return stages
    }
  }

  /// Auto-PGD with few steps on the difference of logits ratio, or on the margin where there are too few classes for it.
  private func probe(of model: AttackedModel, _ epsilon: Double) -> APGD {
    let loss = model.classes >= AttackLoss.dlr.fewestClasses(aimed: aim != nil) ? AttackLoss.dlr : .margin
    var probe = APGD(loss, norm: norm, epsilon: epsilon)
    probe.steps = 20
    return probe
  }

  private func check(_ model: AttackedModel, _ data: AttackData) throws(InputError) {
    precondition(batchSize > 0, "a batch needs a sample")
    precondition(judgements ?? 1 > 0, "a judgement needs a pass")
    try data.check(model)
    guard model.classes >= 2 else {
      throw InputError("there is nothing to confuse", at: model.name, expected: "2 classes or more", found: "1")
    }
    for attack in attacks { try attack.check(model) }
    for case let epsilon? in budgets {
      try PixelBudget(epsilon).validate(for: norm, at: "epsilon", pixels: data.shape.reduce(1, *))
    }
    if staysOnGrid { try data.requirePictures() }
    if let aim, let attack = attacks.first(where: { !$0.takesTargets }) {
      throw InputError(
        "the attack \(attack.name) cannot aim at a class", at: aim.rawValue,
        remedy: "aim with one of fgsm, pgd, bim, mi-fgsm, cw, apgd-ce, apgd-dlr, square")
    }
  }

  /// What came of a turn's batches, in order, and whether it is new: each rank attacks one of those that are not known.
  private func attempts(
    _ stage: Stage, _ turn: [[Int]], _ known: [AttackJournal.Entry?], _ targets: Tensor?, on model: AttackedModel,
    _ data: AttackData, _ board: inout Board
  ) throws -> [(AttackJournal.Entry, isNew: Bool)] {
    var found: [(AttackJournal.Entry, isNew: Bool)] = []
    var own: (entry: AttackJournal.Entry, images: Tensor)?
    if world.rank < turn.count, known[world.rank] == nil {
      own = try attempt(stage, turn[world.rank], targets, on: model, data, board)
    }
    let isNew = known.contains { $0 == nil }
    let told = isNew ? world.gather(own.map { Data(Value.object($0.entry.record).json().utf8) } ?? Data()) : []
    let keepsAny = isNew && !stage.isProbe && (keepsImages || keepBroken != nil)
    var images = keepsAny ? world.gatherRows(own?.images ?? .zeros([0] + data.shape, device: model.device)) : nil
    for (rank, places) in turn.enumerated() {
      if let entry = known[rank] {
        found.append((entry, false))
        continue
      }
      guard
        let entry = try rank == world.rank
          ? own?.entry : Value(json: told[rank], name: "rank \(rank)").record.flatMap(AttackJournal.Entry.init)
      else { preconditionFailure("a rank tells what it found") }
      found.append((entry, true))
      guard let all = images else { continue }
      try keep(all[..<places.count], entry, stage, data, &board)
      images = all[places.count...]
    }
    return found
  }

  /// Attacks one batch and judges what came of it.
  private func attempt(
    _ stage: Stage, _ places: [Int], _ targets: Tensor?, on model: AttackedModel, _ data: AttackData, _ board: Board
  ) throws(InputError) -> (entry: AttackJournal.Entry, images: Tensor) {
    let (start, attack) = (ContinuousClock.now, stage.attack)
    let chosen = Tensor(places).to(model.device)
    let clean = data.pixels(at: chosen.to(data.labels.device)).to(model.device)
    let samples = Samples(
      images: clean, labels: data.labels.selecting(chosen), targets: targets?.selecting(chosen),
      indices: places.map { data.indices[$0] }, seed: seed)
    let images = attack.perturb(samples, on: model)
    try AttackEvaluator.check(images, samples, attack)
    let logits = model.score(images, passes: board.passes)
    try ModelProbe.check(model, images, logits)
    let entry = AttackJournal.Entry(
      attack: attack, places: places, images: images, samples: samples, logits: logits,
      seconds: (ContinuousClock.now - start) / .seconds(1)
    ) { model.score($0, passes: board.passes) }
    return (entry, images)
  }

  /// Keeps the images of a batch, where they are wanted.
  private func keep(
    _ images: Tensor, _ entry: AttackJournal.Entry, _ stage: Stage, _ data: AttackData, _ board: inout Board
  ) throws(InputError) {
    board.images?.setRows(images, at: Tensor(entry.outcomes.map(\.place)).to(images.device))
    guard let keepBroken else { return }
    for (row, outcome) in entry.outcomes.enumerated() {
      guard let first = board.firstBreak(outcome, from: stage.point, isBounded: stage.attack.isBounded) else {
        continue
      }
      try keepBroken(
        BrokenImage(
          image: images[row], index: data.indices[outcome.place], label: board.labels[outcome.place],
          answer: outcome.after, answerRounded: outcome.picture?.after,
          deceivesRounded: outcome.picture?.isBroken == true, epsilon: budgets[first]))
    }
  }

  /// - Throws: `InputError` if the attack did not keep to the pixel range or its budget.
  static func check(_ images: Tensor, _ samples: Samples, _ attack: any Attack) throws(InputError) {
    func fail(_ what: String, _ expected: String, _ found: String) -> InputError {
      InputError("the attack \(attack.name) \(what)", expected: expected, found: found, remedy: "mend the attack")
    }
    guard images.shape == samples.images.shape else {
      throw fail("returned images of another shape", "\(samples.images.shape)", "\(images.shape)")
    }
    guard images.isFinite().all(), images.min().item() >= 0, images.max().item() <= 1 else {
      throw fail("left the pixel range", "0 to 1", "\(images.min().item()) to \(images.max().item())")
    }
    guard attack.isBounded, let epsilon = attack.epsilon else { return }
    let size = (images - samples.images).perSample(attack.norm).max().item()
    guard size <= epsilon + attack.norm.tolerance(epsilon) else {
      throw fail("left its budget", "\(attack.norm.rawValue) of at most \(epsilon)", "\(size)")
    }
  }
}

/// An image that deceives a model.
public struct BrokenImage {
  /// float32 pixels in [0, 1], `[C, H, W]`.
  public let image: Tensor
  /// Its place in the data set.
  public let index: Int
  public let label: Int
  /// The model's answer to it, and to it with pixels rounded to 8 bits; nil where that is no finite number.
  public let answer: Int?
  public let answerRounded: Int?
  /// Whether the rounded one still counts as broken.
  public let deceivesRounded: Bool
  /// The smallest budget of the run that it lies within, in pixel units; nil: any distance.
  public let epsilon: Double?
}
