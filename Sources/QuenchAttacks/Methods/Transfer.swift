import QuenchReporting
import QuenchSupport
import QuenchTorch

/// An attack made on one model and judged on another.
///
/// What crosses to another model is what goes well beyond the source's boundary: give it an attack that takes all its
/// steps instead of stopping at its first success on the source.
public struct Transfer<Base: Attack>: Attack {
  public var base: Base
  /// What the attack sees.
  public let source: AttackedModel

  public init(_ base: Base, from source: AttackedModel) {
    self.base = base
    self.source = source
  }

  public var name: String { "\(base.name) from \(source.name)" }
  public var norm: Norm { base.norm }
  public var epsilon: Double? { base.epsilon }
  public var isBounded: Bool { base.isBounded }
  public var takesTargets: Bool { base.takesTargets }
  public var usesGradients: Bool { base.usesGradients }
  public var settings: Record {
    var settings = base.settings
    settings["source"] = .string(source.name)
    return settings
  }

  public func bounded(by epsilon: Double) -> Transfer<Base> { Transfer(base.bounded(by: epsilon), from: source) }

  public func onGrid() -> any Attack { Transfer<OnGrid<Base>>(OnGrid(base), from: source) }

  public func remarks(on shape: [Int]) -> [Finding] { base.remarks(on: shape) }

  public func check(_ model: AttackedModel) throws(InputError) {
    try base.check(source)
    guard source.inputShape == model.inputShape, source.classes == model.classes else {
      throw InputError(
        "the models of a transfer do not fit together", at: source.name,
        expected: "\(model.inputShape) in \(model.classes) classes",
        found: "\(source.inputShape) in \(source.classes)")
    }
  }

  public func perturb(_ samples: Samples, on model: AttackedModel) -> Tensor { base.perturb(samples, on: source) }
}
