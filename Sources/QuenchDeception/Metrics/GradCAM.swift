import QuenchTorch

/// Gradient-weighted class activation maps (Selvaraju et al. 2017).
public struct GradCAM {
  public let network: Network
  /// The node whose output is looked at; nil: the last that computes planes of pixels, after its activation.
  public let layer: String?

  /// - Parameters:
  ///   - network: A classifier; frozen, in evaluation mode.
  ///   - layer: A node's name; nil: the last convolution, batch norm, activation or sum that computes planes of pixels.
  public init(_ network: Network, layer: String? = nil) {
    self.network = network
    self.layer = layer
  }

  /// What the maps are made of.
  struct Parts {
    /// α, `[N, Q]`.
    var weights: Tensor
    /// ReLU(Σ α A), `[N, h, w]`.
    var maps: Tensor
  }

  /// - Parameters:
  ///   - images: `[N, C, H, W]`.
  ///   - classes: Whose logit is explained, int64 `[N]`.
  func parts(_ images: Tensor, classes: Tensor) -> Parts {
    withGradient {
      let leaf = images.detached().requiringGrad()
      let (planes, logits) = network.planes(of: layer, for: leaf)
      let answers = logits.gathered(1, classes.unsqueezed(1)).sum()
      let gradient = grad(of: answers, withRespectTo: [planes])[0].detached()
      let weights = gradient.mean([2, 3])
      let maps = (planes.detached() * weights.unsqueezed(2).unsqueezed(3)).sum([1]).relu()
      return Parts(weights: weights, maps: maps)
    }
  }

  /// Maps in [0, 1], `[N, H, W]`; all zero where nothing speaks for the class.
  public func callAsFunction(_ images: Tensor, classes: Tensor) -> Tensor {
    withoutGradient {
      let maps = parts(images, classes: classes).maps
      return Self.normalized(Self.enlarged(maps, height: images.size(2), width: images.size(3)))
    }
  }

  static func enlarged(_ maps: Tensor, height: Int, width: Int) -> Tensor {
    guard maps.size(1) != height || maps.size(2) != width else { return maps }
    return maps.unsqueezed(1).upsampledBilinear(height: height, width: width).squeezed(1)
  }

  static func normalized(_ maps: Tensor) -> Tensor {
    let (low, high) = (maps.min([1, 2], keepDimensions: true), maps.max([1, 2], keepDimensions: true))
    return (maps - low) / (high - low).clamped(to: 1e-12...)
  }
}

/// Whether the denoised images are explained as the originals are: input attribution alignment, the overlaps of the
/// strongest tenth of GradCAM maps.
public struct AttributionFigures: Hashable, Sendable {
  /// Maps of x and x_R for the class F(x), and for F(x').
  public var benign: [Double] = []
  public var benignOtherClass: [Double] = []
  /// Maps of x' and x'_R for the class F(x'), and for F(x).
  public var adversarial: [Double] = []
  public var adversarialOtherClass: [Double] = []
  /// Maps that are zero everywhere.
  public var empty = 0

  public init() {}

  /// How many of `overlaps` fall into each of twenty equal parts of [0, 1].
  public static func histogram(_ overlaps: [Double]) -> [Int] {
    var counts = [Int](repeating: 0, count: 20)
    for overlap in overlaps { counts[min(Int(overlap * 20), 19)] += 1 }
    return counts
  }

  /// Adds a batch; the arguments are those of ``PairFigures/add(clean:attacked:denoised:logits:)``.
  public mutating func add(
    clean: Tensor, attacked: Tensor, denoised: Tensor, cam: GradCAM, share: Double = 0.1
  ) {
    let attackedR = attacked - denoised + clean
    let (y, yA) = withoutGradient { (cam.network(clean).argmax(1), cam.network(attacked).argmax(1)) }
    func overlaps(_ a: Tensor, _ b: Tensor, _ classes: Tensor) -> [Double] {
      let maps = [cam(a, classes: classes), cam(b, classes: classes)]
      empty += maps.reduce(0) { $0 + $1.size(0) - $1.max([1, 2]).nonzeroCount() }
      return Overlap.values(maps[0], maps[1], share: share)
    }
    benign += overlaps(clean, denoised, y)
    adversarial += overlaps(attacked, attackedR, yA)
    benignOtherClass += overlaps(clean, denoised, yA)
    adversarialOtherClass += overlaps(attacked, attackedR, y)
  }
}
