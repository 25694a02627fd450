import QuenchTorch

/// Pooling and resizing, which work on the pixels of each channel.
struct PoolRule: ChannelRule {
  static let table: [String: any ChannelRule] = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d", "adaptive_max_pool2d", "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d", "max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices", "upsample_bicubic2d",
    "upsample_bilinear2d", "upsample_nearest2d", "_upsample_bicubic2d_aa", "_upsample_bilinear2d_aa"
  ].reduce(into: [:]) { $0["aten::\($1)"] = PoolRule(pads: $1.hasPrefix("avg")) }

  /// Whether zeros around the image count.
  let pads: Bool

  func couple(_ position: Int, _ tracer: inout ChannelTracer) {
    let node = tracer.graph.nodes[position]
    guard let x = node.value("self") ?? node.value("input") else { return tracer.giveUp(position) }
    let pixels = node.target.contains("1d") ? 1 : node.target.contains("3d") ? 3 : 2
    let rank = tracer.shape(x).count
    for result in tracer.results(position) {
      tracer.set(result, [:])
      for dimension in tracer.dimensions(x) {
        if dimension >= rank - pixels { tracer.freeze(x, along: dimension, by: position) }
        if tracer.shape(result)[dimension] == tracer.shape(x)[dimension] {
          tracer.keep(position, x, dimension, to: result, dimension)
        }
      }
    }
  }

  func constants(_ node: Int, _ flow: inout ConstantFlow) {
    let hasEdge = pads && flow.graph.nodes[node].integers("padding")?.contains { $0 > 0 } == true
    if hasEdge { flow.passZeros(node) } else { flow.pass(node) }
  }
}
