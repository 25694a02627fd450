import QuenchTorch

extension Network {
  /// Estimates batch norm's running statistics anew, as the mean over batches of each batch's own: needs images, no
  /// labels and no gradients. Cutting or masking shifts what batch norm sees, and a large momentum leaves the
  /// statistics of the last batches.
  ///
  /// Weights stay as they are, and so do the statistics where there are no batches.
  /// - Parameter batches: Pixels in [0, 1], `[N, C, H, W]`; at least two values of each channel in a batch.
  public func recalibrateBatchNorm(on batches: some Sequence<Tensor>) {
    var architecture = architecture
    for (position, node) in architecture.nodes.enumerated() {
      guard case .batchNorm(var norm) = node.layer else { continue }
      norm.momentum = 1  // the running statistics are then those of the last batch
      architecture.nodes[position].layer = .batchNorm(norm)
    }
    let twin = Network(architecture, seed: 0, device: device)
    twin.convert(to: dtype)
    twin.isTraining = true
    withoutGradient {
      for (mine, theirs) in zip(parameters, twin.parameters) { theirs.tensor.copy(from: mine.tensor) }
      let statistics = twin.buffers.map(\.tensor)
      let sums = statistics.map { $0.zerosLike() }
      var count = 0
      for images in batches {
        _ = twin(images)
        for (sum, statistic) in zip(sums, statistics) where sum.rank == 1 { sum += statistic }
        count += 1
      }
      guard count > 0 else { return }
      for (mine, sum) in zip(buffers, sums) where sum.rank == 1 { mine.tensor.copy(from: sum / Double(count)) }
    }
  }
}
