import Support
import Torch
import Vision

/// The state of an evaluation: what became of each sample at each budget so far.
struct Board {
  /// What is known of a sample at a budget.
  private struct Standing {
    var outcome: AttackJournal.Outcome
    var attack = ""
    var isBroken = false
    var isSettled = false
  }

  /// The model's answers to the clean images, `[N, classes]`.
  let logits: Tensor
  var findings: [Finding]
  /// The returned images, where they are kept.
  var images: Tensor?
  /// Forward passes that judge an image.
  private(set) var passes: Int
  private let model: String
  private let classes: [Int]
  private let labels: [Int]
  private let indices: [Int]
  private let budgets: [Double?]
  /// By budget and place.
  private var standings: [[Standing]]
  private var shares: [AttackReport.Share] = []
  private var current = AttackReport.Share(
    attack: "", epsilon: nil, tried: 0, broken: 0, robustAfter: 0, queries: 0, gradients: 0, seconds: 0)
  private var vanished = Set<Int>()
  private var seconds = 0.0
  private let isSquareImage: Bool
  /// In which distances are compared with budgets.
  private let norm: Norm

  private static let passesOfRandomised = 20

  /// Asks the model about the clean images.
  init(
    _ model: AttackedModel, _ data: AttackData, budgets: [Double?], norm: Norm, batchSize: Int, judgements: Int?
  ) throws(InputError) {
    self.norm = norm
    passes = judgements ?? 1
    var answers: [Tensor] = []
    var findings: [Finding] = []
    for start in stride(from: 0, to: data.count, by: batchSize) {
      let places = Tensor(Array(start..<min(data.count, start + batchSize))).to(data.labels.device)
      let images = data.pixels(at: places).to(model.device)
      if start == 0 {
        findings = try ModelProbe.findings(model, images, labels: data.labels.selecting(places).to(model.device))
        let isRandomised = findings.contains { $0.kind == .randomised }
        if isRandomised, judgements == nil { passes = Self.passesOfRandomised }
      }
      let logits = model.score(images, passes: passes)
      try ModelProbe.check(model, images, logits)
      answers.append(logits)
    }
    logits = .concatenated(answers)
    self.findings = findings
    self.model = model.name
    self.budgets = budgets
    classes = logits.argmax(1).array(Int64.self).map { Int($0) }
    labels = data.labels.array(Int64.self).map { Int($0) }
    indices = data.indices
    let losses = logits.crossEntropy(data.labels.to(model.device), reduction: .none).array(Float.self)
    let before = zip(classes, losses).enumerated().map { place, answer in
      Standing(outcome: .init(place: place, after: answer.0, isBroken: false, loss: Double(answer.1)))
    }
    standings = Array(repeating: before, count: budgets.count)
    isSquareImage = data.shape.count != 3 || data.shape[1] == data.shape[2]
  }

  private func isCorrect(_ place: Int) -> Bool { classes[place] == labels[place] }

  /// The places that an attack works on.
  func work(at point: Int, _ mode: AttackEvaluator.Mode) -> [Int] {
    labels.indices.filter { isCorrect($0) && (mode == .individual || !standings[point][$0].isBroken) }
  }

  /// Takes in what an attack did at `point`.
  /// - Parameter spans: For an attack without a budget: at how many points the result counts.
  mutating func apply(
    _ entry: AttackJournal.Entry, at point: Int, spans: Int?, _ mode: AttackEvaluator.Mode
  ) {
    seconds += entry.seconds
    current.seconds += entry.seconds
    for outcome in entry.outcomes {
      if outcome.hasVanished { vanished.insert(outcome.place) }
      current.queries += outcome.queries
      current.gradients += outcome.gradients
      for other in point..<budgets.count {
        let counts = isBreak(outcome, at: other, isBounded: spans == nil)
        if counts, other == point { current.broken += 1 }
        note(outcome, attack: entry.attack, at: other, isBroken: counts, isOwn: other == point || spans != nil)
      }
    }
  }

  /// Whether an answer is changed within the budget; a bounded attack has been checked for that already.
  func isBreak(_ outcome: AttackJournal.Outcome, at point: Int, isBounded: Bool) -> Bool {
    outcome.isBroken && (isBounded || budgets[point].map { outcome.size(norm) <= $0 + norm.tolerance($0) } ?? true)
  }

  private mutating func note(
    _ outcome: AttackJournal.Outcome, attack: String, at point: Int, isBroken: Bool, isOwn: Bool
  ) {
    var standing = standings[point][outcome.place]
    if isOwn {
      standing.outcome.queries += outcome.queries
      standing.outcome.gradients += outcome.gradients
    }
    if isBroken && !standing.isBroken {
      let spent = (standing.outcome.queries, standing.outcome.gradients)
      standing.outcome = outcome
      (standing.outcome.queries, standing.outcome.gradients) = isOwn ? spent : (outcome.queries, outcome.gradients)
      (standing.isBroken, standing.attack) = (true, attack)
    }
    standings[point][outcome.place] = standing
  }

