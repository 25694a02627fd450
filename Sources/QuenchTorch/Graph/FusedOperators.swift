/// oneDNN's operators that compute a layer and what follows it at once, with weights in oneDNN's own order, and MKL's
/// linear layer.
package enum FusedOperators {
  /// Convolution and an activation.
  package static let convolution = "mkldnn::_convolution_pointwise"
  /// Convolution, the sum with another tensor, and ReLU.
  package static let convolutionAdd = "mkldnn::_convolution_pointwise.binary"
  /// The same; the sum takes the other tensor's memory.
  package static let convolutionAddInPlace = "mkldnn::_convolution_pointwise_.binary"
  /// Linear layer and an activation.
  package static let linear = "mkldnn::_linear_pointwise"
  /// Linear layer and the sum with another tensor.
  package static let linearAdd = "mkldnn::_linear_pointwise.binary"

  /// Linear layer by MKL.
  package static let wideLinear = "mkl::_mkl_linear"

  static let all: Set = [convolution, convolutionAdd, convolutionAddInPlace, linear, linearAdd, wideLinear]

  private static let packConvolution = Operator("mkldnn::_reorder_convolution_weight")
  private static let packLinear = Operator("mkldnn::_reorder_linear_weight")
  private static let packWideLinear = Operator("mkl::_mkl_reorder_linear_weight")

  /// Whether this LibTorch has them for weights of the type, on the processor that it runs on.
  package static func areOffered(for dtype: DType, on device: Device) -> Bool {
    guard device == .cpu, packConvolution.isAvailable, packLinear.isAvailable else { return false }
    return dtype == .float32 || dtype == .bfloat16 && LibTorch.offersBFloat16
  }

  /// Whether MKL computes a linear layer faster than oneDNN: in float32, from so many inputs and outputs on (measured on
  /// Xeons with AVX-512: 8 to 14 % at 768 x 3072, level at 384 x 1536, behind at less).
  package static func isWide(linear weight: Tensor) -> Bool {
    packWideLinear.isAvailable && weight.dtype == .float32 && min(weight.size(0), weight.size(1)) >= 512
  }

  /// A linear layer's weight `[outputs, inputs]`, float32, in the order in which MKL wants it for so many rows.
  package static func packed(wideLinear weight: Tensor, rows: Int) -> Tensor { packWideLinear(weight, rows) }

  /// A convolution's weight in the order in which oneDNN wants it for images of the shape `[N, C, H, W]`.
  package static func packed(
    convolution weight: Tensor, padding: [Int], stride: [Int], dilation: [Int], groups: Int, imageShape: [Int]
  ) -> Tensor {
    packConvolution(weight, padding, stride, dilation, groups, imageShape)
  }

  /// A linear layer's weight `[outputs, inputs]` in the order in which oneDNN wants it for so many rows.
  package static func packed(linear weight: Tensor, rows: Int) -> Tensor { packLinear(weight, rows) }
}
