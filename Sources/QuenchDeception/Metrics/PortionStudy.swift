import QuenchTorch
import QuenchVision

/// How the estimate follows the perturbation's strength: x'_p = x + p·δ goes through the denoiser, r_p = x'_p - D(x'_p) + x.
/// Ideally r_p is x'_p, and at p = 0 the estimated perturbation is nothing.
public struct PortionStudy: Sendable {
  public struct Point: Codable, Hashable, Sendable {
    enum CodingKeys: String, CodingKey {
      case portion, accuracy, success, estimateAccuracy, estimateSuccess, estimateDistance, estimateLogitDistance
      case benignAlignment = "pa_benign"
    }

    public var portion: Double
    /// The shares with the answer F(x) and F(x') of x'_p, and of r_p.
    public var accuracy: Double
    public var success: Double
    public var estimateAccuracy: Double
    public var estimateSuccess: Double
    /// The means of ‖r_p - x‖₂ and of ‖f(r_p) - f(x)‖₂.
    public var estimateDistance: Double
    public var estimateLogitDistance: Double
    /// The share of D(x'_p) with the answer F(x).
    public var benignAlignment: Double
  }

  public var points: [Point]

  /// - Parameters:
  ///   - clean: x, `[N, C, H, W]`.
  ///   - attacked: x'.
  ///   - portions: p, in [0, 1].
  ///   - denoise: D.
  ///   - logits: The victim's.
  public init(
    clean: Tensor, attacked: Tensor, portions: [Double] = [0, 0.2, 0.4, 0.6, 0.8, 1], denoise: (Tensor) -> Tensor,
    logits: (Tensor) -> Tensor
  ) {
    points = withoutGradient {
      let z = logits(clean)
      let (y, yA) = (z.argmax(1), logits(attacked).argmax(1))
      let count = Double(clean.size(0))
      func share(_ answers: Tensor, _ labels: Tensor) -> Double {
        Double((answers .== labels).nonzeroCount()) / count
      }
      return portions.map { portion in
        let part = clean + (attacked - clean) * portion
        let denoised = denoise(part)
        let estimate = part - denoised + clean
        let zE = logits(estimate)
        let (answers, estimated) = (logits(part).argmax(1), zE.argmax(1))
        return Point(
          portion: portion, accuracy: share(answers, y), success: share(answers, yA),
          estimateAccuracy: share(estimated, y), estimateSuccess: share(estimated, yA),
          estimateDistance: (estimate - clean).flattened(from: 1).norm(2, [1]).mean().item(),
          estimateLogitDistance: (zE - z).norm(2, [1]).mean().item(),
          benignAlignment: share(logits(denoised).argmax(1), y))
      }
    }
  }
}
