/// oneDNN's operators that multiply bytes.
package enum IntegerOperators {
  /// Convolution and an activation.
  package static let convolution = "onednn::qconv2d_pointwise"
  /// Convolution, the sum with another tensor, whose memory the result takes, and ReLU.
  package static let convolutionSum = "onednn::qconv2d_pointwise.binary"
  /// Linear layer and an activation.
  package static let linear = "onednn::qlinear_pointwise"

  static let all: Set = [convolution, convolutionSum, linear]

  private static let packConvolution = Operator("onednn::qconv_prepack")
  private static let packLinear = Operator("onednn::qlinear_prepack")
  private static let convolve = Operator(convolution)

  /// Whether this LibTorch has them on the processor that it runs on, and sums of products come out exact: without
  /// instructions for 8-bit products (VNNI) oneDNN adds pairs of them in 16 bits, which run over.
  package static func areOffered(on device: Device) -> Bool {
    guard device == .cpu, all.allSatisfy({ Operator($0).isAvailable }), packConvolution.isAvailable,
      packLinear.isAvailable
    else { return false }
    return areExact
  }

  /// Sums of the largest products, computed once.
  private static let areExact: Bool = withoutGradient {
    let channels = 64
    let weight = Tensor.full([channels, channels, 1, 1], 127, dtype: .int8)
    let scales = Tensor.full([channels], 1)
    let zeros = Tensor.full([channels], 0, dtype: .int64)
    let image = Tensor.full([1, channels, 4, 4], 255, dtype: .uint8).contiguous(.channelsLast)
    let packed = packConvolution(weight, scales, 1.0, 0, [1, 1], [0, 0], [1, 1], 1, image.shape)
    let sums = convolve(
      image, 1.0, 0, packed, scales, zeros, Tensor?.none, [1, 1], [0, 0], [1, 1], 1, 1.0, 0, DType.float32, "none",
      [Double](), "")
    return ((sums - Double(channels * 255 * 127)).abs().max().item() as Double) == 0
  }

  /// A layer's weights as bytes with a sign, and the width of a step for each output, 127 steps to either side of zero.
  package static func steps(_ weight: Tensor) -> (bytes: Tensor, scales: Tensor) {
    let others = Array(1..<weight.rank)
    let scales = (weight.abs().max(others) / 127).clamped(to: 1e-12...)
    let columns = [-1] + [Int](repeating: 1, count: others.count)
    return ((weight / scales.reshaped(columns)).rounded().clamped(to: -127...127).to(.int8), scales)
  }

  /// Bytes of a convolution's weight in the order in which oneDNN wants them for images of the shape `[N, C, H, W]` on a
  /// grid.
  package static func packed(
    convolution weight: Tensor, scales: Tensor, padding: [Int], stride: [Int], dilation: [Int], groups: Int,
    imageShape: [Int], grid: ByteGrid
  ) -> Tensor {
    packConvolution(weight, scales, grid.scale, grid.zero, stride, padding, dilation, groups, imageShape)
  }

  /// Bytes of a linear layer's weight in the order in which oneDNN wants them for inputs of the shape.
  package static func packed(linear weight: Tensor, inputShape: [Int]) -> Tensor { packLinear(weight, inputShape) }
}
