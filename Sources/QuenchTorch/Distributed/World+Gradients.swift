import CTorch

extension World {
  /// Elements that are added up at once: large enough that a call's fixed cost does not count, small enough that little
  /// is copied.
  private static let bucketLength = 4 << 20

  /// Tensors as they are, whose derivatives are those of all ranks' images together.
  ///
  /// Each rank's loss is the mean over its own images; so the derivative of the mean over all is the mean of the
  /// ranks' derivatives, each weighed by the rank's images. It is computed when this rank's is, for many tensors at
  /// once, and can be differentiated again.
  /// - Parameters:
  ///   - tensors: The parameters of a network, the same in all ranks.
  ///   - images: How many images this rank computes with them, at least one.
  func sharing(_ tensors: [Tensor], images: Int) -> [Tensor] {
    guard size > 1, ct_grad_mode() else { return tensors }
    var shared = tensors
    for bucket in Self.buckets(tensors) {
      let parts = bucket.map { tensors[$0].asStored }
      let flat = Tensor.concatenated(parts.map { $0.flattened() })
      flat.onGradient { [self] gradient in average(gradient, weight: images) }
      for (index, part) in zip(bucket, flat.split(sizes: parts.map(\.count))) {
        shared[index] = part.viewed(tensors[index].asStored.shape).unstored(like: tensors[index])
      }
    }
    return shared
  }

  /// The ranks' tensors averaged, each weighed by so much. All ranks go on with the same result, so its derivative with
  /// respect to this rank's tensor, in terms of this rank's loss, is the result's.
  private func average(_ tensor: Tensor, weight: Int) -> Tensor {
    let mean = withoutGradient {
      let own = Tensor.full([1], Double(weight), dtype: tensor.dtype, device: tensor.device)
      let sums = sum(Tensor.concatenated([tensor.detached().flattened() * Double(weight), own]))
      return (sums[0..<tensor.count] / sums[tensor.count]).reshaped(tensor.shape)
    }
    return tensor.replaced(by: mean)
  }

  /// The sum of a tensor over all ranks, of which each rank makes a part of the common loss.
  /// - Parameters:
  ///   - tensor: This rank's.
  ///   - weight: This rank's share in the loss, in any unit that all ranks have.
  func jointSum(_ tensor: Tensor, weight: Double) -> Tensor {
    tensor.replaced(by: sum(tensor)) { [self] in weighedSum($0, weight: weight) }
  }

  /// What the derivative of ``jointSum(_:weight:)`` is in terms of this rank's loss, given each rank's in terms of its own.
  private func weighedSum(_ tensor: Tensor, weight: Double) -> Tensor {
    let value = withoutGradient { sum(tensor * weight) / weight }
    return tensor.replaced(by: value) { [self] in jointSum($0, weight: weight) }
  }

  /// The positions of tensors that need derivatives, in groups of one type that are not too long.
  private static func buckets(_ tensors: [Tensor]) -> [[Int]] {
    var buckets: [[Int]] = []
    var open: [DType: (bucket: Int, length: Int)] = [:]
    for (index, tensor) in tensors.enumerated() where tensor.requiresGrad {
      let length = tensor.count
      if let (bucket, before) = open[tensor.dtype], before + length <= bucketLength {
        buckets[bucket].append(index)
        open[tensor.dtype] = (bucket, before + length)
      } else {
        open[tensor.dtype] = (buckets.count, length)
        buckets.append([index])
      }
    }
    return buckets
  }
}

extension Tensor {
  /// Whether what is computed of it now can be differentiated with respect to it.
  var isRecorded: Bool { ct_grad_mode() && requiresGrad }

  /// Whether it lies in memory with the channels last.
  private var hasChannelsLast: Bool { rank == 4 && !isContiguous() && isContiguous(.channelsLast) }

  /// With its dimensions in the order in which its elements lie in memory.
  fileprivate var asStored: Tensor { hasChannelsLast ? permuted([0, 2, 3, 1]) : self }

  /// What ``asStored`` made of a tensor like the other, taken back.
  fileprivate func unstored(like other: Tensor) -> Tensor { other.hasChannelsLast ? permuted([0, 3, 1, 2]) : self }

  /// Another value in the place of this tensor's.
  /// - Parameter change: What the derivative with respect to the value becomes with respect to this; nil: it stays.
  fileprivate func replaced(by value: Tensor, _ change: ((Tensor) -> Tensor)? = nil) -> Tensor {
    guard isRecorded else { return value }
    let result = value + (self - detached())
    if let change { result.onGradient(change) }
    return result
  }

  /// Has `change` replace the derivative with respect to this tensor, a computed one, whenever it is computed.
  func onGradient(_ change: @escaping (Tensor) -> Tensor) {
    final class Change {
      let change: (Tensor) -> Tensor
      init(_ change: @escaping (Tensor) -> Tensor) { self.change = change }
    }
    let context = Unmanaged.passRetained(Change(change)).toOpaque()
    ProgrammingError.check("hook of \(summary)") { error in
      ct_on_gradient(
        raw,
        { context, gradient in
          guard let context, let gradient else { return nil }
          let change = Unmanaged<Change>.fromOpaque(context).takeUnretainedValue()
          let result = change.change(Tensor(adopting: gradient))
          return withExtendedLifetime(result) { ct_retain(result.raw) }
        }, context, { context in context.map { Unmanaged<Change>.fromOpaque($0).release() } }, &error)
    }
  }
}
