extension World {
  /// A batch norm in training whose batch are all ranks' images together (Ioffe and Szegedy 2015, algorithm 1).
  ///
  /// The images themselves are gone through as seldom as by a batch norm of one process but for one pass more in the
  /// derivative; all else happens on vectors of one number a channel, in double precision.
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
    let channels = input.size(1)
    let own = Double(input.count / channels)
    let (place, moments) = input.channelMoments()
    let origin = place.to(.float64)
    let around = moments.to(.float64).split(channels)
    // Σ x, Σ x² and Σ 1 over the images and places.
    let sums = jointSum(
      Tensor.concatenated([
        around[0], around[1] + origin * (around[0] * 2 - origin),
        Tensor.ones([1], dtype: .float64, device: input.device)
      ]) * own, weight: own
    ).split(channels)
    let count = sums[2].detached()
    let mean = sums[0] / count
    let variance = sums[1] / count - mean.square()
    if let running {
      withoutGradient {
        let unbiased = variance * (count / (count - 1).clamped(to: 1...))
        for (kept, new) in [(running.mean, mean), (running.variance, unbiased)] {
          kept.copy(from: kept * (1 - momentum) + new.to(kept.dtype) * momentum)
        }
      }
    }
    var scale = (variance + epsilon).rsqrt()
    if let weight { scale = scale * weight.to(.float64) }
    let center = mean.detached().to(place.dtype)
    var shift = (center.to(.float64) - mean) * scale
    if let bias { shift = shift + bias.to(.float64) }
    return input.scaled(by: scale.to(place.dtype), around: center, to: shift.to(place.dtype))
  }
}

extension Tensor {
  private static let statisticsOperator = Operator("aten::batch_norm_update_stats")
  private static let aliasOperator = Operator("aten::alias")

  /// `(x - center) · scale + shift` for each channel of `[N, C, ...]` in one pass, as a batch norm by statistics that stand.
  fileprivate func scaled(by scale: Tensor, around center: Tensor, to shift: Tensor) -> Tensor {
    batchNorm(
      weight: scale, bias: shift, runningMean: center, runningVariance: center.onesLike(), training: false,
      epsilon: 0)
  }

  /// Each channel's mean and variance over images `[N, C, ...]`, read in one pass.
  /// - Returns: The means as constants c, `[C]`; and the means of x and of (x - c)², `[2C]`, which may be
  ///   differentiated. Of the images' type, or float32 where that has fewer digits.
  fileprivate func channelMoments() -> (place: Tensor, moments: Tensor) {
    let channels = size(1)
    let kind = dtype.byteCount < 4 ? DType.float32 : dtype
    // Statistics to update, by a momentum of 0, have it compute in their type.
    let updated = Tensor.zeros([2, channels], dtype: kind, device: device)
    let found = withoutGradient { Self.statisticsOperator.tuple(detached(), updated[0], updated[1], 0.0) }
    let mean = found[0]
    let scale = Double(channels) / Double(count)
    let moments = depending(Tensor.concatenated(found)) { [self] gradient in
      let parts = (gradient * scale).split(channels)
      return scaled(by: parts[1] * 2, around: mean, to: parts[0])
    }
    return (mean, moments)
  }

  /// A few numbers that follow from this tensor.
  /// - Parameters:
  ///   - value: The numbers, a vector.
  ///   - derivative: Makes the derivative with respect to this tensor of that with respect to the numbers, by operators
  ///     that can be differentiated again.
  private func depending(_ value: Tensor, _ derivative: @escaping (Tensor) -> Tensor) -> Tensor {
    guard isRecorded else { return value }
    final class Passed { var gradient: Tensor? }
    let passed = Passed()
    // LibTorch goes through the graph from the numbers over one element to a tensor that shares this one's memory. Its
    // derivative, zeros but for the element, is replaced by the one that is due.
    let twin = Self.aliasOperator(self)
    twin.onGradient { zeros in
      defer { passed.gradient = nil }
      return passed.gradient.map(derivative) ?? zeros
    }
    let element = twin[0..<1].flattened()[0..<1].to(value.dtype)
    let result = value + (element - element.detached())
    result.onGradient { gradient in
      passed.gradient = gradient
      return gradient
    }
    return result
  }
}
