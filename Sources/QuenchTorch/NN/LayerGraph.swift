extension OperatorGraphBuilder {
  /// Appends what computes a layer.
  /// - Parameters:
  ///   - name: The layer's; its tensors are called `name.weight` and the like.
  ///   - inputs: What it reads.
  ///   - multiplyAdds: For one sample.
  mutating func append(
    _ name: String, _ layer: Layer, _ inputs: [OperatorGraph.Value], multiplyAdds: Int
  ) -> OperatorGraph.Value {
    var tensors = layer.parameters.map { hold(.parameter, "\(name).\($0.name)", $0.shape) }
    for (own, shape, dtype) in layer.buffers { tensors.append(hold(.buffer, "\(name).\(own)", shape, dtype)) }
    let x = OperatorGraph.Operand.value(inputs[0])
    let bias = tensors.count > 1 ? tensors[1] : .none
    func pair(_ size: Int) -> OperatorGraph.Operand { .integers([size, size]) }

    switch layer {
    case .input: return inputs[0]
    case .conv2d(let conv):
      return call(
        name, "aten::conv2d",
        [
          "input": x, "weight": tensors[0], "bias": bias, "stride": pair(conv.stride),
          "padding": pair(conv.padding),
          "dilation": pair(1), "groups": .integer(conv.groups)
        ], multiplyAdds: multiplyAdds)
    case .convTranspose2d(let conv):
      return call(
        name, "aten::conv_transpose2d.input",
        [
          "input": x, "weight": tensors[0], "bias": bias, "stride": pair(conv.stride), "padding": pair(conv.padding)
        ],
        multiplyAdds: multiplyAdds)
    case .batchNorm(let norm):
      return call(
        name, "aten::batch_norm",
        [
          "input": x, "weight": tensors[0], "bias": tensors[1], "running_mean": tensors[2],
          "running_var": tensors[3], "training": .boolean(false), "momentum": .real(norm.momentum),
          "eps": .real(norm.epsilon), "cudnn_enabled": .boolean(true)
        ])
    case .linear:
      return call(
        name, "aten::linear", ["input": x, "weight": tensors[0], "bias": bias], multiplyAdds: multiplyAdds)
    case .relu: return call(name, "aten::relu", ["self": x])
    case .sigmoid: return call(name, "aten::sigmoid", ["self": x])
    case .tanh: return call(name, "aten::tanh", ["self": x])
    case .maxPool(let kernel, let stride, let padding):
      return call(
        name, "aten::max_pool2d",
        ["self": x, "kernel_size": pair(kernel), "stride": pair(stride), "padding": pair(padding)])
    case .averagePool(let kernel, let stride):
      return call(name, "aten::avg_pool2d", ["self": x, "kernel_size": pair(kernel), "stride": pair(stride)])
    case .adaptiveAveragePool(size: 1):
      return call(name, "aten::mean.dim", ["self": x, "dim": .integers([2, 3]), "keepdim": .boolean(true)])
    case .adaptiveAveragePool(let size):
      return call(name, "aten::adaptive_avg_pool2d", ["self": x, "output_size": pair(size)])
    case .flatten: return call(name, "aten::flatten.using_ints", ["self": x, "start_dim": .integer(1)])
    case .add: return call(name, "aten::add.Tensor", ["self": x, "other": .value(inputs[1])])
    case .subtract: return call(name, "aten::sub.Tensor", ["self": x, "other": .value(inputs[1])])
    case .zeroPadShortcut(let stride, let positions, let channels):
      return zeroPadShortcut(name, inputs[0], stride: stride, positions: positions, channels: channels)
    }
  }

  /// Every `stride`-th pixel, channel `i` becoming channel `positions[i]` of `channels`, the others zero.
  private mutating func zeroPadShortcut(
    _ name: String, _ input: OperatorGraph.Value, stride: Int, positions: [Int], channels: Int
  ) -> OperatorGraph.Value {
    var x = input
    if stride > 1 {
      for (suffix, dimension) in [("rows", 2), ("columns", 3)] {
        x = call(
          "\(name).\(suffix)", "aten::slice.Tensor",
          ["self": .value(x), "dim": .integer(dimension), "step": .integer(stride)])
      }
    }
    let first = positions.first ?? 0
    let isRun = positions == Array(first..<first + positions.count)
    x = call(
      isRun ? name : "\(name).zero", "aten::constant_pad_nd",
      [
        "self": .value(x),
        "pad": .integers(isRun ? [0, 0, 0, 0, first, channels - first - positions.count] : [0, 0, 0, 0, 0, 1])
      ])
    guard !isRun else { return x }
    var sources = [Int](repeating: positions.count, count: channels)
    for (source, position) in positions.enumerated() { sources[position] = source }
    let index = hold(.constant, "\(name).sources", [channels], .int64, elements: sources)
    return call(name, "aten::index_select", ["self": .value(x), "dim": .integer(1), "index": index])
  }
}
