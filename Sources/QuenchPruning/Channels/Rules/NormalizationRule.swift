import QuenchTorch

/// Normalizations by statistics of single channels, of groups of them, or over them.
struct NormalizationRule: ChannelRule {
  private enum Kind {
    /// Each channel by itself, with entries for it.
    case batch
    case instance
    /// Groups of channels, which go whole.
    case group
    /// Over the last dimensions.
    case layer
  }

  static let table: [String: any ChannelRule] = [
    "aten::batch_norm": NormalizationRule(kind: .batch),
    "aten::_native_batch_norm_legit_no_training": NormalizationRule(kind: .batch),
    "aten::instance_norm": NormalizationRule(kind: .instance), "aten::group_norm": NormalizationRule(kind: .group),
    "aten::layer_norm": NormalizationRule(kind: .layer), "aten::native_layer_norm": NormalizationRule(kind: .layer),
    "aten::rms_norm": NormalizationRule(kind: .layer)
  ]

  private let kind: Kind

  func couple(_ position: Int, _ tracer: inout ChannelTracer) {
    let node = tracer.graph.nodes[position]
    guard let x = node.value("input"), let y = tracer.results(position).first else {
      return tracer.giveUp(position)
    }
    for result in tracer.results(position) { tracer.set(result, [:]) }
    let rank = tracer.shape(x).count
    let first: Int
    switch kind {
    case .batch, .instance, .group: first = 1
    case .layer: first = rank - (node.integers("normalized_shape")?.count ?? rank)
    }
    for dimension in tracer.dimensions(x) {
      let isSpread =
        kind == .batch || kind == .instance ? false : dimension >= first && (kind == .layer || dimension > 1)
      if isSpread { tracer.freeze(x, along: dimension, by: position) }
      tracer.keep(position, x, dimension, to: y, dimension)
    }
    guard kind != .layer, let channels = tracer.channels(x, along: 1) else { return }
    for name in ["weight", "bias", "running_mean", "running_var"] {
      if let value = node.value(name) { tracer.unite(channels, value, by: position) }
    }
    if kind == .group {
      let size = channels.count / max(1, node.integer("num_groups") ?? 1)
      tracer.unite(channels, channels.indices.map { channels[$0 / size * size] })
      if size == channels.count { tracer.freeze(channels, .node(position)) }
    }
    tracer.norm(x, along: 1, by: position)
  }

  func constants(_ position: Int, _ flow: inout ConstantFlow) {
    let node = flow.graph.nodes[position]
    guard kind == .batch, let x = node.value("input"), let y = node.defines.first, let input = flow[x, 1] else {
      return
    }
    let entries = ["weight", "bias", "running_mean", "running_var"].map { name in
      node.value(name).flatMap { flow.statics[$0.index]?.array(Double.self) }
    }
    let epsilon = node.real("eps") ?? 1e-5
    flow[y, 1] = input.enumerated().map { channel, value in
      if value != nil && flow.isSilent(x, 1, channel) { return 0 }
      guard flow.knowsWeights, let mean = entries[2]?[channel], let variance = entries[3]?[channel] else {
        return nil
      }
      let (scale, shift) = (entries[0]?[channel] ?? 1, entries[1]?[channel] ?? 0)
      guard scale != 0 else { return shift }
      return value.map { shift + scale * ($0 - mean) / (variance + epsilon).squareRoot() }
    }
  }

  func cut(_ node: inout OperatorGraph.Node, at position: Int, _ cut: inout ChannelCut) {
    guard kind == .group, let x = node.value("input"), let groups = node.integer("num_groups"),
      let shape = cut.groups.shapes[x.index]
    else { return }
    node.set("num_groups", .integer(groups * cut.size(x, 1) / shape[1]))
  }
}
