import QuenchTorch
import QuenchVision

/// How far the outputs of two networks lie apart on random images.
public struct OutputDifference: Hashable, Codable, Sendable {
  /// The largest absolute difference of two logits; NaN if either network answers with one.
  public var largest: Double
  /// The largest absolute logit of the network compared with.
  public var scale: Double

  /// ``largest`` in units of ``scale``.
  public var relative: Double { largest == 0 ? 0 : largest / scale }

  /// Compares in evaluation mode; both networks take images of the same shape and have the same element type.
  /// - Parameters:
  ///   - network: What is checked.
  ///   - reference: What it is compared with.
  ///   - images: How many random images, pixels uniform in [0, 1).
  ///   - seed: Of these images.
  public init(of network: Network, from reference: Network, images: Int = 8, seed: UInt64 = 0) {
    let shape = [images] + reference.architecture.inputShape
    let pixels = Tensor.uniform(shape, dtype: .float32, using: Generator(seed: seed, for: "difference"))
      .to(reference.device, dtype: reference.dtype)
    func answer(_ network: Network) -> Tensor {
      let mode = network.isTraining
      defer { network.isTraining = mode }
      network.isTraining = false
      return withoutGradient { network(pixels).to(.float64) }
    }
    let expected = answer(reference)
    largest = (answer(network) - expected).abs().max().item()
    scale = expected.abs().max().item()
  }
}
