import QuenchTorch

/// Attention as one operator: heads go with each other, and so do the features of queries and keys.
struct AttentionRule: ChannelRule {
  static let table: [String: any ChannelRule] = ["aten::scaled_dot_product_attention": AttentionRule()]

  func couple(_ position: Int, _ tracer: inout ChannelTracer) {
    let node = tracer.graph.nodes[position]
    guard let query = node.value("query"), let key = node.value("key"), let value = node.value("value"),
      let y = tracer.results(position).first, node.boolean("enable_gqa") != true
    else { return tracer.giveUp(position) }
    let rank = tracer.shape(y).count
    guard [query, key, value].allSatisfy({ tracer.shape($0).count == rank }), rank >= 3 else {
      return tracer.giveUp(position)
    }
    tracer.set(y, [:])
    let mask = node.value("attn_mask").map { [$0] } ?? []
    tracer.combineBatches(position, [query, key, value] + mask, y, trailing: 2)
    for operand in [query, key, value] { tracer.freeze(operand, along: rank - 2, by: position, ifThere: true) }
    for operand in mask {
      for dimension in tracer.shape(operand).indices.suffix(2) {
        tracer.freeze(operand, along: dimension, by: position, ifThere: true)
      }
    }
    tracer.contract(position, (query, rank - 1), (key, rank - 1))
    tracer.keep(position, value, rank - 1, to: y, rank - 1)
  }

  func constants(_ node: Int, _ flow: inout ConstantFlow) {
    guard let value = flow.graph.nodes[node].value("value") else { return }
    flow.passZeros(node, of: value)
  }

  func cut(_ node: inout OperatorGraph.Node, at position: Int, _ cut: inout ChannelCut) {
    guard let query = node.value("query"), let shape = cut.groups.shapes[query.index], let width = shape.last,
      cut.size(query, shape.count - 1) != width
    else { return }
    switch node["scale"] {
    case nil, .some(.none): node.set("scale", .real(1 / Double(width).squareRoot()))
    default: break
    }
  }
}

extension ChannelTracer {
  /// Freezes the channels along a dimension if there are any.
  mutating func freeze(_ value: OperatorGraph.Value, along dimension: Int, by node: Int, ifThere: Bool) {
    if known(value, along: dimension) != nil { freeze(value, along: dimension, by: node) }
  }
}
