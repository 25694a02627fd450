extension OperatorGraph {
  /// Operators whose result shares its first operand's memory, or may.
  static let views: Set = [
    "aten::alias", "aten::chunk", "aten::contiguous", "aten::detach", "aten::expand", "aten::flatten.using_ints",
    "aten::narrow", "aten::permute", "aten::reshape", "aten::select.int", "aten::slice.Tensor",
    "aten::split.Tensor", "aten::split_with_sizes", "aten::squeeze", "aten::squeeze.dim", "aten::swapaxes",
    "aten::to.device",
    "aten::to.dtype", "aten::transpose.int", "aten::type_as", "aten::unbind.int", "aten::unflatten.int",
    "aten::unfold", "aten::unsqueeze", "aten::view", "aten::_unsafe_view", "aten::as_strided", "aten::diagonal",
    "aten::expand_as", "aten::movedim.int", "aten::reshape_as", "aten::squeeze.dims", "aten::swapdims", "aten::t",
    "aten::view_as"
  ]

  /// Operators whose result lies in memory of its own.
  fileprivate static let fresh: Set = [
    "aten::conv1d", "aten::conv2d", "aten::conv2d.padding", "aten::conv3d", "aten::convolution",
    "aten::conv_transpose2d.input", "aten::batch_norm", "aten::layer_norm", "aten::group_norm", "aten::linear",
    "aten::matmul", "aten::addmm", "aten::add.Tensor", "aten::sub.Tensor", "aten::mul.Tensor", "aten::div.Tensor",
    "aten::relu", "aten::silu", "aten::gelu", "aten::hardswish", "aten::hardsigmoid", "aten::hardtanh",
    "aten::sigmoid", "aten::tanh", "aten::cat", "aten::max_pool2d", "aten::avg_pool2d",
    "aten::adaptive_avg_pool2d", "aten::mean.dim", "aten::softmax.int", "aten::scaled_dot_product_attention",
    FusedOperators.convolution, FusedOperators.convolutionAdd, FusedOperators.convolutionAddInPlace,
    FusedOperators.linear, FusedOperators.linearAdd, FusedOperators.wideLinear
  ]

  /// Operators that give back their first operand as it is, in evaluation.
  private static let identities: Set = [
    "aten::alias", "aten::alpha_dropout", "aten::detach", "aten::detach_", "aten::dropout", "aten::dropout_",
    "aten::feature_alpha_dropout", "aten::feature_dropout", "aten::feature_dropout_"
  ]

  /// The graph for evaluation without what computes nothing then, dropout for one, and without operators that write
  /// over their operand; nil where such a one can't be told apart from what shares its memory.
  package func simplified() -> OperatorGraph? {
    var simpler = self
    simpler.nodes = []
    /// What stands for a value from here on.
    var places: [Value: Value] = [:]
    let readers = readers
    let producers = producers
    for (position, node) in nodes.enumerated() {
      var node = node
      node.replaceReads { places[$0] ?? $0 }
      guard let first = node.reads.first, case .one(let result)? = node.results.first else {
        simpler.nodes.append(node)
        continue
      }
      if Self.identities.contains(node.target) {
        places[result] = first
        continue
      }
      if let target = node.writesOver {
        let names = [first] + places.filter { $0.value == first }.map(\.key)
        let isShared = names.contains { name in
          readers[name.index].contains { $0 < position && Self.views.contains(nodes[$0].target) }
        }
        let isOwn = isSeenOnce(first, readers, producers)
        let known = Set(OperatorSchema(target)?.parameters.map(\.name) ?? [])
        guard !isShared, isOwn, node.results.count == 1, node.arguments.map(\.name).allSatisfy(known.contains)
        else { return nil }
        node.target = target
        for name in names { places[name] = result }
      }
      simpler.nodes.append(node)
    }
    simpler.output = places[output] ?? output
    return simpler
  }

  /// Whether writing over a value changes nothing that is read under another name: it has memory of its own, or is all
  /// that is read of what it is a view of.
  private func isSeenOnce(_ value: Value, _ readers: [[Int]], _ producers: [Int?]) -> Bool {
    guard let producer = producers[value.index] else { return value == input.value }
    guard Self.views.contains(nodes[producer].target) else { return true }
    guard let whole = nodes[producer].reads.first, whole != input.value, readers[whole.index].count == 1 else {
      return false
    }
    return isSeenOnce(whole, readers, producers)
  }

  /// The graph without nodes and held tensors that the output doesn't need.
  package func withoutDeadParts() -> OperatorGraph {
    var living = Set([output])
    var graph = self
    graph.nodes = []
    for node in nodes.reversed() where node.defines.contains(where: living.contains) {
      living.formUnion(node.reads)
      graph.nodes.append(node)
    }
    graph.nodes.reverse()
    graph.held.removeAll { !living.contains($0.value) }
    return graph
  }

  /// A value that no other is.
  package mutating func newValue(_ name: String) -> Value {
    valueNames.append(name)
    return Value(valueNames.count - 1)
  }
}

extension OperatorGraph.Node {
  /// Whether its result lies in memory of its own, also where it was written over an operand that nobody else had.
  package var hasOwnMemory: Bool { OperatorGraph.fresh.contains(writesOver ?? target) }

  /// The operator that computes anew what this one writes over its operand; nil for one that writes over none.
  var writesOver: String? {
    let parts = target.split(separator: ".", maxSplits: 1)
    guard target.hasPrefix("aten::"), let base = parts.first, base.hasSuffix("_"), !base.hasSuffix("__") else {
      return nil
    }
    return ([String(base.dropLast())] + parts.dropFirst().map(String.init)).joined(separator: ".")
  }

  /// Gives every argument that reads a value the one that `place` says.
  package mutating func replaceReads(_ place: (OperatorGraph.Value) -> OperatorGraph.Value) {
    for index in arguments.indices {
      switch arguments[index].operand {
      case .value(let value): arguments[index].operand = .value(place(value))
      case .values(let values): arguments[index].operand = .values(values.map { $0.map(place) })
      case .sizes(let sizes):
        arguments[index].operand = .sizes(
          sizes.map { if case .computed(let value) = $0 { .computed(place(value)) } else { $0 } })
      case .none, .boolean, .integer, .real, .string, .booleans, .integers, .reals, .dtype, .memoryFormat,
        .stridedLayout, .inputDevice:
        break
      }
    }
  }
}
