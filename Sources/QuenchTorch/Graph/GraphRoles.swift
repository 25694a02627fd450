/// What an imported graph does with the tensors that it holds.
extension OperatorGraph {
  /// Operators that lay the same elements out in another way.
  private static let layouts: Set = [
    "aten::alias", "aten::contiguous", "aten::detach", "aten::permute", "aten::reshape", "aten::t",
    "aten::transpose.int", "aten::unsqueeze", "aten::view", "aten::numpy_T", "aten::clone", "aten::squeeze",
    "aten::squeeze.dim", "aten::flatten.using_ints"
  ]

  /// The arguments that convolutions, linear layers and matrix products multiply by.
  private static let factors: [String: [String]] = [
    "aten::conv1d": ["weight"], "aten::conv2d": ["weight"], "aten::conv2d.padding": ["weight"],
    "aten::conv3d": ["weight"], "aten::convolution": ["weight"], "aten::conv_transpose1d": ["weight"],
    "aten::conv_transpose2d.input": ["weight"], "aten::conv_transpose3d.input": ["weight"],
    "aten::linear": ["weight"],
    "aten::matmul": ["self", "other"], "aten::mm": ["self", "mat2"], "aten::bmm": ["self", "mat2"],
    "aten::addmm": ["mat1", "mat2"], "aten::baddbmm": ["batch1", "batch2"], "aten::einsum": ["tensors"]
  ]

  /// For each node the held tensors that it multiplies its input by, as positions in ``held``, in the order of the nodes;
  /// also where they come to it in another layout.
  var factors: [(node: Int, held: [Int])] {
    var sources = Dictionary(held.enumerated().map { ($1.value, $0) }) { first, _ in first }
    var found: [(node: Int, held: [Int])] = []
    for (position, node) in nodes.enumerated() {
      if Self.layouts.contains(node.target), case .value(let value)? = node["self"] ?? node["input"],
        let source = sources[value]
      {
        for result in node.results.flatMap(\.values) { sources[result] = source }
      }
      guard let names = Self.factors[node.target], node["transposed"] != .boolean(true) else { continue }
      let positions = names.flatMap { node[$0]?.reads ?? [] }.compactMap { sources[$0] }
      if !positions.isEmpty { found.append((position, positions)) }
    }
    return found
  }

  /// For each tensor that a node reads beside its input: the node, the argument, and the shape of the node's weight.
  var weightUses: [Value: (node: Int, argument: String, weightShape: [Int])] {
    let shapes = Dictionary(held.map { ($0.value, $0.shape) }) { first, _ in first }
    var uses: [Value: (node: Int, argument: String, weightShape: [Int])] = [:]
    for (position, node) in nodes.enumerated() {
      guard let weight = node.value("weight").flatMap({ shapes[$0] }) else { continue }
      for name in ["weight", "bias"] {
        if let value = node.value(name) { uses[value] = (position, name, weight) }
      }
    }
    return uses
  }

  /// Tensors that a network holds for the graph, all but those that the graph itself has.
  package var heldByNetwork: [Held] { held.filter { $0.elements == nil } }

  /// The weights that single-weight pruning works on, in the order in which the graph holds them: the 2-D and 4-D ones
  /// that convolutions, linear layers and matrix products multiply by.
  package var prunable: [Held] {
    let read = Set(factors.flatMap(\.held))
    return held.enumerated().filter { read.contains($0) && $1.isLearned && [2, 4].contains($1.shape.count) }.map(
      \.1)
  }

  /// What batch norms read of the tensors with the argument's name: `weight`, `bias`, `running_mean`, `running_var`.
  package func batchNormTensors(_ arguments: [String]) -> Set<String> {
    let names = Dictionary(held.map { ($0.value, $0.name) }) { first, _ in first }
    return Set(
      nodes.filter { $0.target.contains("batch_norm") }.flatMap { node in
        arguments.flatMap { node[$0]?.reads ?? [] }.compactMap { names[$0] }
      })
  }

  /// Multiply-adds for one image, when weights of the tensors called by the keys of `kept` are skipped: only the fraction
  /// counts.
  package func multiplyAdds(keeping kept: [String: Double] = [:]) -> Int {
    let fractions = Dictionary(factors.map { ($0.node, $0.held) }) { first, _ in first }
      .mapValues { $0.reduce(1) { $0 * (kept[held[$1].name] ?? 1) } }
    return nodes.enumerated().reduce(0) { sum, node in
      let all = node.element.multiplyAdds
      guard let fraction = fractions[node.offset], fraction < 1 else { return sum + all }
      return sum + Int((Double(all) * fraction).rounded())
    }
  }

  /// The last value before the output that a layer multiplies by weights of its own: the penultimate features.
  var lastFactorInput: (node: Int, value: Value)? {
    for (position, _) in factors.reversed() {
      let node = nodes[position]
      let operand = node["input"] ?? node["self"] ?? node["mat1"]
      if case .value(let value)? = operand { return (position, value) }
    }
    return nil
  }
}
