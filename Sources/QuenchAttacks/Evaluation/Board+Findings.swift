import QuenchReporting

extension Board {
  /// What the figures themselves tell.
  func closing(_ report: AttackReport, _ expected: Double?, _ mode: AttackEvaluator.Mode) -> [Finding] {
    var findings: [Finding] = []
    let count = labels.count
    if report.clean.correct == 0 {
      findings.append(
        Finding(
          .nothingToAttack, "no sample of \(count) was classified right before any attack: no attack was run"))
    }
    if let expected, abs(expected - report.clean.fraction) > 0.01 {
      findings.append(
        Finding(
          .cleanAccuracy,
          "the clean accuracy is \(report.clean.fraction), not the expected \(expected): "
            + "are images, labels and normalization the model's own?"))
    }
    if budgets.allSatisfy({ $0 == 0 }) {
      findings.append(Finding(.emptyBudget, "the budget is 0: the robust accuracy is the clean accuracy"))
    }
    if !undefined.isEmpty {
      findings.append(
        Finding(
          .undefined,
          "the network answers NaN or infinity to attacked versions of \(undefined.count) of \(count) images: no "
            + "robust accuracy can be told"))
    }
    return findings + vanishing + black(report, mode) + probed(report)
  }

  /// Gradients that are zero, attack by attack.
  private var vanishing: [Finding] {
    let counts = gradients.filter { !$0.vanished.isEmpty }.map { entry in
      "\(entry.vanished.count) of \(entry.asked.count) images attacked by \(entry.attack)"
    }
    guard !counts.isEmpty else { return [] }
    return [
      Finding(
        .zeroGradient,
        "the gradient vanishes at \(counts.joined(separator: ", at ")) before they are broken: the loss is saturated "
          + "or the model not differentiable there, and what survives need not be robust")
    ]
  }

  /// Attacks without gradients that break what those with gradients left.
  private func black(_ report: AttackReport, _ mode: AttackEvaluator.Mode) -> [Finding] {
    let white = report.shares.filter(\.usesGradients)
    for black in report.shares.reversed() where !black.usesGradients && (mode == .individual || black.tried > 0) {
      guard let best = white.filter({ $0.epsilon == black.epsilon }).map(\.robustAfter).min(),
        Double(best - black.robustAfter) > 0.002 * Double(labels.count)
      else { continue }
      return [
        Finding(
          .maskedGradient,
          "\(black.attack), which uses no gradient, leaves \(share(black.robustAfter)) robust where the attacks with "
            + "gradients leave \(share(best)): they are unreliable here")
      ]
    }
    return []
  }

  /// Probes that break what the attacks left: the budget at which they disagree most.
  private func probed(_ report: AttackReport) -> [Finding] {
    let gaps = budgets.indices.map { point in
      (point: point, broken: probes[point].broken.filter { isRobust($0, point) })
    }
    guard let worst = gaps.max(by: { $0.broken.count < $1.broken.count }), !worst.broken.isEmpty else { return [] }
    let left = labels.indices.count { isRobust($0, worst.point) }
    let budget = budgets.count > 1 ? budgets[worst.point].map { " at \(PixelBudget($0))" } ?? "" : ""
    let names = Set(report.shares.map(\.attack)).sorted()
    let attacks =
      "the attack\(names.count > 1 ? "s" : "") \(names.joined(separator: " and ")) leave\(names.count > 1 ? "" : "s")"
    let isMasked = gradients.contains { !$0.vanished.isDisjoint(with: worst.broken) }
    let name = probes[0...worst.point].last { !$0.name.isEmpty }?.name ?? ""
    let figures =
      "\(attacks) \(share(left)) robust\(budget), and a short probe by \(name) of what it left leaves "
      + share(left - worst.broken.count)
    return [
      isMasked
        ? Finding(.maskedGradient, figures + ": the cross-entropy hides what the margins of the logits show")
        : Finding(.weakAttack, figures + ": the attack is too weak for its figure to be the network's")
    ]
  }

  /// `30.00 % (18 of 60)`
  private func share(_ robust: Int) -> String {
    "\(NumberText.percent(Double(robust) / Double(max(1, labels.count)))) (\(robust) of \(labels.count))"
  }
}
