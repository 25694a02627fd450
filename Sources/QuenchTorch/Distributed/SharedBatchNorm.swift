extension World {
  private static let momentsOperator = Operator("aten::var_mean.correction")
  private static let scaleOperator = Operator("aten::addcmul")

  /// A batch norm in training whose batch are all ranks' images together (Ioffe and Szegedy 2015, algorithm 1).
  /// - Parameters:
  ///   - input: `[N, C, ...]`, this rank's part of the batch.
  ///   - weight: `[C]`, γ; nil: 1.
  ///   - bias: `[C]`, β; nil: 0.
  ///   - running: The running mean and variance, `[C]` each, which are updated; nil: none are.
  ///   - momentum: The batch's part in the running statistics.
  ///   - epsilon: Added to the variance.
  /// - Returns: Of the input's shape and type.
  func normalized(
    _ input: Tensor, weight: Tensor?, bias: Tensor?, running: (mean: Tensor, variance: Tensor)?, momentum: Double,
    epsilon: Double
  ) -> Tensor {
    let pixels = input.inFullPrecision()
    let channels = input.size(1)
    let axes = [0] + Array(2..<max(2, input.rank))
    let own = Double(input.count / channels)
    let moments = Self.momentsOperator.tuple(pixels, axes, 0.0).map { $0.to(.float64) }
    let count = sum([own])[0]
    let sums = jointSum(
      Tensor.concatenated([moments[1], moments[0] + moments[1].square()]) * own, weight: own)
    let means = (sums / count).split(channels)
    let mean = means[0]
    let variance = means[1] - mean.square()
    if let running {
      withoutGradient {
        let unbiased = variance * (count / max(count - 1, 1))
        for (kept, new) in [(running.mean, mean), (running.variance, unbiased)] {
          kept.copy(from: kept * (1 - momentum) + new.to(kept.dtype) * momentum)
        }
      }
    }
    var scale = (variance + epsilon).rsqrt()
    if let weight { scale = scale * weight.to(.float64) }
    var shift = -(mean * scale)
    if let bias { shift = shift + bias.to(.float64) }
    let shape = [1, channels] + [Int](repeating: 1, count: max(0, input.rank - 2))
    func broadcast(_ values: Tensor) -> Tensor { values.to(pixels.dtype).viewed(shape) }
    return Self.scaleOperator(broadcast(shift), pixels, broadcast(scale)).to(input.dtype)
  }
}
