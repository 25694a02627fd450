extension Tensor {
  private static let matmulOperator = Operator("aten::matmul")
  private static let linearOperator = Operator("aten::linear")
  private static let conv2dOperator = Operator("aten::conv2d")
  private static let convTranspose2dOperator = Operator("aten::conv_transpose2d.input")
  private static let batchNormOperator = Operator("aten::batch_norm")
  private static let layerNormOperator = Operator("aten::layer_norm")
  private static let groupNormOperator = Operator("aten::group_norm")
  private static let maxPoolOperator = Operator("aten::max_pool2d")
  private static let avgPoolOperator = Operator("aten::avg_pool2d")
  private static let adaptivePoolOperator = Operator("aten::adaptive_avg_pool2d")
  private static let upsampleOperator = Operator("aten::upsample_bilinear2d")
  private static let upsampleNearestOperator = Operator("aten::upsample_nearest2d")
  private static let resizeOperator = Operator("aten::_upsample_bilinear2d_aa")
  private static let reluOperator = Operator("aten::relu")
  private static let reluInPlaceOperator = Operator("aten::relu_")
  private static let leakyReluOperator = Operator("aten::leaky_relu")
  private static let geluOperator = Operator("aten::gelu")
  private static let siluOperator = Operator("aten::silu")
  private static let softplusOperator = Operator("aten::softplus")
  private static let softmaxOperator = Operator("aten::softmax.int")
  private static let logSoftmaxOperator = Operator("aten::log_softmax.int")

  /// The matrix product, batched over leading dimensions.
  public func matmul(_ other: Tensor) -> Tensor { Self.matmulOperator(self, other) }

  /// `self · weightᵀ + bias`: `[..., in]` × `[out, in]` → `[..., out]`.
  public func linear(_ weight: Tensor, bias: Tensor? = nil) -> Tensor { Self.linearOperator(self, weight, bias) }

  /// `[N, I, H, W]` × `[O, I / groups, kh, kw]` → `[N, O, H', W']`.
  public func conv2d(
    _ weight: Tensor, bias: Tensor? = nil, stride: Int = 1, padding: Int = 0, dilation: Int = 1, groups: Int = 1
  ) -> Tensor {
    Self.conv2dOperator(self, weight, bias, [stride, stride], [padding, padding], [dilation, dilation], groups)
  }

  /// `[N, I, H, W]` × `[I, O, kh, kw]` → `[N, O, H', W']`.
  public func convTranspose2d(
    _ weight: Tensor, bias: Tensor? = nil, stride: Int = 1, padding: Int = 0, outputPadding: Int = 0
  ) -> Tensor {
    Self.convTranspose2dOperator(
      self, weight, bias, [stride, stride], [padding, padding], [outputPadding, outputPadding])
  }

  /// Normalises each channel of `[N, C, ...]`: by the batch's own statistics when `training` (the running ones are
  /// then updated in place where given), else by the running ones.
  public func batchNorm(
    weight: Tensor?, bias: Tensor?, runningMean: Tensor?, runningVariance: Tensor?, training: Bool,
    momentum: Double = 0.1, epsilon: Double = 1e-5
  ) -> Tensor {
    Self.batchNormOperator(self, weight, bias, runningMean, runningVariance, training, momentum, epsilon, true)
  }

  /// Normalises over the last dimensions, whose sizes `shape` gives: `weight` and `bias` have that shape.
  public func layerNorm(_ shape: [Int], weight: Tensor?, bias: Tensor?, epsilon: Double = 1e-5) -> Tensor {
    Self.layerNormOperator(self, shape, weight, bias, epsilon)
  }
  /// Normalises each of `groups` groups of the channels of `[N, C, ...]`; `weight` and `bias` are `[C]`.
  public func groupNorm(_ groups: Int, weight: Tensor?, bias: Tensor?, epsilon: Double = 1e-5) -> Tensor {
    Self.groupNormOperator(self, groups, weight, bias, epsilon)
  }

  public func maxPool2d(_ kernel: Int, stride: Int, padding: Int = 0) -> Tensor {
    Self.maxPoolOperator(self, [kernel, kernel], [stride, stride], [padding, padding])
  }
  public func avgPool2d(_ kernel: Int, stride: Int, padding: Int = 0) -> Tensor {
    Self.avgPoolOperator(self, [kernel, kernel], [stride, stride], [padding, padding])
  }
  /// The mean over a grid of `size` × `size` parts: `[N, C, H, W]` → `[N, C, size, size]`.
  public func adaptiveAvgPool2d(_ size: Int) -> Tensor { Self.adaptivePoolOperator(self, [size, size]) }
  /// Bilinear interpolation to `height` × `width`, pixel centres at halves.
  public func upsampledBilinear(height: Int, width: Int) -> Tensor {
    Self.upsampleOperator(self, [height, width], false)
  }
  /// The nearest pixel, `height` × `width` of them.
  public func upsampledNearest(height: Int, width: Int) -> Tensor {
    Self.upsampleNearestOperator(self, [height, width])
  }
  /// Bilinear interpolation with anti-aliasing, as image libraries shrink pictures.
  public func resizedBilinear(height: Int, width: Int) -> Tensor {
    Self.resizeOperator(self, [height, width], false)
  }

  /// max(x, 0), with derivative 0 at 0.
  public func relu() -> Tensor { Self.reluOperator(self) }
  /// max(x, 0) in place; gradients stay right where no operator needs the old elements.
  @discardableResult
  public func reluInPlace() -> Tensor { Self.reluInPlaceOperator(self) }
  public func leakyRelu(slope: Double = 0.01) -> Tensor { Self.leakyReluOperator(self, slope) }
  public func gelu() -> Tensor { Self.geluOperator(self) }
  /// x · sigmoid(x).
  public func silu() -> Tensor { Self.siluOperator(self) }
  /// log(1 + exp x).
  public func softplus() -> Tensor { Self.softplusOperator(self) }
  public func softmax(_ dimension: Int = -1) -> Tensor { Self.softmaxOperator(self, dimension) }
  public func logSoftmax(_ dimension: Int = -1) -> Tensor { Self.logSoftmaxOperator(self, dimension) }
}

