extension Network {
  /// The output of one node, from those of the nodes that it reads.
  package func output(
    of position: Int, _ values: [Tensor?]
  ) -> Tensor {
    let node = architecture.nodes[position]
    func input(_ index: Int = 0) -> Tensor {
      guard let value = values[node.inputs[index]] else { ProgrammingError.stop("\(node.name): input is gone") }
      return value
    }
    func parameter(_ index: Int) -> Tensor {
      parameters.filter { $0.node == position }[index].tensor
    }
    func buffer(_ index: Int) -> Tensor { buffers.filter { $0.node == position }[index].tensor }

    switch node.layer {
    case .input: return input()
    case .conv2d(let conv):
      return input().conv2d(
        parameter(0), bias: conv.bias ? parameter(1) : nil, stride: conv.stride, padding: conv.padding,
        groups: conv.groups)
    case .convTranspose2d(let conv):
      return input().convTranspose2d(
        parameter(0), bias: conv.bias ? parameter(1) : nil, stride: conv.stride, padding: conv.padding)
    case .batchNorm(let norm):
      return input().batchNorm(
        weight: parameter(0), bias: parameter(1), runningMean: buffer(0), runningVariance: buffer(1),
        training: false,
        momentum: norm.momentum, epsilon: norm.epsilon)
    case .linear(let linear): return input().linear(parameter(0), bias: linear.bias ? parameter(1) : nil)
    case .relu: return input().relu()
    case .sigmoid: return input().sigmoid()
    case .tanh: return input().tanh()
    case .maxPool(let kernel, let stride, let padding):
      return input().maxPool2d(kernel, stride: stride, padding: padding)
    case .averagePool(let kernel, let stride): return input().avgPool2d(kernel, stride: stride)
    case .adaptiveAveragePool(let size):
      return size == 1 ? input().mean([2, 3], keepDimensions: true) : input().adaptiveAvgPool2d(size)
    case .flatten: return input().flattened(from: 1)
    case .add: return input(0) + input(1)
    case .subtract: return input(0) - input(1)
    case .zeroPadShortcut(let stride, let positions, let channels):
      return input().zeroPadShortcut(stride: stride, positions: positions, channels: channels)
    case .imported: return self(input())
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
