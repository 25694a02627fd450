extension OperatorGraph {
  /// Operators that read nothing of a tensor but its type and place.
  private static let likenesses: Set = ["aten::new_zeros", "aten::new_ones", "aten::new_full"]
  private static let chances = ["rand", "bernoulli", "multinomial", "normal", "poisson", "exponential"]

  /// For each node whether it computes the same whatever the images are, and however many; nil where a tensor that is
  /// always the same is written over with one that isn't.
  fileprivate var constantNodes: [Bool]? {
    var depends = [Bool](repeating: false, count: valueNames.count)
    depends[input.value.index] = true
    var isConstant: [Bool] = []
    for node in nodes {
      let isLikeness = Self.likenesses.contains(node.target) && node.reads.count == 1
      let isChance = Self.chances.contains { node.target.contains($0) && !node.target.contains("_norm") }
      let depending = isChance || !isLikeness && node.reads.contains { depends[$0.index] }
      if depending, node.writesOver != nil, let first = node.reads.first, !depends[first.index] { return nil }
      for value in node.defines { depends[value.index] = depending }
      isConstant.append(!depending)
    }
    return isConstant
  }
}

extension Network {
  /// The network in which what is the same for all images, a mask or a table of positions for one, is computed already and
  /// held; its tensors are this one's.
  package func foldingConstants() -> Network {
    guard let isConstant = graph.constantNodes, isConstant.contains(true) else { return self }
    let made = Set(graph.nodes.enumerated().filter { isConstant[$0.offset] }.flatMap(\.element.defines))
    let wanted = graph.nodes.enumerated().map { position, node in
      isConstant[position] ? [] : node.reads.filter(made.contains)
    }
    guard !made.contains(graph.output) else { return self }
    var tensors = heldTensors
    let observed: Void? = try? observeBlackImages { position, values in
      for value in wanted[position] where tensors[value] == nil {
        tensors[value] = values.tensor(value.index)?.cloned()
      }
    }
    let held = Set(wanted.flatMap(\.self))
    guard observed != nil, held.allSatisfy({ tensors[$0] != nil }) else { return self }
    var graph = graph
    var names = Set(graph.held.flatMap { [$0.name] + $0.otherNames })
    for value in held.sorted(by: { $0.index < $1.index }) {
      guard let tensor = tensors[value] else { continue }
      var name = graph.valueNames[value.index]
      while !names.insert(name).inserted { name += "_constant" }
      graph.held.append(.init(kind: .constant, name: name, value: value, shape: tensor.shape, dtype: tensor.dtype))
    }
    graph.nodes = graph.nodes.enumerated().filter { !isConstant[$0.offset] }.map(\.element)
    let read = Set(graph.nodes.flatMap(\.reads))
    graph.held.removeAll { !read.contains($0.value) }
    return rewritten(as: graph, with: tensors, in: inputDType)
  }
}
