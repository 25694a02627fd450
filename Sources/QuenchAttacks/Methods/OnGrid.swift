import QuenchReporting
import QuenchSupport
import QuenchTorch

/// An attack among pictures: images whose pixels are whole grey levels, 0 to 255.
///
/// Whatever the attack asks is asked of the nearest picture within the budget, and gradients pass the rounding as if it
/// were the identity (Athalye et al. 2018), so that what it finds is still found once it is saved with 8 bits.
public struct OnGrid<Base: Attack>: Attack {
  public var base: Base

  public init(_ base: Base) { self.base = base }

  public var name: String { "\(base.name) in 8 bits" }
  public var norm: Norm { base.norm }
  public var epsilon: Double? { base.epsilon }
  public var isBounded: Bool { base.isBounded }
  public var takesTargets: Bool { base.takesTargets }
  public var follows: AttackLoss? { base.follows }
  public var usesGradients: Bool { base.usesGradients }
  public var settings: Record { base.settings }

  public func bounded(by epsilon: Double) -> OnGrid<Base> { OnGrid(base.bounded(by: epsilon)) }
  public func onGrid() -> any Attack { self }
  public func remarks(on shape: [Int]) -> [Finding] { base.remarks(on: shape) }
  public func check(_ model: AttackedModel) throws(InputError) { try base.check(model) }

  public func perturb(_ samples: Samples, on model: AttackedModel) -> Tensor {
    func picture(_ images: Tensor, _ centers: Tensor) -> Tensor {
      GreyLevels.nearest(images, around: centers, norm, within: isBounded ? epsilon : nil)
    }
    let rounding = model.seeing { images, samples in picture(images, samples.images) }
    return picture(base.perturb(samples, on: rounding), samples.images)
  }
}
