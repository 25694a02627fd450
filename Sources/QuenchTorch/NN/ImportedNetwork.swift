import CTorch
import QuenchSupport

extension Architecture {
  /// A network that is one imported graph.
  public init(importing graph: OperatorGraph, name: String) {
    let nodes: [Node] = [
      Node(name: "input", layer: .input(shape: Array(graph.input.example.dropFirst())), inputs: []),
      Node(name: "graph", layer: .imported(graph), inputs: [0])
    ]
    self.init(name: name, nodes: nodes)
  }

  /// The graph of an imported network; nil for one of Quench's own layers.
  public var importedGraph: OperatorGraph? {
    nodes.last?.layer.graph
  }

  /// Whether the network takes images of this shape `[channels, height, width]`.
  public func accepts(imageShape: [Int]) -> Bool {
    guard let graph = importedGraph else { return imageShape == inputShape }
    return graph.input.accepts(imageShape)
  }

  /// The images that it takes, in words: `3 x 224 x 224`.
  public var inputText: String { inputShape.map(String.init).joined(separator: " x ") }

  /// - Throws: `InputError` for an imported network: which of its operators pass channels on to which is not known.
  public func requireCuttable() throws(InputError) {
    guard importedGraph != nil else { return }
    throw InputError(
      "channels of an imported network cannot be cut yet", at: name,
      remedy: "prune single weights (granularity weight), which works on any network")
  }

  /// The same architecture whose batch norms' running statistics are those of the last batch alone.
  package func withLastBatchStatistics() -> Architecture {
    var copy = self
    for (position, node) in nodes.enumerated() {
      switch node.layer {
      case .batchNorm(var norm):
        norm.momentum = 1
        copy.nodes[position].layer = .batchNorm(norm)
      case .imported(var graph):
        for index in graph.nodes.indices where graph.nodes[index].target == "aten::batch_norm" {
          graph.nodes[index].arguments.removeAll { $0.name == "momentum" }
          graph.nodes[index].arguments.append(.init("momentum", .real(1)))
        }
        copy.nodes[position].layer = .imported(graph)
      default: break
      }
    }
    return copy
  }
}

extension OperatorGraph.Input {
  func accepts(_ imageShape: [Int]) -> Bool {
    imageShape.count == sizes.count - 1 && zip(sizes.dropFirst(), imageShape).allSatisfy { $0.contains($1) }
  }
}

extension Network {
  /// Whether the network is one imported graph. Such a network computes in the precision that it was exported in,
  /// usually float32, under autocast as well.
  public var isImported: Bool { architecture.importedGraph != nil }

  /// Whether a training pass can be had: an imported program may hold evaluation alone.
  public var isTrainable: Bool { (try? requireTrainable()) != nil }

  /// - Throws: `InputError` if the network is an imported program that was decomposed, which leaves only evaluation in
  ///   it, or takes single images alone.
  public func requireTrainable() throws(InputError) {
    guard let evaluator else { return }
    if let node = evaluator.frozenNode {
      throw InputError(
        "the program computes evaluation only", at: "\(evaluator.name), node '\(node.name)' (\(node.target))",
        remedy: "export the network again without run_decompositions() to train it")
    }
    guard evaluator.graph.input.sizes[0].upperBound > 1 else {
      throw InputError(
        "the program takes single images, which no batch norm can be trained on", at: evaluator.name,
        expected: "a free batch size", found: evaluator.graph.input.sizeText,
        remedy: "export it with dynamic_shapes=({0: torch.export.Dim(\"batch\")},)")
    }
  }

  /// The output for `images`, as ``callAsFunction(_:weights:updatingStatistics:)`` computes it.
  /// - Throws: `InputError` if an imported graph can't be computed on them: it names the node.
  public func evaluate(
    _ images: Tensor, weights: [Tensor]? = nil, updatingStatistics: Bool = true
  ) throws(InputError) -> Tensor {
    guard isImported else { return self(images, weights: weights, updatingStatistics: updatingStatistics) }
    return try imported(normalized(images), weights, updatingStatistics)
  }

  /// Computes an imported graph, in pieces where it takes fewer images at a time than there are; where it takes no fewer
  /// than so many, the last image is repeated.
  /// - Parameters:
  ///   - images: Normalized.
  ///   - weights: Tensors to compute with in place of the parameters.
  ///   - updatingStatistics: Whether a training pass updates the running statistics.
  ///   - observe: Sees each node of each piece with the values at hand after it was computed.
  /// - Throws: `InputError` if the images have another shape, or LibTorch refuses an operator: it names the node.
  func imported(
    _ images: Tensor, _ weights: [Tensor]? = nil, _ updatingStatistics: Bool = false,
    observe: (_ node: Int, _ values: GraphValues) -> Void = { _, _ in }
  ) throws(InputError) -> Tensor {
    guard let evaluator else { throw InputError("the imported graph cannot be computed", at: architecture.name) }
    let dtype = isWidened ? .float64 : evaluator.graph.input.dtype
    func logits(_ images: Tensor) throws(InputError) -> Tensor {
      let logits = try evaluator(
        images.to(dtype), parameters: weights ?? parameters.map(\.tensor), buffers: buffers.map(\.tensor),
        isTraining: isTraining, updatingStatistics: updatingStatistics, observe: observe)
      return logits.dtype.byteCount < 4 ? logits.to(.float32) : logits
    }
    let range = evaluator.graph.input.sizes.first ?? 1...1
    let count = images.rank > 0 ? images.size(0) : 0
    guard !range.contains(count), count > 0 else { return try logits(images) }
    var parts: [Tensor] = []
    for start in stride(from: 0, to: count, by: range.upperBound) {
      let piece = images[start..<min(start + range.upperBound, count)]
      let missing = range.lowerBound - piece.size(0)
      guard missing > 0 else {
        parts.append(try logits(piece))
        continue
      }
      let last = piece[(piece.size(0) - 1)...]
      let full = Tensor.concatenated([piece] + [Tensor](repeating: last, count: missing))
      parts.append(try logits(full)[..<piece.size(0)])
    }
    return .concatenated(parts)
  }