  /// Ends an attack's turn at a budget.
  mutating func close(_ attack: any Attack, at point: Int, tried: Int, _ mode: AttackEvaluator.Mode) {
    current.attack = attack.name
    current.epsilon = budgets[point]
    current.tried = tried
    current.robustAfter =
      mode == .individual ? tried - current.broken : standings[point].indices.count { isRobust($0, point) }
    shares.append(current)
    current = AttackReport.Share(
      attack: "", epsilon: nil, tried: 0, broken: 0, robustAfter: 0, queries: 0, gradients: 0, seconds: 0)
    if attack is Square, !isSquareImage {
      findings.append(
        Finding(.notSquare, "the images are not square: Square's windows are bounded by the shorter side"))
    }
  }

  private func isRobust(_ place: Int, _ point: Int) -> Bool {
    isCorrect(place) && !standings[point][place].isBroken
  }

  func robustShare(at point: Int) -> Double {
    Double(labels.indices.count { isRobust($0, point) }) / Double(max(1, labels.count))
  }

  /// The samples that have become final: at the start those that were wrong, then those that were broken, and at the end
  /// all others.
  mutating func settled(
    after point: Int?, _ mode: AttackEvaluator.Mode, isLast: Bool
  ) -> [(point: Int, place: Int)] {
    var result: [(Int, Int)] = []
    for other in budgets.indices {
      for place in labels.indices where !standings[other][place].isSettled {
        let isFinal = !isCorrect(place) || mode == .ensemble && standings[other][place].isBroken || isLast
        guard isFinal else { continue }
        standings[other][place].isSettled = true
        result.append((other, place))
      }
    }
    return result
  }

  func rows(of cells: [(point: Int, place: Int)]) -> [AttackRow] { cells.map { row($0.point, $0.place) } }

  private func row(_ point: Int, _ place: Int) -> AttackRow {
    let standing = standings[point][place]
    let outcome = standing.outcome
    return AttackRow(
      index: indices[place], label: labels[place], epsilon: budgets[point], before: classes[place],
      after: outcome.after, isBroken: standing.isBroken, attack: standing.attack, linf: outcome.linf,
      l2: outcome.l2, l1: outcome.l1, l0: outcome.l0, queries: outcome.queries, gradients: outcome.gradients,
      loss: outcome.loss)
  }

  /// Sums everything up.
  func report(expected: Double?, _ mode: AttackEvaluator.Mode) -> AttackReport {
    let points = budgets.indices.map { point in
      AttackReport.Point(epsilon: budgets[point], rows: labels.indices.map { row(point, $0) })
    }
    let clean = Accuracy(correct: labels.indices.count { isCorrect($0) }, count: labels.count)
    var report = AttackReport(
      model: model, norm: norm, clean: clean, points: points, shares: shares, findings: findings, seconds: seconds,
      images: images)
    report.findings += closing(report, expected, mode)
    return report
  }

  /// What the figures themselves tell.
  private func closing(
    _ report: AttackReport, _ expected: Double?, _ mode: AttackEvaluator.Mode
  ) -> [Finding] {
    var findings: [Finding] = []
    let count = labels.count
    if report.clean.correct == 0 {
      findings.append(
        Finding(.nothingToAttack, "all \(count) samples were misclassified before any attack: no attack was run"))
    }
    if let expected, abs(expected - report.clean.fraction) > 0.01 {
      findings.append(
        Finding(
          .cleanAccuracy,
          "the clean accuracy is \(report.clean.fraction), not the expected \(expected): "
            + "are images, labels and normalisation the model's own?"))
    }
    if budgets.contains(0) {
      findings.append(Finding(.emptyBudget, "the budget is 0: the robust accuracy is the clean accuracy"))
    }
    if !vanished.isEmpty {
      findings.append(
        Finding(
          .zeroGradient,
          "the gradient is zero where APGD sets out at \(vanished.count) of \(count) samples: the loss may be saturated "
            + "or the model not differentiable"))
    }
    let squares = report.shares.filter { $0.attack == "square" }
    let others = report.shares.filter { $0.attack != "square" && !$0.attack.hasPrefix("noise") }
    if let square = squares.last,
      let best = others.filter({ $0.epsilon == square.epsilon }).map(\.robustAfter).min(),
      Double(best - square.robustAfter) > 0.002 * Double(count), mode == .individual || square.tried > 0
    {
      findings.append(
        Finding(
          .maskedGradient,
          "Square, which uses no gradient, lowers the accuracy by \(best - square.robustAfter) samples below the attacks "
            + "with gradients: they are unreliable here"))
    }
    return findings
  }
}
