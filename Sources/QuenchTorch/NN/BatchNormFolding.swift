extension Network {
  /// The frozen network that computes the same in evaluation mode with batch norm folded into the convolution or
  /// linear layer before it: fewer operators for inference, and for input gradients of attacks.
  ///
  /// A batch norm stays whose input others read as well, or that follows another operator, and so does one after a layer
  /// whose weight others multiply by.
  public func foldingBatchNorm() -> Network {
    withoutGradient {
      var folding = LayerFolding(self)
      folding.foldAll { $0.foldBatchNorm($1) }
      return rewritten(as: folding.graph, with: folding.ownTensors, in: inputDType)
    }
  }
}

/// A graph and its tensors in which what follows a layer is worked into it.
struct LayerFolding {
  var graph: OperatorGraph
  private(set) var tensors: [OperatorGraph.Value: Tensor]
  /// Tensors that were made here.
  private var made = Set<OperatorGraph.Value>()
  let readers: [[Int]]
  let producers: [Int?]
  private let network: Network

  init(_ network: Network) {
    self.network = network
    graph = network.graph
    tensors = network.heldTensors
    readers = graph.readers
    producers = graph.producers
  }

  /// The tensors that the graph holds, none of them the network's own.
  var ownTensors: [OperatorGraph.Value: Tensor] {
    let held = Set(graph.held.map(\.value))
    let own = tensors.filter { held.contains($0.key) }
    return Dictionary(uniqueKeysWithValues: own.map { ($0, made.contains($0) ? $1 : $1.cloned()) })
  }

  /// - Parameter fold: Works the node at a position into a layer before it, where that can be.
  mutating func foldAll(_ fold: (_ folding: inout LayerFolding, _ position: Int) -> Bool) {
    var absorbed = Set<Int>()
    for position in graph.nodes.indices where fold(&self, position) { absorbed.insert(position) }
    guard !absorbed.isEmpty else { return }
    graph.nodes = graph.nodes.enumerated().filter { !absorbed.contains($0.offset) }.map(\.element)
    let read = Set(graph.nodes.flatMap(\.reads))
    graph.held.removeAll { !read.contains($0.value) }
  }

  /// Works a batch norm into the layer before it, where that can be: w·γ/√(σ²+ε) and β + (b - μ)·γ/√(σ²+ε).
  fileprivate mutating func foldBatchNorm(_ position: Int) -> Bool {
    let norm = graph.nodes[position]
    guard ["aten::batch_norm", "aten::_native_batch_norm_legit_no_training"].contains(norm.target),
      let input = norm.value("input"), readers[input.index] == [position], input != graph.output,
      let producer = producers[input.index], let layer = FoldedLayer(graph.nodes[producer]),
      let weight = layer.weight, let old = tensors[weight], readers[weight.index] == [producer],
      layer.isLinear ? isMatrix(input) : true,
      case .one(let result)? = norm.results.first, readers(ofOthersThanFirst: norm) == 0,
      let mean = tensor(norm["running_mean"]), let variance = tensor(norm["running_var"]),
      isAbsentOrHeld(norm["weight"]), isAbsentOrHeld(norm["bias"]), isAbsentOrHeld(graph.nodes[producer]["bias"])
    else { return false }
    let epsilon = norm.real("eps") ?? 1e-5
    var scale = (variance + epsilon).rsqrt()
    if let gamma = tensor(norm["weight"]) { scale = gamma * scale }
    let shift = (tensor(graph.nodes[producer]["bias"]) ?? mean.zerosLike()) - mean
    var bias = shift * scale
    if let beta = tensor(norm["bias"]) { bias = beta + bias }
    var columns = [Int](repeating: 1, count: old.rank)
    columns[layer.outputDimension] = -1
    set(weight, (old * scale.reshaped(columns)).to(old.dtype))
    addBias(bias.to(old.dtype), to: producer, after: weight)
    graph.nodes[producer].results = [.one(result)]
    return true
  }

  mutating func set(_ value: OperatorGraph.Value, _ tensor: Tensor) {
    tensors[value] = tensor
    made.insert(value)
  }

  /// A bias of the layer's own, in place of the one that it had.
  private mutating func addBias(_ tensor: Tensor, to position: Int, after weight: OperatorGraph.Value) {
    guard let place = graph.held.firstIndex(where: { $0.value == weight }) else { return }
    if let old = graph.nodes[position].value("bias"), readers[old.index] == [position] { return set(old, tensor) }
    let name = graph.held[place].name
    var biasName = name.hasSuffix("weight") ? name.dropLast("weight".count) + "bias" : "\(name).bias"
    while graph.held.contains(where: { $0.name == biasName }) { biasName += "_folded" }
    let value = graph.newValue(biasName)
    graph.held.insert(
      .init(kind: .parameter, name: biasName, value: value, shape: tensor.shape, dtype: tensor.dtype), at: place + 1
    )
    graph.nodes[position].set("bias", .value(value))
    set(value, tensor)
  }

  private func readers(ofOthersThanFirst node: OperatorGraph.Node) -> Int {
    node.defines.dropFirst().reduce(0) { $0 + readers[$1.index].count }
  }

  private func tensor(_ operand: OperatorGraph.Operand?) -> Tensor? {
    if case .value(let value)? = operand { tensors[value] } else { nil }
  }

  private func isAbsentOrHeld(_ operand: OperatorGraph.Operand?) -> Bool {
    guard case .value? = operand else { return true }
    return tensor(operand) != nil
  }

  /// Whether a value is `[N, features]`: of more dimensions a linear layer's last is not the batch norm's.
  private func isMatrix(_ value: OperatorGraph.Value) -> Bool { (try? network.trace())?.shape(value)?.count == 2 }
}

/// A layer that a batch norm can be worked into.
struct FoldedLayer {
  var weight: OperatorGraph.Value?
  /// The dimension of the weight that outputs lie along.
  var outputDimension = 0
  var isLinear = false

  init?(_ node: OperatorGraph.Node) {
    weight = node.value("weight")
    switch node.target {
    case "aten::conv1d", "aten::conv2d", "aten::conv3d", "aten::conv2d.padding": break
    case "aten::convolution": if node.boolean("transposed") != false { return nil }
    case "aten::conv_transpose2d.input":
      guard node.integer("groups") ?? 1 == 1 else { return nil }
      outputDimension = 1
    case "aten::linear": isLinear = true
    default: return nil
    }
  }
}
