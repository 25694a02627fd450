import Support
import Torch

/// The attacks that can be had by name.
public enum AttackName: String, CaseIterable, Codable, Sendable {
  case fgsm
  case pgd
  case bim
  case momentumFGSM = "mi-fgsm"
  case carliniWagner = "cw"
  case deepFool = "deepfool"
  case apgdCE = "apgd-ce"
  case apgdDLR = "apgd-dlr"
  case apgdT = "apgd-t"
  case fab
  case fabT = "fab-t"
  case square
  case feature
  case stAdv = "stadv"
  case uniformNoise = "noise-uniform"
  case gaussianNoise = "noise-gaussian"

  /// What it is and where it comes from, in one line.
  public var summary: String {
    switch self {
    case .fgsm: "one step along the gradient's sign (Goodfellow et al. 2015)"
    case .pgd: "projected gradient descent from a random point (Madry et al. 2018)"
    case .bim: "the same from the image itself (Kurakin et al. 2017)"
    case .momentumFGSM: "iterations with momentum, which transfer better (Dong et al. 2018)"
    case .carliniWagner: "the smallest L2 perturbation by Adam and bisection (Carlini and Wagner 2017)"
    case .deepFool: "steps to the nearest linearised boundary (Moosavi-Dezfooli et al. 2016)"
    case .apgdCE: "Auto-PGD on the cross-entropy (Croce and Hein 2020)"
    case .apgdDLR: "Auto-PGD on the difference of logits ratio"
    case .apgdT: "Auto-PGD towards each of nine classes"
    case .fab: "the smallest perturbation by projections on boundaries (Croce and Hein 2020)"
    case .fabT: "the same, one target class at a time"
    case .square: "random search with squares, from answers alone (Andriushchenko et al. 2020)"
    case .feature: "moves the features to those of another image (Sabour et al. 2016)"
    case .stAdv: "moves pixels along a smooth flow field instead of changing them (Xiao et al. 2018)"
    case .uniformNoise: "uniform noise of the budget's size: the floor"
    case .gaussianNoise: "Gaussian noise of the budget's size: the floor"
    }
  }

  /// Norms that it knows.
  public var norms: [Norm] {
    switch self {
    case .fgsm, .pgd, .apgdCE, .apgdDLR, .apgdT, .square, .uniformNoise, .gaussianNoise, .deepFool: [.linf, .l2]
    case .fab, .fabT: [.linf, .l2, .l1]
    case .bim, .momentumFGSM, .feature, .stAdv: [.linf]
    case .carliniWagner: [.l2]
    }
  }

  /// Whether it works within a budget; the others look for the smallest perturbation, or for one of any size.
  public var isBounded: Bool {
    switch self {
    case .carliniWagner, .deepFool, .fab, .fabT, .stAdv: false
    default: true
    }
  }
}

/// What a user may set of an attack; nil takes the attack's own default.
public struct AttackSettings: Hashable, Sendable {
  public var norm: Norm?
  public var epsilon: PixelBudget?
  public var stepSize: PixelBudget?
  public var steps: Int?
  public var restarts: Int?
  public var queries: Int?
  public var targets: Int?
  public var confidence: Double?
  /// Whether samples leave the batch with their first adversarial image, where an attack leaves the choice.
  public var stopsAtSuccess: Bool?
  /// Whether the smallest perturbation is wanted, not only one within the budget.
  public var searchesSmallest = false

  public init() {}

  /// The attack of that name with these settings.
  /// - Throws: `InputError` for a norm that the attack does not know or a value out of range.
  public func make(_ name: AttackName) throws(InputError) -> any Attack {
    let norm = norm ?? name.norms[0]
    guard name.norms.contains(norm) else {
      throw InputError(
        "the attack \(name.rawValue) does not know this norm", at: "--norm",
        expected: name.norms.map(\.rawValue).joined(separator: " or "), found: norm.rawValue)
    }
    let budget = epsilon ?? PixelBudget(norm == .linf ? 8.0 / 255 : (norm == .l2 ? 0.5 : 12))
    try budget.validate(for: norm, at: "--epsilon")
    for (flag, value) in [
      ("--steps", steps), ("--restarts", restarts), ("--queries", queries), ("--targets", targets)
    ] {
      guard (value ?? 1) > 0 else {
        throw InputError("out of range", at: flag, expected: "at least 1", found: "\(value ?? 0)")
      }
    }
    return make(name, norm, budget.value)
  }

  private func make(_ name: AttackName, _ norm: Norm, _ epsilon: Double) -> any Attack {
    switch name {
    case .fgsm:
      var attack = FGSM()
      (attack.norm, attack.budget) = (norm, epsilon)
      return attack
    case .pgd, .bim:
      var attack = name == .bim ? PGD.bim(epsilon: epsilon) : PGD()
      (attack.norm, attack.budget, attack.stepSize) = (norm, epsilon, stepSize?.value)
      attack.steps = steps ?? attack.steps
      attack.restarts = restarts ?? 1
      attack.stopsAtSuccess = stopsAtSuccess ?? true
      return attack
    case .momentumFGSM:
      var attack = MomentumFGSM()
      (attack.budget, attack.stepSize) = (epsilon, stepSize?.value)
      attack.steps = steps ?? attack.steps
      attack.stopsAtSuccess = stopsAtSuccess ?? true
      return attack
    case .carliniWagner:
      var attack = CarliniWagner()
      attack.epsilon = searchesSmallest ? nil : epsilon
      attack.steps = steps ?? attack.steps
      attack.confidence = confidence ?? 0
      return attack
    case .deepFool:
      var attack = DeepFool()
      (attack.norm, attack.epsilon) = (norm, searchesSmallest ? nil : epsilon)
      attack.steps = steps ?? attack.steps
      return attack
    case .apgdCE, .apgdDLR:
      var attack = APGD(name == .apgdCE ? .crossEntropy : .dlr, norm: norm, epsilon: epsilon)
      attack.steps = steps ?? attack.steps
      attack.restarts = restarts ?? 1
      attack.stopsAtSuccess = stopsAtSuccess ?? true
      return attack
    case .apgdT:
      var attack = TargetedAPGD(norm: norm, epsilon: epsilon)
      attack.run.steps = steps ?? attack.run.steps
      attack.targets = targets ?? attack.targets
      attack.run.stopsAtSuccess = stopsAtSuccess ?? true
      return attack
    case .fab, .fabT:
      var attack = FAB(
        norm: norm, epsilon: searchesSmallest ? nil : epsilon, targets: name == .fabT ? targets ?? 9 : nil)
      attack.steps = steps ?? attack.steps
      attack.restarts = restarts ?? 1
      return attack
    case .square:
      var attack = Square(norm: norm, epsilon: epsilon)
      attack.queries = queries ?? attack.queries
      return attack
    case .feature:
      var attack = FeatureAdversary()
      attack.budget = epsilon
      attack.steps = steps ?? attack.steps
      return attack
    case .stAdv:
      var attack = StAdv()
      attack.epsilon = searchesSmallest ? nil : epsilon
      attack.steps = steps ?? attack.steps
      return attack
    case .uniformNoise, .gaussianNoise:
      var attack = NoiseBaseline()
      attack.distribution = name == .uniformNoise ? .uniform : .gaussian
      (attack.norm, attack.budget) = (norm, epsilon)
      return attack
    }
  }
}
