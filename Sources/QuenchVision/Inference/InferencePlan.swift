import QuenchTorch

/// A frozen network made ready to run fast: batch norm folded, weights packed once, convolution, bias, addition and
/// activation in one operator each, channels-last in memory.
///
/// Equal to the network in evaluation mode up to rounding: in float32 to 1e-4 of the largest logit, in bfloat16
/// with the same top class on at least 99 % of images. Holds its own weights: training the network on does not
/// change it. A network whose own operators choose types, as an imported one may, is computed in float32 whatever is
/// asked for; one that writes over tensors which others see is computed as it is.
public struct InferencePlan {
  private let network: Network
  /// The network as it is, for images on which the plan does not hold.
  private let exact: Network?
  /// Nodes whose outputs must be of an ordinary size for the plan to hold: see ``OutputBounds``.
  private let watched: Set<Int>
  /// The element type that layers compute in; logits come back in float32.
  public let dtype: DType

  /// - Parameters:
  ///   - network: Copied; it stays as it is.
  ///   - batchSize: What weights are packed for; other sizes compute the same, at times slower.
  ///   - dtype: nil picks ``fastest(on:)``.
  public init(_ network: Network, batchSize: Int = 64, dtype: DType? = nil) {
    let wanted = dtype ?? InferencePlan.fastest(on: network.device)
    let folded = network.foldingConstants().foldingBatchNorm()
    let planned = withoutGradient { PlannedNetwork(folded, batchSize: batchSize, dtype: wanted) }
    self.network = planned?.network ?? folded
    self.dtype = planned?.dtype ?? folded.dtype
    watched = planned?.watched ?? []
    exact = watched.isEmpty ? nil : folded
  }

  /// `[C, H, W]` of the images that it takes.
  public var inputShape: [Int] { network.architecture.inputShape }
  public var device: Device { network.device }

  /// bfloat16 where the device is faster with it, else float32; on a processor by ``BFloat16Gain``, where
  /// nothing is settled in ``SettledPrecision``.
  public static func fastest(on device: Device) -> DType {
    if let settled = SettledPrecision.inference { return settled }
    return device != .cpu || BFloat16Gain.ofThisMachine.isWorthInference ? .bfloat16 : .float32
  }

  /// Logits `[N, classes]`, float32, for pixels in [0, 1], `[N, C, H, W]`.
  public func callAsFunction(_ images: Tensor) -> Tensor {
    withoutGradient {
      let logits = network.output(for: images, watching: watched, limit: OutputBounds.largestActivation)
      return (logits ?? (exact ?? network)(images)).to(.float32)
    }
  }
}
