import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// What a denoiser makes of pairs of clean and adversarial images, sample by sample.
///
/// x is clean, x' adversarial, x_R = D(x') and x'_R = x' - D(x') + x; F is the victim that the attack was made on.
public struct PairFigures: Hashable, Sendable {
  /// ‖x_R - x‖₂, ‖x' - x‖₂ and ‖x' - x_R‖₂.
  public var denoised: [Double] = []
  public var perturbed: [Double] = []
  public var removed: [Double] = []
  public var absoluteError: [Double] = []
  public var squaredError: [Double] = []
  /// Distances of logits: f(x) to f(x_R), f(x') to f(x'_R), and for reference f(x) to f(x').
  public var logitsBenign: [Double] = []
  public var logitsAdversarial: [Double] = []
  public var logitsPerturbed: [Double] = []
  /// Degrees between x' - x and its estimate x' - x_R, and between their effects on the logits.
  public var angle: [Double] = []
  public var logitsAngle: [Double] = []
  /// Peak signal-to-noise ratios of x_R to x in dB, for pixels in [0, 1]; at most 100, which stands for equal images.
  public var signalToNoise: [Double] { squaredError.map { -10 * log10(max($0, 1e-10)) } }
  /// F(x_R) = F(x), and F(x'_R) = F(x').
  public var benign: [Bool] = []
  public var adversarial: [Bool] = []
  /// Overlap of the tenth of the pixels that are perturbed most, true and estimated.
  public var deltaOverlap: [Double] = []
  /// F(x) != F(x').
  public var isSuccess: [Bool] = []

  /// How likely each recovered label is right; empty where nobody says.
  public var likelihoods: [Accuracy] = []

  public init() {}

  public var count: Int { benign.count }
  /// PA_benign and PA_adv.
  public var benignAlignment: Accuracy { Accuracy(correct: benign.count { $0 }, count: count) }
  public var adversarialAlignment: Accuracy { Accuracy(correct: adversarial.count { $0 }, count: count) }

  /// Adds a batch.
  /// - Parameters:
  ///   - clean: x, `[N, C, H, W]`.
  ///   - attacked: x'.
  ///   - xR: The denoised x_R, unclamped.
  ///   - logits: The victim's, `[N, classes]`.
  public mutating func add(clean: Tensor, attacked: Tensor, denoised xR: Tensor, logits: (Tensor) -> Tensor) {
    withoutGradient {
      let delta = attacked - clean
      let estimate = attacked - xR
      let attackedR = estimate + clean
      let (z, zA, zR, zAR) = (logits(clean), logits(attacked), logits(xR), logits(attackedR))
      denoised += Self.lengths(xR - clean)
      perturbed += Self.lengths(delta)
      removed += Self.lengths(estimate)
      let error = (xR - clean).flattened(from: 1)
      absoluteError += error.abs().mean([1]).array(Double.self)
      squaredError += error.square().mean([1]).array(Double.self)
      logitsBenign += Self.lengths(zR - z)
      logitsAdversarial += Self.lengths(zAR - zA)
      logitsPerturbed += Self.lengths(zA - z)
      angle += Self.degrees(delta, estimate)
      logitsAngle += Self.degrees(zA - z, zAR - z)
      benign += Self.flags(zR.argmax(1) .== z.argmax(1))
      adversarial += Self.flags(zAR.argmax(1) .== zA.argmax(1))
      isSuccess += Self.flags(z.argmax(1) .!= zA.argmax(1))
      deltaOverlap += Overlap.values(delta.square().sum([1]), estimate.square().sum([1]), share: 0.1)
    }
  }

  /// The means over samples.
  public var means: PairMeans { PairMeans(self) }
  var certainty: CertaintyFigures? { CertaintyFigures(likelihoods, isRight: benign) }

