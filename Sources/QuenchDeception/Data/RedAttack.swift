import QuenchAttacks
import QuenchTorch

/// How strong an attack of the data set is; `out` lies outside the range that is trained on.
public enum RedLevel: String, CaseIterable, Codable, Sendable {
  case weak, medium, strong, out

  fileprivate var rank: Int {
    switch self {
    case .weak: 0
    case .medium: 1
    case .strong: 2
    case .out: 3
    }
  }
}

/// The attacks of the data set. The first three are trained on, the others are for tests alone.
public enum RedAttack: String, CaseIterable, Codable, Sendable {
  case fgsm, pgd, cw
  case autoAttackLinf = "autoattack-linf"
  case autoAttackL2 = "autoattack-l2"
  case square
  case feature
  case deepFool = "deepfool"
  case momentumFGSM = "mi-fgsm"
  case stAdv = "stadv"

  public static let seen: [RedAttack] = [.fgsm, .pgd, .cw]
  public static let unseen: [RedAttack] = allCases.filter { !seen.contains($0) }

  /// The evaluator that makes the cell's images.
  /// - Parameters:
  ///   - level: How strong; attacks for tests alone have one strength.
  ///   - victim: Under attack.
  ///   - guides: Images and labels that a feature attack aims at.
  func evaluator(_ level: RedLevel, on victim: Victim, guides: (Tensor, Tensor)) -> AttackEvaluator {
    let epsilon = [4.0, 8, 12, 16][level.rank] / 255
    switch self {
    case .fgsm: return AttackEvaluator([FGSM().bounded(by: epsilon)])
    case .pgd:
      var attack = PGD()
      (attack.budget, attack.steps) = (epsilon, level == .out ? 20 : 10)
      attack.stepSize = [1.0, 2, 3, 2][level.rank] / 255
      return AttackEvaluator([attack])
    case .cw:
      var attack = CarliniWagner()
      (attack.confidence, attack.steps) = ([0, 2, 5, 10][level.rank], 200)
      return AttackEvaluator([attack])
    case .autoAttackLinf: return AttackEvaluator(AutoAttack(.standard, epsilon: 8.0 / 255), for: victim.model)
    case .autoAttackL2: return AttackEvaluator(AutoAttack(.standard, norm: .l2, epsilon: 0.5), for: victim.model)
    case .square: return AttackEvaluator([Square(norm: .linf, epsilon: 8.0 / 255)])
    case .feature:
      var attack = FeatureAdversary()
      attack.guides = guides
      return AttackEvaluator([attack])
    case .deepFool: return AttackEvaluator([DeepFool()])
    case .momentumFGSM: return AttackEvaluator([MomentumFGSM()])
    case .stAdv: return AttackEvaluator([StAdv()])
    }
  }
}
