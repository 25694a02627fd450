import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Every weight is as likely to stay as any other: what a criterion must beat.
public struct RandomPruning: PruningCriterion {
  public static let name = "random"

  public init() {}
  public init(_ target: PruningTarget) {}

  public func validate() throws(InputError) {}

  /// Uniform numbers.
  public func ranking(
    of network: Network, layout: WeightLayout, on dataset: ImageDataset, seed: UInt64
  ) throws(InputError) -> Tensor {
    let generator = Generator(seed: seed, for: "criterion-random")
    return .uniform([layout.count], dtype: .float64, using: generator).to(network.device)
  }
}
