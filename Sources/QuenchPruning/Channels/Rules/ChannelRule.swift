import QuenchTorch

/// What an operator does with channels.
protocol ChannelRule: Sendable {
  /// Couples the channels of what a node reads and computes, or freezes them.
  func couple(_ node: Int, _ tracer: inout ChannelTracer)
  /// Says which channels of the results are the same for every image.
  func constants(_ node: Int, _ flow: inout ConstantFlow)
  /// Changes a node's arguments for the channels that stay.
  func cut(_ node: inout OperatorGraph.Node, at position: Int, _ cut: inout ChannelCut)
}

extension ChannelRule {
  /// The channels' weights alone are cut.
  func cut(_ node: inout OperatorGraph.Node, at position: Int, _ cut: inout ChannelCut) {}
}

/// The rules of operators by their schemas' names; overloads share one.
///
/// An operator that is not in a family's table still runs, and freezes the channels that it reads.
enum ChannelRules {
  private static let rules: [String: any ChannelRule] = [
    ConvolutionRule.table, ProductRule.table, AttentionRule.table, NormalizationRule.table, ElementwiseRule.table,
    MoveRule.table, PositionRule.table, ReductionRule.table, PoolRule.table, FactoryRule.table, SizeRule.table
  ].reduce(into: [:]) { $0.merge($1) { first, _ in first } }

  static func rule(of target: String) -> (any ChannelRule)? {
    if target.hasPrefix("size::") { return rules["aten::sym_size"] }
    let name = target.split(separator: ".", maxSplits: 1).first.map(String.init) ?? target
    guard name.hasSuffix("_"), !name.hasSuffix("__") else { return rules[name] }
    return rules[String(name.dropLast())]
  }
}

/// Numbers that are computed of tensors' sizes.
struct SizeRule: ChannelRule {
  static let table: [String: any ChannelRule] = ["aten::sym_size": SizeRule()]

  func couple(_ node: Int, _ tracer: inout ChannelTracer) {
    tracer.count(node)
    let target = tracer.graph.nodes[node]
    guard let value = target.value("self"), tracer.isTensor(value), let dimension = target.integer("dim") else {
      return
    }
    let place = dimension < 0 ? dimension + tracer.shape(value).count : dimension
    // A size that the program computes with may be told in many places.
    tracer.freeze(tracer.known(value, along: place) ?? [], .node(node))
  }

  func constants(_ node: Int, _ flow: inout ConstantFlow) {}
}
