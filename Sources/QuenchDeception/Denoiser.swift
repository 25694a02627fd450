import QuenchReporting
import QuenchSupport
import QuenchTorch

/// DnCNN as CDD-RED uses it: predicts the perturbation and subtracts it, and is the identity before training.
public struct DenoiserDesign: InlineGroup, Hashable, Sendable {
  public var depth = 17
  public var width = 64
  /// PyTorch's: the share of the batch in the running statistics. The released code has 0.95, which makes them those of
  /// the last batch.
  public var batchNormMomentum = 0.1

  public init(depth: Int = 17, width: Int = 64, batchNormMomentum: Double = 0.1) {
    self.depth = depth
    self.width = width
    self.batchNormMomentum = batchNormMomentum
  }

  /// - Throws: `InputError` for a number out of its range.
  func validate() throws(InputError) {
    try requireSetting(depth >= 3, "depth", "at least 3", depth)
    try requireSetting(width >= 1, "width", "at least 1", width)
    try requireSetting(
      (0...1).contains(batchNormMomentum), "batch-norm-momentum", "from 0 to 1", batchNormMomentum)
  }

  /// The architecture for images `[channels, height, width]` of raw pixels in [0, 1].
  public func architecture(input: [Int]) -> Architecture {
    .dnCNN(input: input, depth: depth, width: width).withBatchNorms(momentum: batchNormMomentum, epsilon: 1e-4)
  }

  /// A new denoiser: orthogonal convolutions, the last one zero.
  public func network(input: [Int], seed: UInt64, device: Device = .cpu) -> Network {
    let network = Network(architecture(input: input), seed: seed, device: device)
    let generator = Generator(seed: seed, for: "denoiser")
    let convolutions = network.prunable
    withoutGradient {
      for position in convolutions {
        let weight = network.parameters[position].tensor
        let isLast = position == convolutions.last
        weight.copy(from: isLast ? weight.zerosLike() : Self.orthogonal(weight.shape, using: generator))
      }
      for parameter in network.parameters where parameter.name.hasSuffix(".bias") { parameter.tensor.fill(with: 0) }
    }
    return network
  }

  private static let qrOperator = Operator("aten::linalg_qr")

  /// A matrix `[out, in · k · k]` with orthonormal rows or columns, in the weight's shape (Saxe et al. 2014).
  static func orthogonal(_ shape: [Int], using generator: Generator) -> Tensor {
    let (rows, columns) = (shape[0], shape.dropFirst().reduce(1, *))
    let isWide = rows < columns
    let factors = qrOperator.tuple(
      Tensor.normal(isWide ? [columns, rows] : [rows, columns], using: generator), "reduced")
    let diagonal = (factors[1] * Tensor.eye(factors[1].size(0))).sum([0])
    let q = factors[0] * diagonal.sign()
    return (isWide ? q.transposed() : q).reshaped(shape)
  }
}