  static func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(max(1, values.count)) }

  private static func lengths(_ difference: Tensor) -> [Double] {
    difference.flattened(from: 1).norm(2, [1]).array(Double.self)
  }

  private static func flags(_ mask: Tensor) -> [Bool] { mask.to(.int64).array(Int64.self).map { $0 != 0 } }

  private static func degrees(_ a: Tensor, _ b: Tensor) -> [Double] {
    let (a, b) = (a.flattened(from: 1), b.flattened(from: 1))
    let products = (a * b).sum([1]).array(Double.self)
    let lengths = (a.norm(2, [1]) * b.norm(2, [1])).array(Double.self)
    return zip(products, lengths).map { acos(min(1, max(-1, $0 / max($1, 1e-6)))) * 180 / .pi }
  }
}

/// What a denoiser makes of pairs in the mean, as ``PairFigures`` calls it; the keys in files say of what distances are.
public struct PairMeans: InlineGroup, Hashable, Sendable {
  enum CodingKeys: String, CodingKey {
    case count = "n"
    case benign = "pa_benign"
    case adversarial = "pa_adversarial"
    case denoised = "d_x_xr"
    case perturbed = "d_x_xa"
    case removed = "d_xa_xr"
    case absoluteError = "mae"
    case squaredError = "mse"
    case signalToNoise = "psnr"
    case logitsBenign = "d_fx_fxr"
    case logitsAdversarial = "d_fxa_fxar"
    case logitsPerturbed = "d_fx_fxa"
    case angle
    case logitsAngle
    case deltaOverlap = "delta_iou"
    case success = "attack_success"
  }

  public var count: Int
  /// PA_benign and PA_adv.
  public var benign: AccuracyFigure
  public var adversarial: AccuracyFigure
  public var denoised: Double
  public var perturbed: Double
  public var removed: Double
  public var absoluteError: Double
  public var squaredError: Double
  public var signalToNoise: Double
  public var logitsBenign: Double
  public var logitsAdversarial: Double
  public var logitsPerturbed: Double
  /// In degrees.
  public var angle: Double
  public var logitsAngle: Double
  public var deltaOverlap: Double
  /// The share of pairs whose attack succeeded.
  public var success: Double

  init(_ figures: PairFigures) {
    count = figures.count
    (benign, adversarial) = (AccuracyFigure(figures.benignAlignment), AccuracyFigure(figures.adversarialAlignment))
    denoised = PairFigures.mean(figures.denoised)
    perturbed = PairFigures.mean(figures.perturbed)
    removed = PairFigures.mean(figures.removed)
    absoluteError = PairFigures.mean(figures.absoluteError)
    squaredError = PairFigures.mean(figures.squaredError)
    signalToNoise = PairFigures.mean(figures.signalToNoise)
    logitsBenign = PairFigures.mean(figures.logitsBenign)
    logitsAdversarial = PairFigures.mean(figures.logitsAdversarial)
    logitsPerturbed = PairFigures.mean(figures.logitsPerturbed)
    (angle, logitsAngle) = (PairFigures.mean(figures.angle), PairFigures.mean(figures.logitsAngle))
    deltaOverlap = PairFigures.mean(figures.deltaOverlap)
    success = Double(figures.isSuccess.count { $0 }) / Double(max(1, figures.count))
  }
}

/// How far the strongest pixels of two maps are the same ones.
public enum Overlap {
  /// The `k` largest entries of each row, 1 for these; ties by index, so that float noise decides nothing.
  static func mask(_ scores: Tensor, share: Double) -> Tensor {
    let flat = scores.flattened(from: 1)
    let k = max(Int(share * Double(flat.size(1))), 1)
    let order = flat.sorted(1, descending: true).indices[TensorIndex.all, ..<k]
    return flat.zerosLike().scattered(1, order, 1)
  }

  /// The intersection over union of the masks of two maps `[N, H, W]`, one value a sample.
  public static func values(_ a: Tensor, _ b: Tensor, share: Double) -> [Double] {
    let (first, second) = (mask(a, share: share), mask(b, share: share))
    let both = (first * second).sum([1]).array(Double.self)
    let any = first.maximum(second).sum([1]).array(Double.self)
    return zip(both, any).map { $0 / $1 }
  }
}
