import Support
import Torch

/// AutoAttack (Croce and Hein 2020): attacks without knobs, one after the other, each on the samples that the ones
/// before left. Robust accuracy is what survives all of them.
///
/// This is the reference's choice of attacks, steps and restarts. Packages that run fewer steps under the same name give
/// other figures.
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

  public init(_ version: Version = .standard, norm: Norm = .linf, epsilon: Double = 8.0 / 255) {
    self.version = version
    self.norm = norm
    budget = epsilon
  }

  /// The attacks in order, and what was changed for a model of few classes.
  public func attacks(for model: AttackedModel) -> (attacks: [any Attack], findings: [Finding]) {
    let count = min(targets, model.classes - 1)
    var findings: [Finding] = []
    var targetedAPGD = TargetedAPGD(norm: norm, epsilon: budget)
    targetedAPGD.targets = count
    targetedAPGD.run.steps = steps
    var square = Square(norm: norm, epsilon: budget)
    square.queries = queries
    func targetedFAB() -> FAB { fab(targets: count, restarts: 1) }
    var attacks: [any Attack]
    switch version {
    case .standard, .individual:
      attacks = [apgd(.crossEntropy, restarts: 1), targetedAPGD, targetedFAB(), square]
    case .plus:
      attacks = [
        apgd(.crossEntropy, restarts: 5), apgd(.dlr, restarts: 5), fab(targets: nil, restarts: 5), square,
        targetedAPGD, targetedFAB()
      ]
    case .rand: attacks = [apgd(.crossEntropy, restarts: 1), apgd(.dlr, restarts: 1)]
    }
    if model.classes < 4 {
      let isThree = model.classes == 3
      attacks = attacks.compactMap { attack -> (any Attack)? in
        switch attack {
        case is TargetedAPGD: isThree ? apgd(.dlr, restarts: 1) : apgd(.crossEntropy, restarts: 5)
        case let dlr as APGD where dlr.loss == .dlr && !isThree: nil
        default: attack
        }
      }
      findings.append(
        Finding(
          .fewClasses,
          "the model knows \(model.classes) classes: the targeted DLR loss needs four, so "
            + (isThree ? "APGD-DLR takes APGD-T's place" : "APGD-CE with five restarts takes its place")))
    } else if count < targets {
      findings.append(
        Finding(.fewClasses, "the targeted attacks aim at the \(count) other classes instead of at \(targets)"))
    }
    return (attacks, findings)
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
