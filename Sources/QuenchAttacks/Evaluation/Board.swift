import QuenchSupport
import QuenchTorch
import QuenchVision

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
  private let shape: [Int]
  private let classes: [Int]
  let labels: [Int]
  private let indices: [Int]
  let budgets: [Double?]
  /// By budget and place.
  private var standings: [[Standing]]
  private var shares: [AttackReport.Share] = []
  private var current = AttackReport.Share()
  /// By attack in the order of their turns: the samples that it took gradients of, and those at which one vanished.
  private(set) var gradients: [(attack: String, asked: Set<Int>, vanished: Set<Int>)] = []
  /// Samples that the model answered with what is no finite number.
  private(set) var undefined = Set<Int>()
  /// By budget, the robust samples that a probe was made on and those that it broke.
  private(set) var probes: [(name: String, tried: Set<Int>, broken: Set<Int>)]
  private var seconds = 0.0
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
    let unanswered = data.count - logits.areDefined().nonzeroCount()
    guard unanswered == 0 else {
      throw InputError(
        "the network answers NaN or infinity to \(unanswered) of \(data.count) clean images", at: model.name,
        expected: "finite logits", remedy: "check its weights: no accuracy can be told of it")
    }
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
    probes = Array(repeating: ("", [], []), count: budgets.count)
    shape = data.shape
  }

  func isCorrect(_ place: Int) -> Bool { classes[place] == labels[place] }

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
    note(entry)
    for outcome in entry.outcomes {
      current.queries += outcome.queries
      current.gradients += outcome.gradients
      for other in point..<budgets.count {
        let counts = isBreak(outcome, at: other, isBounded: spans == nil)
        if counts, other == point { current.broken += 1 }
        note(outcome, attack: entry.attack, at: other, isBroken: counts, isOwn: other == point || spans != nil)
      }
    }
  }

  /// What the samples say of gradients and answers.
  private mutating func note(_ entry: AttackJournal.Entry) {
    undefined.formUnion(entry.outcomes.lazy.filter(\.isUndefined).map(\.place))
    let asked = entry.outcomes.filter { $0.gradients > 0 }
    guard !asked.isEmpty else { return }
    let index = gradients.firstIndex { $0.attack == entry.attack } ?? gradients.endIndex
    if index == gradients.endIndex { gradients.append((entry.attack, [], [])) }
    gradients[index].asked.formUnion(asked.lazy.map(\.place))
    gradients[index].vanished.formUnion(asked.lazy.filter(\.hasVanished).map(\.place))
  }

  /// Takes in what a probe found at `point`: it stands beside the attacks' figures and changes none.
  mutating func applyProbe(_ entry: AttackJournal.Entry, at point: Int) {
    seconds += entry.seconds
    undefined.formUnion(entry.outcomes.lazy.filter(\.isUndefined).map(\.place))
    probes[point].name = entry.attack
    probes[point].tried.formUnion(entry.outcomes.lazy.map(\.place))
    let broken = entry.outcomes.lazy.filter(\.isBroken).map(\.place)
    for other in point..<budgets.count { probes[other].broken.formUnion(broken) }
  }

  /// The samples that a probe is made on: those that withstood every attack, but for those that a probe within a smaller
  /// budget has broken.
  func survivors(at point: Int) -> [Int] {
    labels.indices.filter { isRobust($0, point) && !probes[point].broken.contains($0) }
  }

  /// The smallest budget from `point` on at which the outcome breaks a sample that is not broken there yet.
  func firstBreak(_ outcome: AttackJournal.Outcome, from point: Int, isBounded: Bool) -> Int? {
    (point..<(isBounded ? point + 1 : budgets.count)).first {
      isBreak(outcome, at: $0, isBounded: isBounded) && !standings[$0][outcome.place].isBroken
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
    current.usesGradients = attack.usesGradients
    current.epsilon = budgets[point]
    current.tried = tried
    current.robustAfter =
      mode == .individual ? tried - current.broken : standings[point].indices.count { isRobust($0, point) }
    shares.append(current)
    current = AttackReport.Share()
    for remark in attack.remarks(on: shape) where !findings.contains(remark) { findings.append(remark) }
  }

  func isRobust(_ place: Int, _ point: Int) -> Bool {
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
      loss: outcome.loss, afterRounding: standing.isBroken ? outcome.picture?.after : nil,
      isBrokenRounded: standing.isBroken && outcome.picture?.isBroken == true,
      sizeRounded: standing.isBroken ? outcome.picture?.size : nil, isUndefined: outcome.isUndefined)
  }

  /// Whether probes broke what the attacks left within the budget.
  private func isProbed(_ point: Int) -> Bool { probes[point].broken.contains { isRobust($0, point) } }

  /// Sums everything up.
  func report(expected: Double?, _ mode: AttackEvaluator.Mode) -> AttackReport {
    let points = budgets.indices.map { point in
      AttackReport.Point(epsilon: budgets[point], rows: labels.indices.map { row(point, $0) })
    }
    // Nothing is tried where probes within smaller budgets broke all that the attacks left.
    let probed = budgets.indices.filter { !probes[$0].tried.isEmpty || isProbed($0) }.map { point in
      let left = labels.indices.count { isRobust($0, point) && !probes[point].broken.contains($0) }
      return AttackReport.Probe(
        attack: probes[...point].last { !$0.name.isEmpty }?.name ?? "", epsilon: budgets[point],
        robust: Accuracy(correct: left, count: labels.count))
    }
    let clean = Accuracy(correct: labels.indices.count { isCorrect($0) }, count: labels.count)
    var report = AttackReport(
      model: model, norm: norm, clean: clean, points: points, shares: shares, probes: probed,
      undefined: undefined.count, findings: findings, seconds: seconds, images: images)
    report.findings += closing(report, expected, mode)
    return report
  }
}
