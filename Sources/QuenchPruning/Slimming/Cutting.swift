import QuenchTorch
import QuenchVision

extension Architecture {
  /// The same network with fewer channels; a zero-padded shortcut puts what is left where its channels now are.
  /// - Parameter kept: For each node the channels of its output that stay, ascending; nodes that ``ChannelGroups``
  ///   couples keep the same ones.
  func keeping(_ kept: [[Int]]) -> Architecture {
    var smaller = self
    for (position, node) in nodes.enumerated() {
      let outputs = kept[position]
      let inputs = node.inputs.first.map { kept[$0] } ?? []
      switch node.layer {
      case .conv2d(var conv):
        if conv.isDepthwise { conv.groups = inputs.count }
        (conv.inputs, conv.outputs) = (inputs.count, outputs.count)
        smaller.nodes[position].layer = .conv2d(conv)
      case .linear(var linear):
        (linear.inputs, linear.outputs) = (inputs.count, outputs.count)
        smaller.nodes[position].layer = .linear(linear)
      case .batchNorm(var norm):
        norm.channels = outputs.count
        smaller.nodes[position].layer = .batchNorm(norm)
      case .zeroPadShortcut(let stride, let places, _):
        let ranks = Dictionary(uniqueKeysWithValues: zip(outputs, outputs.indices))
        smaller.nodes[position].layer = .zeroPadShortcut(
          stride: stride, positions: inputs.compactMap { ranks[places[$0]] }, channels: outputs.count)
      case .input, .convTranspose2d, .relu, .sigmoid, .tanh, .maxPool, .averagePool, .adaptiveAveragePool, .flatten,
        .add, .subtract, .imported:
        break
      }
    }
    return smaller
  }
}

extension Network {
  /// The network with fewer channels: of every filter, batch norm and input plane that stays, a copy.
  /// - Parameters:
  ///   - kept: For each node the channels of its output that stay, ascending.
  ///   - groups: The groups that couple them.
  func keeping(_ kept: [[Int]], of groups: ChannelGroups) -> Network {
    let smaller = Network(architecture.keeping(kept), seed: 0, device: device)
    smaller.convert(to: dtype)
    let stays = kept.indices.reduce(into: Set<Int>()) { stays, node in
      for channel in kept[node] { stays.insert(groups.positions[node][channel]) }
    }
    func slice(_ tensor: Tensor, _ dimension: Int, _ sets: [Int]) -> Tensor {
      let indices = sets.indices.filter { stays.contains(sets[$0]) }
      return indices.count == sets.count ? tensor : tensor.selecting(Tensor(indices).to(device), dimension)
    }
    withoutGradient {
      for (target, entry) in zip(smaller.parameters + smaller.buffers, parameters + buffers) {
        var value = entry.tensor.detached()
        if value.rank > 0 { value = slice(value, 0, groups.positions[entry.node]) }
        if value.rank > 1, let planes = groups.sets(ofWeightAt: entry.node, along: .inputs) {
          value = slice(value, 1, planes)
        }
        target.tensor.copy(from: value)
      }
    }
    return smaller
  }
}
