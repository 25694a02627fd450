import QuenchTorch

/// Operators that lay elements out anew, or put values together.
struct MoveRule: ChannelRule {
  private enum Kind {
    /// In an order that the sizes tell.
    case layout
    /// Each dimension by itself, in a circle.
    case roll
    /// Channels become pixels, or pixels channels.
    case pixels
    /// Along a dimension, after each other.
    case concatenation
    /// Along a new dimension.
    case stack
  }

  private static let layouts = [
    "_unsafe_view", "alias", "clone", "contiguous", "detach", "expand", "expand_as", "flatten", "flip", "movedim",
    "numpy_T", "permute", "repeat", "repeat_interleave", "reshape", "squeeze", "swapaxes", "swapdims", "t", "to",
    "_to_copy", "transpose", "type_as", "unflatten", "unsqueeze", "view", "view_as", "lift_fresh_copy", "float",
    "positive"
  ]

  static let table: [String: any ChannelRule] = {
    var table: [String: any ChannelRule] = [
      "aten::roll": MoveRule(kind: .roll), "aten::pixel_shuffle": MoveRule(kind: .pixels),
      "aten::pixel_unshuffle": MoveRule(kind: .pixels), "aten::cat": MoveRule(kind: .concatenation),
      "aten::concat": MoveRule(kind: .concatenation), "aten::concatenate": MoveRule(kind: .concatenation),
      "aten::stack": MoveRule(kind: .stack)
    ]
    for name in layouts { table["aten::\(name)"] = MoveRule(kind: .layout) }
    return table
  }()

  private let kind: Kind

  func couple(_ position: Int, _ tracer: inout ChannelTracer) {
    let node = tracer.graph.nodes[position]
    switch kind {
    case .layout, .roll:
      guard let x = node.value("self") ?? node.value("input") else { return tracer.giveUp(position) }
      if kind == .roll {
        let rank = tracer.shape(x).count
        let moved = node.integers("dims")?.map { $0 < 0 ? $0 + rank : $0 } ?? []
        for dimension in tracer.dimensions(x) where moved.isEmpty || moved.contains(dimension) {
          tracer.freeze(x, along: dimension, by: position)
        }
      }
      let others = tracer.tensors(position).filter { $0 != x }
        .map { ($0, Tensor.zeros([], dtype: .int64).expanded(tracer.shape($0))) }
      tracer.move(position, [x], others: others)
    case .pixels:
      guard let x = node.value("self") else { return tracer.giveUp(position) }
      let channels = tracer.shape(x).count - 3
      tracer.move(position, [x], free: { $0 == channels ? channels : nil })
    case .concatenation, .stack:
      guard case .values(let list)? = node["tensors"], let first = list.first ?? nil else {
        return tracer.giveUp(position)
      }
      let rank = tracer.shape(first).count + (kind == .stack ? 1 : 0)
      let place = node.dimension("dim", rank) ?? 0
      let isStack = kind == .stack
      tracer.move(
        position, list.compactMap(\.self), free: { isStack && $0 >= place ? $0 + 1 : $0 })
    }
  }

  func constants(_ node: Int, _ flow: inout ConstantFlow) { flow.pass(node) }

  /// Sizes that are told follow those of what is left.
  func cut(_ node: inout OperatorGraph.Node, at position: Int, _ cut: inout ChannelCut) {
    guard kind == .layout, let y = node.defines.first else { return }
    for name in ["size", "shape", "sizes"] {
      guard let told = node[name], node.target != "aten::repeat" else { continue }
      let first = name == "sizes" ? node.dimension("dim", (cut.groups.shapes[y.index]?.count ?? 1)) ?? 0 : 0
      node.set(name, cut.sizes(told, of: y, from: first))
    }
  }
}
