import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// What a denoiser is trained to minimise over pairs of adversarial and clean images: DO, DS and CDD-RED as settings of
/// one formula,
///
///     reconstruction(D(x'), x) + γ · CE(s(D(x')), F_s(x)) + λ · CE(s(x' - D(x') + x), F_s(x'))
///
/// over the identity and transformed copies of the batch. s is a frozen surrogate; its own answers are the targets.
public struct RedObjective: InlineGroup, Hashable, Sendable {
  enum CodingKeys: String, CodingKey {
    case reconstruction
    case benign = "gamma"
    case adversarial = "lambda"
    case transformations = "transformation"
    case filter
  }

  public enum Reconstruction: String, CaseIterable, Codable, Sendable {
    /// Mean absolute error over all values.
    case absolute
    /// Mean squared error.
    case squared
    case none
  }

  /// Which samples a cross-entropy counts: a transformation may change the surrogate's answer.
  public enum Filter: String, CaseIterable, Codable, Sendable {
    /// For each term those whose own image keeps its answer.
    case perTerm = "per-term"
    /// Those of which both the clean and the adversarial image keep theirs: the paper's set.
    case joint
    /// All.
    case none
  }

  public var reconstruction = Reconstruction.absolute
  /// γ: the weight of benign prediction alignment.
  public var benign = 0.025
  /// λ: the weight of adversarial prediction alignment.
  public var adversarial = 0.025
  public var transformations: [Transformation] = [.cropAndPad, .cutmix]
  public var filter = Filter.perTerm

  public init() {}

  /// Denoising only: the reconstruction error, no augmentation.
  public static var denoisingOnly: RedObjective {
    var objective = RedObjective()
    (objective.benign, objective.adversarial, objective.transformations) = (0, 0, [])
    return objective
  }

  /// Denoised smoothing: benign prediction alignment alone.
  public static var stability: RedObjective {
    var objective = RedObjective()
    (objective.reconstruction, objective.benign, objective.adversarial) = (.none, 1, 0)
    objective.transformations = []
    return objective
  }

  /// Class-discriminative denoising.
  public static var classDiscriminative: RedObjective { RedObjective() }

  /// The loss and its parts, scalars.
  public struct Value {
    public var loss: Tensor
    public var reconstruction: Tensor
    public var benign: Tensor
    public var adversarial: Tensor
    /// How many samples of the whole batch each cross-entropy counts.
    var kept: (benign: Int, adversarial: Int)
    /// The surrogate's logits of the denoised batch, transformed copies included, and its targets.
    var logits: Tensor?
    var targets: Tensor?
  }

  /// The loss of a batch, or of this rank's part of it: the mean over the ranks, each weighed by its images, is the whole
  /// batch's.
  /// - Parameters:
  ///   - clean: `[N, C, H, W]`, pixels in [0, 1].
  ///   - adversarial: Of the same shape.
  ///   - moves: The drawn transformations; the identity is always among them.
  ///   - denoise: D; its output is not clamped.
  ///   - surrogate: s, logits `[N, classes]`, differentiable and frozen.
  ///   - answers: The same without gradients, where there is a faster way.
  ///   - world: The ranks, all of which have the whole batch.
  func callAsFunction(
    clean: Tensor, adversarial attacked: Tensor, moves: [Transformation.Move], denoise: (Tensor) -> Tensor,
    surrogate: (Tensor) -> Tensor, answers: ((Tensor) -> Tensor)? = nil, in world: World = .alone
  ) -> Value {
    let copies = [.identity] + moves
    let part = BatchPart(of: clean.size(0), in: world)
    let x = Tensor.concatenated(copies.map { $0(clean)[part.rows] })
    let attackedCopies = Tensor.concatenated(copies.map { $0(attacked)[part.rows] })
    let denoised = denoise(attackedCopies)
    let zero = Tensor.zeros([], device: clean.device)
    let error =
      switch reconstruction {
      case .absolute: denoised.absoluteError(x)
      case .squared: denoised.meanSquaredError(x)
      case .none: zero
      }
    var value = Value(
      loss: error, reconstruction: error.detached(), benign: zero, adversarial: zero, kept: (0, 0))
    guard benign != 0 || adversarial != 0 else { return value }
    let (cleanAnswers, attackedAnswers) = withoutGradient {
      let logits = [x, attackedCopies].map { answers?($0) ?? surrogate($0) }
      return (logits[0].argmax(1), logits[1].argmax(1))
    }
    let kept = kept(cleanAnswers, attackedAnswers, copies: copies.count)
    let counts = world.sum([kept.benign, kept.adversarial].map { Double($0.nonzeroCount()) })
    // The mean over what all ranks keep, in terms of this rank's images.
    let share = Double(part.count) / Double(part.rows.count)
    func mean(_ values: Tensor, over mask: Tensor, _ count: Double) -> Tensor {
      (values * mask.to(values.dtype)).sum() / max(count, 1) * share
    }
    if benign != 0 {
      let logits = surrogate(denoised)
      let term = mean(
        logits.inFullPrecision().crossEntropy(cleanAnswers, reduction: .none), over: kept.benign, counts[0])
      value.loss = value.loss + term * benign
      (value.benign, value.logits, value.targets) = (term.detached(), logits, cleanAnswers)
    }
    if adversarial != 0 {
      let logits = surrogate(attackedCopies - denoised + x)
      let term = mean(
        logits.inFullPrecision().crossEntropy(attackedAnswers, reduction: .none), over: kept.adversarial, counts[1])
      value.loss = value.loss + term * adversarial
      value.adversarial = term.detached()
    }
    value.kept = (Int(counts[0]), Int(counts[1]))
    return value
  }

  /// Bool masks over the whole batch: a transformed copy is compared with the original's answer.
  private func kept(
    _ clean: Tensor, _ adversarial: Tensor, copies: Int
  ) -> (benign: Tensor, adversarial: Tensor) {
    let count = clean.size(0) / copies
    let benign = clean .== clean[..<count].repeated([copies])
    let attacked = adversarial .== adversarial[..<count].repeated([copies])
    switch filter {
    case .perTerm: return (benign, attacked)
    case .joint:
      let both = benign.logicalAnd(attacked)
      return (both, both)
    case .none:
      let all = clean.onesLike().to(.bool)
      return (all, all)
    }
  }
}
