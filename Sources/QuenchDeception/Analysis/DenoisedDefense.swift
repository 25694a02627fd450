import QuenchAttacks
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Accuracies of a classifier behind a denoiser, under one attacker with one budget.
public struct DefenseFigures: Codable, Hashable, Sendable {
  /// The model that is judged.
  public var model: String
  /// What the attacker knows.
  public var attacker: String
  /// In pixel units.
  public var epsilon: Double
  public var cleanAccuracy: Double
  /// Nil where the model answers NaN or infinity.
  public var robustAccuracy: AccuracyFigure?
  /// Images.
  public var n: Int
  public var findings: [Finding]

  /// `does not know the denoiser, 8/255`
  public var title: String { "\(attacker), \(budget)" }
  /// `8/255`
  public var budget: String { "\(NumberText.fixed(epsilon * 255, decimals: 0))/255" }
}

extension RedEvaluation {
  /// What the denoiser is worth as a defense of `victim`: attacks that do not know it, and attacks that do.
  /// - Parameters:
  ///   - data: Clean images and labels.
  ///   - victim: Defended.
  ///   - denoiser: D with gradients.
  ///   - seed: Of the attacks.
  /// - Returns: Accuracies by attacker and budget; an attacker that knows the denoiser is always among them.
  /// - Throws: `InputError` if model and images do not fit together.
  public func defense(
    _ data: ImageDataset, of victim: Victim, denoiser: Network, seed: UInt64
  ) throws -> [DefenseFigures] {
    let frozen = denoiser.foldingBatchNorm()
    let defended = victim.model.behind("denoiser") { frozen($0) }
    let bpda = victim.model.behind("denoiser", knowledge: .identity) { frozen($0) }
    var rows: [DefenseFigures] = []
    func attack(_ model: AttackedModel, _ knowledge: String, judgedOn judge: AttackedModel) throws {
      for epsilon in [2.0, 4, 8].map({ $0 / 255 }) {
        var pgd = PGD()
        (pgd.budget, pgd.steps, pgd.stopsAtSuccess) = (epsilon, 20, model === judge)
        var evaluator = AttackEvaluator([model === judge ? pgd : Transfer(pgd, from: model)] as [any Attack])
        evaluator.seed = seed
        let report = try evaluator.run(on: judge, AttackData(data))
        rows.append(
          DefenseFigures(
            model: judge.name, attacker: knowledge, epsilon: epsilon, cleanAccuracy: report.clean.fraction,
            robustAccuracy: report.figure(of: report.robust), n: report.clean.count, findings: report.findings))
      }
    }
    try attack(victim.model, "no defense", judgedOn: victim.model)
    try attack(victim.model, "does not know the denoiser", judgedOn: defended)
    try attack(bpda, "takes the denoiser for the identity", judgedOn: defended)
    try attack(defended, "knows the denoiser", judgedOn: defended)
    return rows
  }
}
