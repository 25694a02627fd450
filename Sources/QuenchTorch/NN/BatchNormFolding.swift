extension Network {
  /// The frozen network that computes the same in evaluation mode with batch norm folded into the convolution or
  /// linear layer before it: fewer operators for inference, and for input gradients of attacks.
  ///
  /// A batch norm whose input others read as well, or that follows another layer, stays.
  public func foldingBatchNorm() -> Network {
    let old = architecture
    let consumers = old.consumers
    var nodes: [Architecture.Node] = []
    /// Where each old node's output is found in the new graph.
    var place = [Int](repeating: 0, count: old.nodes.count)
    /// For each new node the old ones that its weights come from.
    var sources: [(layer: Int, norm: Int?)] = []

    for (position, node) in old.nodes.enumerated() {
      if case .batchNorm = node.layer, let input = node.inputs.first, consumers[input].count == 1,
        let biased = old.nodes[input].layer.withBias
      {
        place[position] = place[input]
        nodes[place[input]].layer = biased
        sources[place[input]].norm = position
        continue
      }
      place[position] = nodes.count
      nodes.append(.init(name: node.name, layer: node.layer, inputs: node.inputs.map { place[$0] }))
      sources.append((position, nil))
    }

    var folded = old
    folded.nodes = nodes
    let network = Network(folded, seed: 0, device: device)
    network.convert(to: dtype)
    withoutGradient {
      for (position, source) in sources.enumerated() {
        let targets =
          network.parameters.filter { $0.node == position } + network.buffers.filter { $0.node == position }
        for (target, value) in zip(targets, values(of: source.layer, foldedWith: source.norm)) {
          target.tensor.copy(from: value)
        }
      }
    }
    network.setTrainable(false)
    return network
  }

  /// The tensors of a node, with a following batch norm worked in: w·γ/√(σ²+ε) and β + (b - μ)·γ/√(σ²+ε).
  private func values(of node: Int, foldedWith norm: Int?) -> [Tensor] {
    let own = (parameters + buffers).filter { $0.node == node }.map(\.tensor)
    guard let norm, case .batchNorm(let layer) = architecture.nodes[norm].layer else { return own }
    let affine = parameters.filter { $0.node == norm }.map(\.tensor)
    let statistics = buffers.filter { $0.node == norm }.map(\.tensor)
    let scale = affine[0] * (statistics[1] + layer.epsilon).rsqrt()
    let shift = (own.count > 1 ? own[1] : statistics[0].zerosLike()) - statistics[0]
    let columns = [-1] + [Int](repeating: 1, count: own[0].rank - 1)
    return [own[0] * scale.reshaped(columns), affine[1] + shift * scale]
  }
}

extension Layer {
  /// The same layer with a bias, where it can have one.
  fileprivate var withBias: Layer? {
    switch self {
    case .conv2d(var conv):
      conv.bias = true
      return .conv2d(conv)
    case .linear(var linear):
      linear.bias = true
      return .linear(linear)
    default: return nil
    }
  }
}