  /// Computes an imported graph once, in evaluation mode on one black image, and notes the multiply-adds of its
  /// convolutions, linear layers, matrix products and attention in the architecture.
  /// - Throws: `InputError` if the network can't be computed.
  public func measure() throws(InputError) {
    guard var graph = architecture.importedGraph, evaluator != nil else { return }
    let batch = max(graph.input.sizes[0].lowerBound, 1)
    let images = Tensor.zeros([batch] + architecture.inputShape, device: device)
    let wasTraining = isTraining
    isTraining = false
    defer { isTraining = wasTraining }
    var costs = [Double](repeating: 0, count: graph.nodes.count)
    let result = withoutGradient {
      Result { () throws(InputError) -> Tensor in
        try imported(normalized(images)) { position, values in
          costs[position] = graph.nodes[position].cost(values) / Double(batch)
        }
      }
    }
    _ = try result.get()
    for (position, cost) in costs.enumerated() { graph.nodes[position].multiplyAdds = Int(min(cost, 0x1p50)) }
    noteGraph(graph)
  }

  /// What the last linear layer reads, for images `[N, C, H, W]`, differentiable: the features that a feature attack
  /// compares. The images themselves where there is no such layer.
  package func penultimateFeatures(of images: Tensor) -> Tensor {
    guard let graph = architecture.importedGraph else {
      let last = architecture.nodes.lastIndex { if case .linear = $0.layer { true } else { false } }
      return output(before: last ?? architecture.nodes.count - 1, of: images)
    }
    let normalized = normalized(images)
    guard let (position, value) = graph.lastFactorInput else { return normalized }
    var found: Tensor?
    _ = try? imported(normalized) { node, values in
      if node == position, let tensor = values.tensor(value.index), tensor.rank > 0,
        tensor.size(0) == images.size(0)
      {
        found = tensor
      }
    }
    return found ?? normalized
  }

  /// What the node at `position` reads, for `images` `[N, C, H, W]`.
  package func output(before position: Int, of images: Tensor) -> Tensor {
    var values = [Tensor?](repeating: nil, count: architecture.nodes.count)
    values[0] = normalized(images)
    for node in architecture.nodes.indices.dropFirst() where node < position {
      values[node] = output(of: node, values)
    }
    return values[architecture.nodes[position].inputs[0]] ?? images
  }

  /// The last planes `[N, Q, h, w]` of features that an imported graph computes, and the logits that it makes of them;
  /// the images themselves where there are none. For `images` that derivatives are recorded of.
  package func lastPlanes(of images: Tensor) -> (planes: Tensor, logits: Tensor) {
    let normalized = normalized(images)
    let layers = ["conv", "batch_norm", "relu", "silu", "hardswish", "gelu", "add"]
    var found: Tensor?
    let logits = try? imported(normalized) { [architecture] position, values in
      guard case .one(let value)? = architecture.importedGraph?.nodes[position].results.first,
        let target = architecture.importedGraph?.nodes[position].target,
        layers.contains(where: { target.dropFirst(6).hasPrefix($0) }), let tensor = values.tensor(value.index),
        tensor.rank == 4, tensor.size(0) == images.size(0), tensor.size(2) > 1, tensor.size(3) > 1,
        tensor.requiresGrad
      else { return }
      found = tensor
    }
    guard let logits, let found else { return (images, self(images)) }
    return (found, logits)
  }

  /// Whether an entry is a batch norm's.
  package func isBatchNorm(_ entry: Entry) -> Bool {
    switch architecture.nodes[entry.node].layer {
    case .batchNorm: true
    case .imported(let graph):
      graph.batchNormTensors(["weight", "bias", "running_mean", "running_var"]).contains(entry.name)
    default: false
    }
  }

  /// The weights `[outputs, inputs]` of linear layers, as positions in ``parameters``.
  package var linearWeights: [Int] { prunable.filter { parameters[$0].tensor.rank == 2 } }

  /// Whether gradients by the weights can be differentiated again: fused attention, for one, has no such derivative. An
  /// imported network is tried on two grey images.
  package var hasSecondDerivatives: Bool {
    guard isImported else { return true }
    let images = Tensor.full([2] + architecture.inputShape, 0.5, device: device)
    let leaves = prunable.map { parameters[$0].tensor.detached().requiringGrad() }
    return withGradient {
      guard let logits = try? imported(normalized(images), weights(replacing: prunable, with: leaves)) else {
        return false
      }
      let first = gradients(of: [logits.square().sum()], withRespectTo: leaves, createGraph: true)
        .compactMap { $0?.square().sum() }.filter(\.requiresGrad)
      guard !first.isEmpty else { return true }
      let sum = Tensor.stacked(first).sum()
      var results = [OpaquePointer?](repeating: nil, count: leaves.count)
      var error = ct_error()
      let status = withExtendedLifetime((sum, leaves)) {
        ct_grad([sum.raw], [nil], 1, leaves.map { $0.raw }, Int32(leaves.count), false, false, &results, &error)
      }
      _ = results.compactMap { $0.map(Tensor.init(adopting:)) }
      guard status != CT_OK else { return true }
      _ = TorchFailure(taking: error)
      return false
    }
  }
}
