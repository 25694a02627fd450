import CTorch
import QuenchSupport

extension Network {
  /// Whether the network was made elsewhere; see ``Architecture/isImported``.
  public var isImported: Bool { architecture.isImported }

  /// Whether a training pass can be had: an imported program may hold evaluation alone.
  public var isTrainable: Bool { (try? requireTrainable()) != nil }

  /// - Throws: `InputError` if the network is an imported program that was decomposed, which leaves only evaluation in
  ///   it, or takes single images alone.
  public func requireTrainable() throws(InputError) {
    let evaluator = try evaluator.get()
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

  /// Takes fewer images at a time than there are, where the graph wants it; where it takes no fewer than so many, the last
  /// image is repeated.
  /// - Parameter body: Computes the output of images whose number the graph takes.
  private func inPieces(
    _ images: Tensor, _ body: (Tensor) throws(InputError) -> Tensor
  ) throws(InputError) -> Tensor {
    let range = graph.input.sizes.first ?? 1...1
    let count = images.rank > 0 ? images.size(0) : 0
    guard !range.contains(count), count > 0 else { return try body(images) }
    var parts: [Tensor] = []
    for start in stride(from: 0, to: count, by: range.upperBound) {
      let piece = images[start..<min(start + range.upperBound, count)]
      let missing = range.lowerBound - piece.size(0)
      guard missing > 0 else {
        parts.append(try body(piece))
        continue
      }
      let last = piece[(piece.size(0) - 1)...]
      let full = Tensor.concatenated([piece] + [Tensor](repeating: last, count: missing))
      parts.append(try body(full)[..<piece.size(0)])
    }
    return .concatenated(parts)
  }

  /// The output for `images`, as ``callAsFunction(_:weights:updatingStatistics:)`` computes it.
  /// - Parameters:
  ///   - images: Pixels in [0, 1], `[N, C, H, W]`.
  ///   - weights: Tensors to compute with in place of the parameters.
  ///   - updatingStatistics: Whether a training pass updates the running statistics.
  ///   - keepsValues: Whether no value that `observe` sees is written over later.
  ///   - observe: Sees each node of each piece with the values at hand after it was computed.
  /// - Throws: `InputError` if the images have another shape, or LibTorch refuses an operator: it names the node.
  func evaluate(
    _ images: Tensor, weights: [Tensor]? = nil, updatingStatistics: Bool = true, keepsValues: Bool = true,
    observe: ((_ node: Int, _ values: GraphValues) -> Void)?
  ) throws(InputError) -> Tensor {
    let evaluator = try evaluator.get()
    let parameters = world.sharing(weights ?? parameters.map(\.tensor), images: images.size(0))
    return try inPieces(normalized(images).to(inputDType)) { (images) throws(InputError) in
      try evaluator(
        images, parameters: parameters, buffers: buffers.map(\.tensor), isTraining: isTraining,
        updatingStatistics: updatingStatistics, keepsValues: keepsValues, world: world, observe: observe)
    }
  }

  /// The output for `images`, as ``callAsFunction(_:weights:updatingStatistics:)`` computes it.
  /// - Parameters:
  ///   - images: Pixels in [0, 1], `[N, C, H, W]`.
  ///   - weights: Tensors to compute with in place of the parameters.
  ///   - updatingStatistics: Whether a training pass updates the running statistics.
  /// - Throws: `InputError` if the graph can't be computed on them: it names the node.
  public func evaluate(
    _ images: Tensor, weights: [Tensor]? = nil, updatingStatistics: Bool = true
  ) throws(InputError) -> Tensor {
    try evaluate(images, weights: weights, updatingStatistics: updatingStatistics, observe: nil)
  }

  /// Computes the graph once, in evaluation mode on one black image, and notes the multiply-adds of its convolutions,
  /// linear layers, matrix products and attention in the architecture.
  /// - Throws: `InputError` if the network can't be computed.
  public func measure() throws(InputError) {
    let batch = Double(max(graph.input.sizes[0].lowerBound, 1))
    var costs = [Double](repeating: 0, count: graph.nodes.count)
    try observeBlackImages { [graph] position, values in
      costs[position] = graph.nodes[position].cost(values) / batch
    }
    for (position, cost) in costs.enumerated() {
      architecture.graph.nodes[position].multiplyAdds = Int(min(cost, 0x1p50))
    }
  }

  /// What the values of the graph are, found by computing it once on black images in evaluation mode.
  /// - Parameter batch: How many images; nil for as few as the graph takes.
  /// - Throws: `InputError` if the network can't be computed.
  package func trace(batch: Int? = nil) throws(InputError) -> GraphTrace {
    var trace = GraphTrace(graph, batch: batch)
    try observe(batch: batch) { _, value, tensor in trace.note(value, tensor) }
    return trace
  }

  /// Sees the tensors that the graph computes on black images in evaluation mode.
  /// - Parameters:
  ///   - batch: How many images; nil for as few as the graph takes.
  ///   - see: Told of each tensor, with the position of the node that computed it.
  /// - Throws: `InputError` if the network can't be computed.
  package func observe(
    batch: Int? = nil, _ see: @escaping (_ node: Int, _ value: OperatorGraph.Value, _ tensor: Tensor) -> Void
  ) throws(InputError) {
    try observeBlackImages(batch: batch) { [graph] position, values in
      for value in graph.nodes[position].defines {
        if let tensor = values.tensor(value.index) { see(position, value, tensor) }
      }
    }
  }

  func observeBlackImages(
    batch: Int? = nil, _ observe: @escaping (_ node: Int, _ values: GraphValues) -> Void
  ) throws(InputError) {
    let batch = batch ?? max(graph.input.sizes[0].lowerBound, 1)
    let images = Tensor.zeros([batch] + architecture.inputShape, device: device)
    let wasTraining = isTraining
    isTraining = false
    defer { isTraining = wasTraining }
    let result = withoutGradient {
      Result { () throws(InputError) -> Tensor in try evaluate(images, observe: observe) }
    }
    _ = try result.get()
  }

  /// What the last linear layer reads, for images `[N, C, H, W]`, differentiable: the features that a feature attack
  /// compares. The images themselves where there is no such layer.
  package func penultimateFeatures(of images: Tensor) -> Tensor {
    guard let (position, value) = graph.lastFactorInput else { return normalized(images) }
    var found: Tensor?
    _ = try? evaluate(images, updatingStatistics: false) { node, values in
      if node == position, let tensor = values.tensor(value.index), tensor.rank > 0,
        tensor.size(0) == images.size(0)
      {
        found = tensor
      }
    }
    return found ?? normalized(images)
  }

  /// Planes `[N, Q, h, w]` of features that the graph computes, and the logits that it makes of them; the images
  /// themselves where there are none.
  /// - Parameters:
  ///   - node: The name of the node that computes them; nil: the last convolution, batch norm, activation or sum.
  ///   - images: `[N, C, H, W]`.
  package func planes(of node: String?, for images: Tensor) -> (planes: Tensor, logits: Tensor) {
    let layers = ["conv", "batch_norm", "relu", "silu", "hardswish", "gelu", "add"]
    var found: Tensor?
    let logits = try? evaluate(images, updatingStatistics: false) { [graph] position, values in
      let candidate = graph.nodes[position]
      let isMeant =
        node.map { $0 == candidate.name } ?? layers.contains { candidate.target.dropFirst(6).hasPrefix($0) }
      guard isMeant, case .one(let value)? = candidate.results.first, let tensor = values.tensor(value.index),
        tensor.rank == 4, tensor.size(0) == images.size(0), tensor.size(2) > 1, tensor.size(3) > 1,
        tensor.requiresGrad || !images.requiresGrad
      else { return }
      found = tensor
    }
    guard let logits, let found else { return (images, self(images)) }
    return (found, logits)
  }

  /// What the batch norms' weights, biases and statistics are called.
  package var batchNormNames: Set<String> {
    graph.batchNormTensors(["weight", "bias", "running_mean", "running_var"])
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
      guard let logits = try? evaluate(images, weights: weights(replacing: prunable, with: leaves)) else {
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
