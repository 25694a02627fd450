/// oneDNN's operators that compute a layer and what follows it at once, with weights in oneDNN's own order.
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

  static let all: Set = [convolution, convolutionAdd, convolutionAddInPlace, linear, linearAdd]

  private static let packConvolution = Operator("mkldnn::_reorder_convolution_weight")
  private static let packLinear = Operator("mkldnn::_reorder_linear_weight")

  /// Whether this LibTorch has them for weights of the type, on the processor that it runs on.
  package static func areOffered(for dtype: DType, on device: Device) -> Bool {
    guard device == .cpu, packConvolution.isAvailable, packLinear.isAvailable else { return false }
    return dtype == .float32 || dtype == .bfloat16 && LibTorch.offersBFloat16
  }

  /// A convolution's weight in the order in which oneDNN wants it for images of the shape `[N, C, H, W]`.
  package static func packed(
    convolution weight: Tensor, padding: [Int], stride: [Int], dilation: [Int], groups: Int, imageShape: [Int]
  ) -> Tensor {
    packConvolution(weight, padding, stride, dilation, groups, imageShape)
  }

  /// A linear layer's weight `[outputs, inputs]` in the order in which oneDNN wants it for so many rows.
  package static func packed(linear weight: Tensor, rows: Int) -> Tensor { packLinear(weight, rows) }
}
