extension Network {
  static func lastUses(_ architecture: Architecture) -> [[Int]] {
    var uses = [[Int]](repeating: [], count: architecture.nodes.count)
    for (position, readers) in architecture.consumers.enumerated() {
      if let last = readers.max() { uses[last].append(position) }
    }
    return uses
  }

  /// ReLU and addition overwrite what a convolution, batch norm, linear layer or addition made for them alone: none
  /// of those needs its output again to be differentiated.
  static func worksInPlace(_ architecture: Architecture) -> [Bool] {
    let consumers = architecture.consumers
    return architecture.nodes.map { node in
      guard node.layer == .relu || node.layer == .add, let first = node.inputs.first,
        consumers[first].count == 1
      else { return false }
      switch architecture.nodes[first].layer {
      case .conv2d, .convTranspose2d, .batchNorm, .linear, .add, .subtract: return true
      default: return false
      }
    }
  }
}

extension Tensor {
  /// Convolution weights lie channels-last, as the images do.
  func inConvolutionLayout() -> Tensor { rank == 4 ? contiguous(.channelsLast) : self }

  /// ``Layer/zeroPadShortcut(stride:positions:channels:)`` on `[N, C, H, W]`.
  func zeroPadShortcut(stride: Int, positions: [Int], channels: Int) -> Tensor {
    let picked =
      stride == 1
      ? self : self[TensorIndex.all, TensorIndex.all, TensorIndex.every(stride), TensorIndex.every(stride)]
    guard let first = positions.first, let last = positions.last else {
      return picked.sum([1], keepDimensions: true).zerosLike().expanded([size(0), channels, -1, -1])
    }
    if last - first == positions.count - 1 { return picked.padded([0, 0, 0, 0, first, channels - 1 - last]) }
    var source = [Int](repeating: positions.count, count: channels)
    for (index, position) in positions.enumerated() { source[position] = index }
    return picked.padded([0, 0, 0, 0, 0, 1]).selecting(Tensor(source).to(device), 1)
  }
}
