import QuenchTorch

extension OperatorGraph {
  /// The graph in which a sum with a linear layer's permuted result is taken before the permutation, where nobody else reads
  /// what lies between: the layer can then take the sum in. ConvNeXt adds its blocks so.
  /// - Parameter trace: The shapes of its values.
  func sinkingPermutations(_ trace: GraphTrace) -> OperatorGraph {
    var graph = self
    let (readers, producers) = (readers, producers)
    /// The nodes that take the place of those at some positions; none: the node is gone.
    var changes: [Int: [Node]] = [:]
    for (position, sum) in nodes.enumerated() where sum.target == "aten::add.Tensor" && sum["alpha"] == nil {
      guard let first = sum.value("self"), let second = sum.value("other"), first != second,
        case .one(let result)? = sum.results.first, trace.shape(first) == trace.shape(second)
      else { continue }
      for (permuted, other) in [(first, second), (second, first)] {
        guard readers[permuted.index] == [position], let place = producers[permuted.index],
          let dimensions = nodes[place].integers("dims"), nodes[place].target == "aten::permute",
          let before = nodes[place].value("self"), readers[before.index] == [place],
          let layer = producers[before.index], nodes[layer].target == "aten::linear"
        else { continue }
        let order = dimensions.map { $0 < 0 ? $0 + dimensions.count : $0 }
        let inverse = order.indices.map { dimension in order.firstIndex(of: dimension) ?? 0 }
        let addend = graph.newValue("\(sum.name).addend")
        let whole = graph.newValue("\(sum.name).whole")
        var (turned, added, back) = (nodes[place], sum, nodes[place])
        turned.name = "\(sum.name).addend"
        turned.arguments = [.init("self", .value(other)), .init("dims", .integers(inverse))]
        turned.results = [.one(addend)]
        added.arguments = [.init("self", .value(before)), .init("other", .value(addend))]
        added.results = [.one(whole)]
        back.arguments = [.init("self", .value(whole)), .init("dims", .integers(order))]
        back.results = [.one(result)]
        changes[place] = []
        changes[position] = [turned, added, back]
        break
      }
    }
    graph.nodes = nodes.enumerated().flatMap { changes[$0] ?? [$1] }
    return graph
  }
}
