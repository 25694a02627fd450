import QuenchTorch

/// Rewrites a graph for inference: every convolution and linear layer takes the addition and the activation that follow
/// it into its own operator, where nobody else reads what lies between, with weights packed for oneDNN; memory is
/// channels-last.
///
/// oneDNN's own ReLU makes 0 of NaN, so that a network which runs over would answer like a sound one: an activation is
/// taken in only where there can be neither an infinity nor NaN.
struct GraphFusion {
  private(set) var graph: OperatorGraph
  private(set) var tensors: [OperatorGraph.Value: Tensor]
  private let trace: GraphTrace
  private let bounds: OutputBounds
  private let batches: Int
  private let dtype: DType
  private let isOffered: Bool

  /// - Parameters:
  ///   - graph: Without operators that write over their operands.
  ///   - tensors: What it holds.
  ///   - trace: Of a small batch.
  ///   - bounds: Of its values.
  ///   - batches: How many times the trace's batch weights are packed for.
  ///   - dtype: What it computes in.
  ///   - device: Where.
  init(
    _ graph: OperatorGraph, _ tensors: [OperatorGraph.Value: Tensor], trace: GraphTrace, bounds: OutputBounds,
    batches: Int, dtype: DType, device: Device
  ) {
    self.graph = graph
    self.tensors = tensors
    self.trace = trace
    self.bounds = bounds
    self.batches = batches
    self.dtype = dtype
    isOffered = FusedOperators.areOffered(for: dtype, on: device)
  }

  mutating func run() {
    graph.layOutChannelsLast()
    convertTensors()
    if isOffered { fuse() }
    graph = graph.withoutDeadParts()
    let held = Set(graph.held.map(\.value))
    tensors = tensors.filter { held.contains($0.key) }
    workInPlace()
  }

  // MARK: - Memory

  /// Batch norms stay in float32 where others have 16 bits. Weights of linear layers are marked as learned though nothing
  /// is recorded: for others LibTorch multiplies a transposed input row by row, several times slower (`should_fold` in its
  /// matmul).
  private mutating func convertTensors() {
    let norms = Set(graph.nodes.filter { $0.target.contains("batch_norm") }.flatMap(\.reads))
    let weights = Set(
      graph.nodes.filter { FusedLayer.convolutions.contains($0.target) }.compactMap { $0.value("weight") })
    let matrices = Set(graph.nodes.filter { $0.target == "aten::linear" }.compactMap { $0.value("weight") })
    for (value, tensor) in tensors where tensor.dtype.isFloatingPoint {
      let converted = tensor.to(dtype.byteCount < 4 && norms.contains(value) ? .float32 : dtype)
      let isImage = weights.contains(value) && graph.input.memoryFormat == .channelsLast && converted.rank == 4
      tensors[value] = isImage ? converted.contiguous(.channelsLast) : converted
      if matrices.contains(value) { tensors[value] = converted.detached().requiringGrad() }
    }
  }

  // MARK: - Fusion

  private mutating func fuse() {
    let rules = LayerChains.Rules { layer, weight in
      layer.isConvolution || !FusedOperators.isWide(linear: weight)
    } takesSum: { _ in
      true
    } takesActivation: { [bounds] activation, layer, isSummed, value in
      bounds.isFinite(value.index) && (!isSummed || layer.takesAfterSum(activation))
    }
    let chains = LayerChains(graph, tensors, trace: trace, dtype: dtype, rules)
    graph.nodes = graph.nodes.indices.compactMap { position in
      if let call = chains.calls[position] { return node(of: call) }
      return chains.absorbed.contains(position) ? nil : wide(graph.nodes[position]) ?? graph.nodes[position]
    }
  }

