extension Network {
  /// The frozen network that computes the same with products of a layer's result and one held number a channel, such as
  /// the layer scale of ConvNeXt, worked into the layer's weights. Permutations may stand between the two.
  public func foldingScales() -> Network {
    withoutGradient {
      var folding = LayerFolding(self)
      folding.foldAll { $0.foldScale($1) }
      return rewritten(as: folding.graph, with: folding.ownTensors, in: inputDType)
    }
  }
}

extension LayerFolding {
  fileprivate mutating func foldScale(_ position: Int) -> Bool {
    let product = graph.nodes[position]
    guard product.target == "aten::mul.Tensor", let first = product.value("self"),
      let second = product.value("other"),
      case .one(let result)? = product.results.first
    else { return false }
    let (held, value) = tensors[first] == nil ? (second, first) : (first, second)
    guard let scale = tensors[held], tensors[value] == nil, let source = source(of: value, readBy: position),
      let layer = FoldedLayer(graph.nodes[source.layer]), layer.outputDimension == 0,
      let weight = layer.weight, let old = tensors[weight], readers[weight.index] == [source.layer],
      scale.dtype == old.dtype, isOneNumberAChannel(scale, old.size(0), source.order, isLinear: layer.isLinear)
    else { return false }
    let bias = graph.nodes[source.layer].value("bias")
    if let bias, tensors[bias] == nil || readers[bias.index] != [source.layer] { return false }
    let rows = scale.reshaped([-1]).expanded([old.size(0)])
    set(weight, old * rows.reshaped([-1] + [Int](repeating: 1, count: old.rank - 1)))
    if let bias, let tensor = tensors[bias] { set(bias, tensor * rows) }
    graph.nodes[source.last].results = [.one(result)]
    return true
  }

  /// The layer whose result a value is, permuted or not, where nobody else reads it: with the last node before the
  /// value, and the layer's dimension that each of the value's was; nil for none permuted.
  private func source(
    of value: OperatorGraph.Value, readBy reader: Int
  ) -> (layer: Int, last: Int, order: [Int]?)? {
    guard readers[value.index] == [reader], value != graph.output, let last = producers[value.index] else {
      return nil
    }
    let node = graph.nodes[last]
    guard node.target == "aten::permute", let before = node.value("self"), let dimensions = node.integers("dims")
    else {
      return (last, last, nil)
    }
    let count = dimensions.count
    let order = dimensions.map { $0 < 0 ? $0 + count : $0 }
    guard let source = source(of: before, readBy: last) else { return nil }
    return (source.layer, last, source.order.map { inner in order.map { inner[$0] } } ?? order)
  }

  /// Whether a tensor that is spread over a layer's result is the same along all dimensions but the channels'.
  private func isOneNumberAChannel(_ scale: Tensor, _ channels: Int, _ order: [Int]?, isLinear: Bool) -> Bool {
    let order = order ?? (isLinear ? [0] : [0, 1, 2, 3])
    guard scale.rank <= order.count, let place = order.firstIndex(of: isLinear ? order.count - 1 : 1) else {
      return false
    }
    let shape = [Int](repeating: 1, count: order.count - scale.rank) + scale.shape
    return shape.indices.allSatisfy { shape[$0] == 1 || $0 == place && shape[$0] == channels }
  }
}
