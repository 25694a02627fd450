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
  private let readers: [[Int]]
  private let producers: [Int?]

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
    readers = graph.readers
    producers = graph.producers
  }

  mutating func run() {
    layOutChannelsLast()
    convertTensors()
    if isOffered { fuse() }
    graph = graph.withoutDeadParts()
    let held = Set(graph.held.map(\.value))
    tensors = tensors.filter { held.contains($0.key) }
    workInPlace()
  }

  // MARK: - Memory

  /// A program that was exported may view rows that lie one after the other; what it views is then copied where it must.
  private mutating func layOutChannelsLast() {
    let hasConvolutions = graph.nodes.contains { FusedLayer.convolutions.contains($0.target) }
    let countsOnRows = graph.nodes.contains { node in
      ["aten::as_strided", "aten::view_as", "aten::view.dtype"].contains { node.target.hasPrefix($0) }
    }
    guard graph.input.memoryFormat == .contiguous, graph.input.example.count == 4, hasConvolutions, !countsOnRows
    else { return }
    graph.input.memoryFormat = .channelsLast
    for position in graph.nodes.indices
    where ["aten::view", "aten::_unsafe_view"].contains(graph.nodes[position].target) {
      let node = graph.nodes[position]
      guard let size = node["size"] else { continue }
      graph.nodes[position].target = "aten::reshape"
      graph.nodes[position].arguments.removeAll { $0.name == "size" }
      graph.nodes[position].set("shape", size)
    }
  }

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
    let isComputed = graph.dependsOnInput
    var absorbed = Set<Int>()
    var fused: [Int: OperatorGraph.Node] = [:]
    func isFree(_ position: Int) -> Bool { !absorbed.contains(position) && fused[position] == nil }
    for position in graph.nodes.indices where isFree(position) {
      guard let layer = layer(at: position) else { continue }
      var (chain, value) = ([position], layer.result)
      var other: OperatorGraph.Value?
      if let sum = onlyReader(value), isFree(sum), let addend = addend(of: sum, beside: value),
        isComputed[addend.index], isReady(addend, for: position)
      {
        chain.append(sum)
        (other, value) = (addend, graph.nodes[sum].defines[0])
      }
      var activation = FusedActivation.none
      if let reader = onlyReader(value), isFree(reader), let found = FusedActivation(graph.nodes[reader]),
        bounds.isFinite(value.index), other == nil || layer.takesAfterSum(found)
      {
        chain.append(reader)
        (activation, value) = (found, graph.nodes[reader].defines[0])
      }
      absorbed.formUnion(chain.dropLast())
      fused[chain[chain.count - 1]] = node(of: layer, other, activation, as: value)
    }
    graph.nodes = graph.nodes.indices.filter { !absorbed.contains($0) }.map { fused[$0] ?? graph.nodes[$0] }
  }

  private func onlyReader(_ value: OperatorGraph.Value) -> Int? {
    value != graph.output && readers[value.index].count == 1 ? readers[value.index][0] : nil
  }

  private func layer(at position: Int) -> FusedLayer? {
    guard let layer = FusedLayer(graph.nodes[position]), layer.isConvolution || dtype.byteCount < 4,
      let weight = tensors[layer.weight],
      weight.rank == (layer.isConvolution ? 4 : 2), weight.dtype == dtype,
      let shape = trace.shape(layer.input), layer.isConvolution ? shape.count == 4 : shape.count > 1,
      weight.count > 0, !shape.contains(0),
      layer.bias.map({ tensors[$0] != nil }) ?? true
    else { return nil }
    return layer
  }

  /// The value that a node adds to `value`, one of the same shape and type; nil where it does something else.
  private func addend(of position: Int, beside value: OperatorGraph.Value) -> OperatorGraph.Value? {
    let node = graph.nodes[position]
    guard node.target == "aten::add.Tensor", node["alpha"] == nil, let first = node.value("self"),
      let second = node.value("other"), first != second
    else { return nil }
    let other = first == value ? second : first
    guard trace.shape(other) == trace.shape(value), trace.dtypes[other.index] == trace.dtypes[value.index] else {
      return nil
    }
    return other
  }

  /// Whether an addend is there when the layer is computed, or no other layer could take the addition in.
  private func isReady(_ addend: OperatorGraph.Value, for position: Int) -> Bool {
    guard let producer = producers[addend.index], producer > position else { return true }
    return layer(at: producer) == nil || onlyReader(addend) == nil
  }

  private mutating func node(
    of layer: FusedLayer, _ addend: OperatorGraph.Value?, _ activation: FusedActivation,
    as result: OperatorGraph.Value
  ) -> OperatorGraph.Node {
    var node = layer.node
    node.results = [.one(result)]
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
    node.arguments += activation.arguments(beside: addend, isConvolution: layer.isConvolution)
    switch (layer.isConvolution, addend != nil) {
    case (true, false): node.target = FusedOperators.convolution
    case (true, true): node.target = FusedOperators.convolutionAdd
    case (false, false): node.target = FusedOperators.linear
    case (false, true): node.target = FusedOperators.linearAdd
    }
    return node
  }

  private func packed(_ layer: FusedLayer) -> Tensor {
    guard let weight = tensors[layer.weight], var shape = trace.shape(layer.input) else {
      preconditionFailure("a layer's weight and input are known")
    }
    shape[0] *= batches
    guard layer.isConvolution else {
      return FusedOperators.packed(linear: weight.contiguous(), rows: shape.dropLast().reduce(1, *))
    }
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

extension OperatorGraph {
  /// For each value whether it is computed from the input.
  fileprivate var dependsOnInput: [Bool] {
    var depends = [Bool](repeating: false, count: valueNames.count)
    depends[input.value.index] = true
    for node in nodes where node.reads.contains(where: { depends[$0.index] }) {
      for value in node.defines { depends[value.index] = true }
    }
    return depends
  }
}
