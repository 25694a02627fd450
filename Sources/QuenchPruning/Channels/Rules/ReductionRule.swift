import QuenchTorch

/// Means, sums and the like over dimensions, and softmax along one. Channels lie along the others.
struct ReductionRule: ChannelRule {
  private enum Kind {
    /// A mean or an extreme, which is a constant's own.
    case average
    /// What only of nothing is nothing.
    case sum
    /// A measure of spread.
    case spread
    /// Along a dimension that stays.
    case along
  }

  static let table: [String: any ChannelRule] = [
    "aten::mean": ReductionRule(kind: .average), "aten::amax": ReductionRule(kind: .average),
    "aten::amin": ReductionRule(kind: .average), "aten::sum": ReductionRule(kind: .sum),
    "aten::norm": ReductionRule(kind: .sum), "aten::linalg_vector_norm": ReductionRule(kind: .sum),
    "aten::std": ReductionRule(kind: .spread), "aten::var": ReductionRule(kind: .spread),
    "aten::softmax": ReductionRule(kind: .along), "aten::_softmax": ReductionRule(kind: .along),
    "aten::log_softmax": ReductionRule(kind: .along), "aten::_log_softmax": ReductionRule(kind: .along),
    "aten::cumsum": ReductionRule(kind: .along)
  ]

  private let kind: Kind

  func couple(_ position: Int, _ tracer: inout ChannelTracer) {
    let node = tracer.graph.nodes[position]
    guard let x = node.value("self") ?? node.value("input"), let y = tracer.results(position).first else {
      return tracer.giveUp(position)
    }
    let rank = tracer.shape(x).count
    let told = (node.integers("dim") ?? []).map { $0 < 0 ? $0 + rank : $0 }
    let reduced = told.isEmpty ? Array(0..<rank) : told
    for result in tracer.results(position) { tracer.set(result, [:]) }
    for dimension in tracer.dimensions(x) {
      guard !reduced.contains(dimension) else {
        tracer.freeze(x, along: dimension, by: position)
        if kind == .along { tracer.keep(position, x, dimension, to: y, dimension) }
        continue
      }
      let stays = kind == .along || node.boolean("keepdim") == true
      tracer.keep(position, x, dimension, to: y, stays ? dimension : dimension - reduced.count { $0 < dimension })
    }
  }

  func constants(_ node: Int, _ flow: inout ConstantFlow) {
    switch kind {
    case .average: flow.pass(node)
    case .sum: flow.passZeros(node)
    case .spread, .along: break
    }
  }
}
