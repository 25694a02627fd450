import QuenchReporting
import QuenchSupport
import QuenchTorch

/// A way to look for perturbations that change a classifier's answer.
///
/// An attack is not trusted: ``AttackEvaluator`` checks range and budget of what it returns, scores it again and counts
/// its queries. It has no other access to the model than through the samples that the evaluator hands out.
public protocol Attack {
  /// `apgd-ce`; also names the attack's random streams.
  var name: String { get }
  var norm: Norm { get }
  /// The budget in pixel units. Nil for an attack that looks for the smallest perturbation, however large that is.
  var epsilon: Double? { get }
  /// Whether what it returns always lies within ``epsilon``. Where it does not, a sample counts as broken at ε if its
  /// perturbation is no larger than that.
  var isBounded: Bool { get }
  /// Whether it can aim at a class that is given.
  var takesTargets: Bool { get }
  /// The loss whose gradient at the attacked model it climbs; nil where it follows none, or another model's.
  var follows: AttackLoss? { get }
  /// Whether it uses gradients at all.
  var usesGradients: Bool { get }
  /// The hyper-parameters beside norm and budget, for the record.
  var settings: Record { get }
  /// The same attack with another budget.
  func bounded(by epsilon: Double) -> Self
  /// The same attack among images of 8 bits; see ``OnGrid``.
  func onGrid() -> any Attack
  /// What a reader must know of the attack on images of `shape`, `[C, H, W]`.
  func remarks(on shape: [Int]) -> [Finding]
  /// Finds out before any work whether the model suits the attack.
  /// - Throws: `InputError`, for instance for too few classes.
  func check(_ model: AttackedModel) throws(InputError)
  /// Perturbed images, `[N, C, H, W]`: an adversarial one where the attack found it, else the best that it found.
  func perturb(_ samples: Samples, on model: AttackedModel) -> Tensor
}

extension Attack {
  public var isBounded: Bool { true }
  public var takesTargets: Bool { false }
  public var follows: AttackLoss? { nil }
  public var usesGradients: Bool { true }
  public func onGrid() -> any Attack { OnGrid(self) }
  public func remarks(on shape: [Int]) -> [Finding] { [] }
  public func check(_ model: AttackedModel) throws(InputError) {}
}

extension AttackedModel {
  /// - Throws: `InputError` unless the model knows that many classes.
  func require(classes: Int, for attack: String, remedy: String) throws(InputError) {
    guard self.classes >= classes else {
      throw InputError(
        "the attack \(attack) needs more classes", at: name, expected: "\(classes) or more",
        found: "\(self.classes)",
        remedy: remedy)
    }
  }
}

/// The images found so far, and the samples that are still to break.
struct Hunt {
  /// `[N, C, H, W]`, of all samples that the hunt began with.
  let found: Tensor
  /// Those in play, and where they stand in ``found``.
  private(set) var live: Samples
  private(set) var places: Tensor

  init(_ samples: Samples) {
    found = samples.images.cloned()
    live = samples
    places = Tensor.arange(to: Double(samples.count), device: samples.device)
  }

  var isOver: Bool { live.isEmpty }

  /// Keeps `images` of the live samples where `mask`, bool `[n]`, holds.
  func keep(_ images: Tensor, where mask: Tensor) {
    let positions = mask.positions()
    found.setRows(images.selecting(positions), at: places.selecting(positions))
  }

  /// Keeps `images` of all live samples.
  func keep(_ images: Tensor) { found.setRows(images, at: places) }

  /// Lets the live samples at which `mask` holds go, keeping their `images`.
  /// - Returns: The positions of those that stay among the former live ones; nil if all do.
  mutating func release(_ images: Tensor, where mask: Tensor) -> Tensor? {
    guard mask.any() else { return nil }
    keep(images, where: mask)
    let rest = mask.logicalNot().positions()
    live = live.selecting(rest)
    places = places.selecting(rest)
    return rest
  }
}
