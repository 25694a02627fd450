import QuenchTorch

extension Network {
  /// Estimates batch norm's running statistics anew, as the mean over batches of each batch's own: needs images, no
  /// labels and no gradients. Cutting or masking shifts what batch norm sees, and a large momentum leaves the
  /// statistics of the last batches.
  ///
  /// Weights stay as they are, and so do the statistics where there are no batches.
  /// - Parameter batches: Pixels in [0, 1], `[N, C, H, W]`; at least two values of each channel in a batch.
  public func recalibrateBatchNorm(on batches: some Sequence<Tensor>) {
    let twin = Network(architecture.withBatchNorms(momentum: 1), seed: 0, device: device)
    twin.convert(to: dtype)
    twin.isTraining = true
    withoutGradient {
      for (mine, theirs) in zip(parameters + buffers, twin.parameters + twin.buffers) {
        theirs.tensor.copy(from: mine.tensor)
      }
      let norms = batchNormNames
      let statistics = buffers.indices.filter { buffers[$0].tensor.rank == 1 && norms.contains(buffers[$0].name) }
      let sums = statistics.map { buffers[$0].tensor.zerosLike() }
      var count = 0
      for images in batches {
        _ = twin(images)
        for (sum, index) in zip(sums, statistics) { sum += twin.buffers[index].tensor }
        count += 1
      }
      guard count > 0 else { return }
      for (sum, index) in zip(sums, statistics) { buffers[index].tensor.copy(from: sum / Double(count)) }
    }
  }
}