// MARK: - Losses

/// How a loss over samples becomes the result; raw values are LibTorch's.
public enum Reduction: Int, Sendable {
  case none = 0
  case mean = 1
  case sum = 2
}

extension Tensor {
  private static let crossEntropyOperator = Operator("aten::cross_entropy_loss")
  private static let nllOperator = Operator("aten::nll_loss")
  private static let mseOperator = Operator("aten::mse_loss")
  private static let l1Operator = Operator("aten::l1_loss")
  private static let huberOperator = Operator("aten::huber_loss")
  private static let bceOperator = Operator("aten::binary_cross_entropy_with_logits")
  private static let klOperator = Operator("aten::kl_div")

  /// Cross-entropy of logits `[N, classes]` and class indices `[N]` (or probabilities `[N, classes]`).
  public func crossEntropy(_ labels: Tensor, reduction: Reduction = .mean, labelSmoothing: Double = 0) -> Tensor {
    Self.crossEntropyOperator(self, labels, Tensor?.none, reduction.rawValue, -100, labelSmoothing)
  }
  /// Negative log-likelihood of log-probabilities `[N, classes]` and class indices `[N]`.
  public func negativeLogLikelihood(_ labels: Tensor, reduction: Reduction = .mean) -> Tensor {
    Self.nllOperator(self, labels, Tensor?.none, reduction.rawValue)
  }
  /// (a - b)².
  public func meanSquaredError(_ target: Tensor, reduction: Reduction = .mean) -> Tensor {
    Self.mseOperator(self, target, reduction.rawValue)
  }
  /// |a - b|.
  public func absoluteError(_ target: Tensor, reduction: Reduction = .mean) -> Tensor {
    Self.l1Operator(self, target, reduction.rawValue)
  }
  /// ½(a - b)² up to a difference of `delta`, linear beyond it.
  public func huberLoss(_ target: Tensor, delta: Double = 1, reduction: Reduction = .mean) -> Tensor {
    Self.huberOperator(self, target, reduction.rawValue, delta)
  }
  /// Binary cross-entropy of logits and targets in [0, 1].
  public func binaryCrossEntropy(_ target: Tensor, reduction: Reduction = .mean) -> Tensor {
    Self.bceOperator(self, target, Tensor?.none, Tensor?.none, reduction.rawValue)
  }
  /// target · (log target - self), `self` being log-probabilities; divide the sum by N for the usual mean.
  public func klDivergence(_ target: Tensor, reduction: Reduction = .sum) -> Tensor {
    Self.klOperator(self, target, reduction.rawValue)
  }
}
