import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// What a pruned network is worth beside the dense one: its size in memory and on disk, its work and its speed.
public struct PrunedWorth {
  /// The pruned network with its zeros packed away.
  static let packedFileName = "packed.safetensors"
  private static let roundSeconds = 0.06

  /// What was measured.
  public struct Figures: InlineGroup, Hashable, Sendable {
    public var parameters: Int
    public var keptParameters: Int
    /// An image.
    public var multiplyAdds: Int
    public var keptMultiplyAdds: Int
    /// The model's file, and the one whose zeros are packed away.
    public var bytes: Int
    public var packedBytes: Int
    /// Where weights on no path from input to output count as pruned.
    public var effectiveSparsity: Double
    public var deadUnits: Int
    public var latency: [LatencyFigures]
  }

  private let densePlans: [InferencePlan]
  private let dtype: DType?

  /// - Parameter dense: The network before it is pruned; it may change afterwards.
  init(dense: Network, _ precision: Precision) {
    dtype = precision.inference
    densePlans = LatencyFigures.batchSizes.map { [dtype] in InferencePlan(dense, batchSize: $0, dtype: dtype) }
  }

  /// Measures `network`, and writes its packed file into `folder`, beside the plain one.
  func figures(
    of network: Network, _ mask: Mask, classNames: [String], in folder: URL
  ) throws -> Figures {
    let packed = folder.appending(path: Self.packedFileName)
    try ModelFile(network, classNames: classNames).write(to: packed, packsZeros: true)
    let architecture = network.architecture
    let statistics = try MaskStatistics(mask, in: architecture)
    return Figures(
      parameters: architecture.parameterCount,
      keptParameters: architecture.parameterCount - mask.layout.count + mask.keptCount,
      multiplyAdds: architecture.multiplyAdds, keptMultiplyAdds: architecture.multiplyAdds(under: mask),
      bytes: try folder.appending(path: ClassifierWork.modelFileName).fileSize(),
      packedBytes: try packed.fileSize(), effectiveSparsity: statistics.effectiveSparsity,
      deadUnits: statistics.deadUnits,
      latency: zip(LatencyFigures.batchSizes, densePlans).map { batchSize, dense in
        let pruned = InferencePlan(network, batchSize: batchSize, dtype: dtype)
        return LatencyFigures(
          Latency(of: [dense, pruned], batchSize: batchSize, roundSeconds: Self.roundSeconds))
      })
  }
}
