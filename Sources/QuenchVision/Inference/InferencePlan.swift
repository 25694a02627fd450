import QuenchSupport
import QuenchTorch

/// A frozen network made ready to run fast: batch norm folded, weights packed once, convolution, bias, addition and
/// activation in one operator each, channels-last in memory.
///
/// Equal to the network in evaluation mode up to rounding: in float32 to 1e-4 of the largest logit. In bfloat16 and
/// int8 classes that lie close may change places: on a trained ResNet-20 the top class was the same on 4,988 of 5,000
/// test images in bfloat16, the accuracy 0.06 points lower; in int8 it was 0.24 points lower.
///
/// Holds its own weights: training the network on does not change it. A network whose own operators choose types, as an
/// imported one may, is computed in float32 where bfloat16 is asked for; one that writes over tensors which others see
/// is computed as it is.
public struct InferencePlan {
  private let network: Network
  /// The network as it is, for images on which the plan does not hold.
  private let exact: Network?
  /// Nodes whose outputs must be of an ordinary size for the plan to hold: see ``OutputBounds``.
  private let watched: Set<Int>
  /// The element type that layers compute in; logits come back in float32.
  public let dtype: DType
  /// How many convolutions and linear layers multiply 8-bit integers.
  public let integerLayers: Int
  /// How many convolutions and linear layers there are, whatever they compute in.
  public let layers: Int

  /// - Parameters:
  ///   - network: Copied; it stays as it is.
  ///   - batchSize: What weights are packed for; other sizes compute the same, at times slower.
  ///   - dtype: nil picks ``fastest(on:)``.
  public init(_ network: Network, batchSize: Int = 64, dtype: DType? = nil) {
    let wanted = dtype ?? InferencePlan.fastest(on: network.device)
    let folded = network.foldingConstants().foldingBatchNorm().foldingScales()
    let planned = withoutGradient { PlannedNetwork(folded, batchSize: batchSize, dtype: wanted) }
    self.network = planned?.network ?? folded
    self.dtype = planned?.dtype ?? folded.dtype
    watched = planned?.watched ?? []
    exact = watched.isEmpty ? nil : folded
    (integerLayers, layers) = (0, FusedLayer.count(in: folded.graph))
  }

  /// A plan in 8 bits: convolutions and linear layers multiply integers, weights in 255 steps of a width for each output,
  /// what they read in the 256 steps of its range. A layer whose input is not finite stays in float32, as does all
  /// that is no such layer. Numbers beyond a range count as its end, so that a network which runs over elsewhere answers
  /// something here.
  /// - Parameters:
  ///   - network: Copied; it stays as it is.
  ///   - batchSize: What weights are packed for; other sizes compute the same, at times slower.
  ///   - calibration: Pixels in [0, 1], `[N, C, H, W]`, some hundred images of those that the network is for: ranges are what
  ///     its values are on these.
  /// - Throws: `InputError` if this LibTorch does not offer exact 8-bit products on this machine, or none of the network's
  ///   layers can be computed in them.
  public init(_ network: Network, batchSize: Int = 64, calibration: Tensor) throws(InputError) {
    let name = network.architecture.name
    guard IntegerOperators.areOffered(on: network.device) else {
      throw InputError(
        "int8 is not offered here", at: name,
        expected: "a processor with 8-bit products (VNNI) and LibTorch with oneDNN",
        found: "\(network.device), \(LibTorch.cpuCapability)", remedy: "choose another precision")
    }
    let folded = network.foldingConstants().foldingBatchNorm().foldingScales()
    let planned = try withoutGradient { () -> Result<PlannedNetwork, InputError> in
      Result { () throws(InputError) in
        try PlannedNetwork(folded, batchSize: batchSize, calibration: calibration)
      }
    }.get()
    guard planned.integerLayers > 0 else {
      throw InputError(
        "no layer of the network can be computed in int8", at: name,
        expected: "a convolution or linear layer whose input is finite on the calibration images",
        remedy: "choose another precision")
    }
    (self.network, dtype, integerLayers) = (planned.network, planned.dtype, planned.integerLayers)
    (watched, exact, layers) = ([], nil, FusedLayer.count(in: folded.graph))
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