  /// The node of a linear layer that MKL computes; nil for others.
  private mutating func wide(_ node: OperatorGraph.Node) -> OperatorGraph.Node? {
    guard let layer = FusedLayer(node), !layer.isConvolution, let weight = tensors[layer.weight], weight.rank == 2,
      weight.dtype == dtype, FusedOperators.isWide(linear: weight), layer.bias.map({ tensors[$0] != nil }) ?? true,
      let rows = rows(of: layer), rows > 0
    else { return nil }
    var node = node
    let own = weight.detached().contiguous()
    tensors[layer.weight] = own
    node.target = FusedOperators.wideLinear
    node.arguments = [
      .init("X", .value(layer.input)),
      .init("MKL_W", .value(hold(FusedOperators.packed(wideLinear: own, rows: rows), "\(node.name).packed"))),
      .init("ORI_W", .value(layer.weight)), .init("B", layer.bias.map { .value($0) } ?? .none),
      .init("batch_size", .integer(rows))
    ]
    return node
  }

  /// How many rows a linear layer has in a batch that weights are packed for.
  private func rows(of layer: FusedLayer) -> Int? {
    trace.shape(layer.input).map { $0.dropLast().reduce(batches, *) }
  }

  private mutating func node(of call: LayerChains.Call) -> OperatorGraph.Node {
    let layer = call.layer
    var node = layer.node
    node.results = [.one(call.result)]
    let weight = hold(packed(layer), "\(node.name).packed")
    node.arguments = [
      .init("X", .value(layer.input)), .init("W", .value(weight)),
      .init("B", layer.bias.map { .value($0) } ?? .none)
    ]
    if layer.isConvolution {
      node.arguments += [
        .init("padding", .integers(layer.padding)), .init("stride", .integers(layer.stride)),
        .init("dilation", .integers(layer.dilation)), .init("groups", .integer(layer.groups))
      ]
    }
    node.arguments += call.activation.arguments(beside: call.addend, isConvolution: layer.isConvolution)
    switch (layer.isConvolution, call.addend != nil) {
    case (true, false): node.target = FusedOperators.convolution
    case (true, true): node.target = FusedOperators.convolutionAdd
    case (false, false): node.target = FusedOperators.linear
    case (false, true): node.target = FusedOperators.linearAdd
    }
    return node
  }

  private func packed(_ layer: FusedLayer) -> Tensor {
    guard let weight = tensors[layer.weight], var shape = trace.shape(layer.input), let rows = rows(of: layer)
    else {
      preconditionFailure("a layer's weight and input are known")
    }
    guard layer.isConvolution else { return FusedOperators.packed(linear: weight.contiguous(), rows: rows) }
    shape[0] *= batches
    return FusedOperators.packed(
      convolution: weight, padding: layer.padding, stride: layer.stride, dilation: layer.dilation,
      groups: layer.groups, imageShape: shape)
  }

  private mutating func hold(_ tensor: Tensor, _ name: String) -> OperatorGraph.Value {
    let value = graph.newValue(name)
    graph.held.append(.init(kind: .buffer, name: name, value: value, shape: tensor.shape, dtype: tensor.dtype))
    tensors[value] = tensor
    return value
  }

  // MARK: - In place

  /// Sums and activations take the memory of an operand that nobody reads afterwards, and that is a node's own.
  private mutating func workInPlace() {
    let readers = graph.readers
    let producers = graph.producers
    func isFree(_ value: OperatorGraph.Value, at position: Int) -> Bool {
      guard let producer = producers[value.index], value != graph.output, graph.nodes[producer].hasOwnMemory else {
        return false
      }
      return readers[value.index].allSatisfy { $0 <= position && graph.nodes[$0].hasOwnMemory }
    }
    for position in graph.nodes.indices {
      let node = graph.nodes[position]
      if node.target == FusedOperators.convolutionAdd, let other = node.value("other"), isFree(other, at: position)
      {
        graph.nodes[position].target = FusedOperators.convolutionAddInPlace
      }
      if FusedActivation(node) != nil, let value = node.value("self"), readers[value.index] == [position],
        isFree(value, at: position)
      {
        graph.nodes[position].target = node.target + "_"
      }
    }
  }
}
