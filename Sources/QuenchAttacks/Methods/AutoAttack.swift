import QuenchSupport
import QuenchTorch

/// AutoAttack (Croce and Hein 2020): attacks without knobs, one after the other, each on the samples that the ones
/// before left. Robust accuracy is what survives all of them.
///
/// This is the reference's choice of attacks, steps and restarts. With fewer steps, queries or targets it is not AutoAttack
/// any more: it gives other figures, under another name.
public struct AutoAttack: Equatable, Codable, Sendable {
  public enum Version: String, CaseIterable, Codable, Sendable {
    /// APGD-CE, APGD-T, FAB-T, Square.
    case standard
    /// APGD-CE, APGD-DLR, FAB and Square with five restarts, APGD-T, FAB-T.
    case plus
    /// APGD-CE and APGD-DLR for randomised models, gradients averaged over 20 passes.
    case rand
    /// The attacks of `standard`, each on all samples.
    case individual

    /// Whether Square is among its attacks.
    public var takesQueries: Bool { self != .rand }
  }

  public var version = Version.standard
  public var norm = Norm.linf
  /// In pixel units.
  public var budget = 8.0 / 255
  /// Iterations of APGD and FAB.
  public var steps = 100
  /// Queries of Square.
  public var queries = 5000
  /// Classes that APGD-T and FAB-T aim at; fewer where the model knows fewer.
  public var targets = 9

  /// Gradients that `rand` averages.
  public static let randomisedSamples = 20

  /// `autoattack`, or `autoattack-reduced` where a number lies below the published one.
  public var name: String { reductions.isEmpty ? "autoattack" : "autoattack-reduced" }

  /// What lies below the published numbers.
  private var reductions: [String] {
    let standard = AutoAttack()
    let numbers = [
      ("steps", steps, standard.steps),
      ("queries", version.takesQueries ? queries : standard.queries, standard.queries),
      ("targets", targets, standard.targets)
    ]
    return numbers.filter { $0.1 < $0.2 }.map { "\($0.1) \($0.0) instead of \($0.2)" }
  }

  public init(_ version: Version = .standard, norm: Norm = .linf, epsilon: Double = 8.0 / 255) {
    self.version = version
    self.norm = norm
    budget = epsilon
  }

  /// The attacks in order, and what a reader must know of them: what was changed for a model of few classes, and what
  /// lies below the published numbers.
  public func attacks(for model: AttackedModel) -> (attacks: [any Attack], findings: [Finding]) {
    let count = min(targets, model.classes - 1)
    var targetedAPGD = TargetedAPGD(norm: norm, epsilon: budget)
    targetedAPGD.targets = count
    targetedAPGD.run.steps = steps
    var square = Square(norm: norm, epsilon: budget)
    square.queries = queries
    let targetedFAB = fab(targets: count, restarts: 1)
    let attacks: [any Attack] =
      switch (version, model.classes) {
      case (.rand, 2): [apgd(.crossEntropy, restarts: 1)]
      case (.rand, _): [apgd(.crossEntropy, restarts: 1), apgd(.dlr, restarts: 1)]
      // Towards the only other class FAB-T does what FAB does from its first start.
      case (.plus, 2): [apgd(.crossEntropy, restarts: 5), fab(targets: nil, restarts: 5), square]
      case (_, 2): [apgd(.crossEntropy, restarts: 5), targetedFAB, square]
      case (.plus, 3):
        [
          apgd(.crossEntropy, restarts: 5), apgd(.dlr, restarts: 5), fab(targets: nil, restarts: 5), square,
          targetedFAB
        ]
      case (_, 3): [apgd(.crossEntropy, restarts: 1), apgd(.dlr, restarts: 1), targetedFAB, square]
      case (.plus, _):
        [
          apgd(.crossEntropy, restarts: 5), apgd(.dlr, restarts: 5), fab(targets: nil, restarts: 5), square,
          targetedAPGD, targetedFAB
        ]
      default: [apgd(.crossEntropy, restarts: 1), targetedAPGD, targetedFAB, square]
      }
    return (attacks, reduced + fewClasses(model.classes, count))
  }

  private var reduced: [Finding] {
    guard !reductions.isEmpty else { return [] }
    return [
      Finding(
        .reduced,
        "the attacks had \(reductions.joined(separator: ", ")): this is not AutoAttack, whose robust accuracy "
          + "is most likely lower")
    ]
  }

  private func fewClasses(_ classes: Int, _ count: Int) -> [Finding] {
    let change: String? =
      switch classes {
      case 2 where version == .rand:
        "the model knows 2 classes: the DLR loss needs three, so APGD-CE runs alone"
      case 2:
        "the model knows 2 classes: the DLR losses need three and four, so APGD-CE has five random starts in place of "
          + "APGD-T" + (version == .plus ? " and APGD-DLR" : "")
      case 3 where version != .rand:
        "the model knows 3 classes: the targeted DLR loss needs four, so APGD-DLR takes APGD-T's place"
      case 3: nil
      default:
        count < targets && version != .rand
          ? "the targeted attacks aim at the \(count) other classes instead of at \(targets)" : nil
      }
    return change.map { [Finding(.fewClasses, $0)] } ?? []
  }

  private func apgd(_ loss: AttackLoss, restarts: Int) -> APGD {
    var attack = APGD(loss, norm: norm, epsilon: budget)
    attack.steps = steps
    attack.restarts = restarts
    return attack
  }

  private func fab(targets: Int?, restarts: Int) -> FAB {
    var attack = FAB(norm: norm, epsilon: budget, targets: targets)
    attack.steps = steps
    attack.restarts = restarts
    return attack
  }
}
