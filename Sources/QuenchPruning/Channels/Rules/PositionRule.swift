import QuenchTorch

/// Operators that take parts of a value, or add to it, at positions that they tell.
struct PositionRule: ChannelRule {
  private enum Kind {
    case slice
    case narrow
    case select
    case split
    case indexSelect
    case index
    case pad
  }

  static let table: [String: any ChannelRule] = [
    "aten::slice": PositionRule(kind: .slice), "aten::narrow": PositionRule(kind: .narrow),
    "aten::select": PositionRule(kind: .select), "aten::unbind": PositionRule(kind: .select),
    "aten::split": PositionRule(kind: .split), "aten::split_with_sizes": PositionRule(kind: .split),
    "aten::chunk": PositionRule(kind: .split), "aten::index_select": PositionRule(kind: .indexSelect),
    "aten::index": PositionRule(kind: .index), "aten::constant_pad_nd": PositionRule(kind: .pad),
    "aten::pad": PositionRule(kind: .pad)
  ]

  private let kind: Kind

  func couple(_ position: Int, _ tracer: inout ChannelTracer) {
    let node = tracer.graph.nodes[position]
    guard let x = node.value("self") else { return tracer.giveUp(position) }
    let rank = tracer.shape(x).count
    let place = node.dimension("dim", rank) ?? 0
    let (held, shapes) = (tracer.graph.held, tracer.trace.shapes)
    func zeros(_ value: OperatorGraph.Value) -> (OperatorGraph.Value, Tensor) {
      let elements = held.first { $0.value == value }?.elements
      let shape = shapes[value.index] ?? []
      return (value, elements.map { Tensor($0).reshaped(shape) } ?? Tensor.zeros(shape, dtype: .int64))
    }
    switch kind {
    case .slice, .narrow:
      let isPlain =
        (node.integer("step") ?? 1) == 1 && ["start", "end", "length"].allSatisfy { node.value($0) == nil }
      if !isPlain { tracer.freeze(x, along: place, by: position, ifThere: true) }
      tracer.move(position, [x])
    case .select, .split: tracer.move(position, [x])
    case .indexSelect:
      guard let index = node.value("index") else { return tracer.giveUp(position) }
      let isOwn = held.contains { $0.value == index && $0.elements != nil }
      if !isOwn || tracer.graph.readers[index.index].count > 1 {
        tracer.freeze(x, along: place, by: position, ifThere: true)
      }
      tracer.move(position, [x], others: [zeros(index)], free: { $0 })
    case .index:
      guard case .values(let indices)? = node["indices"] else { return tracer.giveUp(position) }
      for (dimension, index) in indices.enumerated() where index != nil && !tracer.isHeld(x) {
        tracer.freeze(x, along: dimension, by: position, ifThere: true)
      }
      tracer.move(position, [x], others: indices.compactMap(\.self).map(zeros))
    case .pad: pad(position, &tracer, x)
    }
  }

  private func pad(_ position: Int, _ tracer: inout ChannelTracer, _ x: OperatorGraph.Value) {
    let node = tracer.graph.nodes[position]
    guard let y = tracer.results(position).first, let pads = node.integers("pad"), pads.count % 2 == 0 else {
      return tracer.giveUp(position)
    }
    guard !tracer.isHeld(x) else { return tracer.giveUp(position) }
    tracer.set(y, [:])
    let rank = tracer.shape(x).count
    for dimension in tracer.dimensions(x) {
      let (before, after) = Self.pads(pads, dimension, rank)
      guard let channels = tracer.known(x, along: dimension) else { continue }
      let isZero = (node.real("value") ?? 0) == 0 && (node["mode"] ?? .string("constant")) == .string("constant")
      if before < 0 || after < 0 || (before + after > 0 && !isZero) {
        tracer.freeze(channels, .node(position))
        continue
      }
      func zeros(_ count: Int) -> [Int] { [Int](repeating: -1, count: count) }
      tracer.set(y, along: dimension, zeros(before) + channels + zeros(after))
      let sources = (0..<channels.count + before + after).map { place in
        channels.indices.contains(place - before) ? [place - before] : []
      }
      tracer.pass(position, x, dimension, to: y, dimension, sources: sources)
    }
  }

  /// What is added before and after the positions of a dimension: the pads' pairs begin with the last.
  private static func pads(_ pads: [Int], _ dimension: Int, _ rank: Int) -> (before: Int, after: Int) {
    let pair = 2 * (rank - 1 - dimension)
    return pads.indices.contains(pair + 1) ? (pads[pair], pads[pair + 1]) : (0, 0)
  }

  func constants(_ position: Int, _ flow: inout ConstantFlow) {
    guard kind == .pad else { return flow.pass(position) }
    let node = flow.graph.nodes[position]
    let pads = node.integers("pad") ?? []
    let value = node.real("value") ?? 0
    for passage in flow.groups.passages[position] {
      let rank = flow.groups.shapes[passage.from.value.index]?.count ?? 0
      let others = (0..<rank).filter { $0 != passage.from.dimension }
      let isWider = others.contains { Self.pads(pads, $0, rank) != (0, 0) }
      guard let input = flow[passage.from] else { continue }
      flow[passage.to] = passage.sources?.map { sources in
        guard let source = sources.first else { return value }
        return isWider && input[source] != value ? nil : input[source]
      }
    }
  }

  func cut(_ node: inout OperatorGraph.Node, at position: Int, _ cut: inout ChannelCut) {
    guard let x = node.value("self"), let shape = cut.groups.shapes[x.index] else { return }
    let place = node.dimension("dim", shape.count) ?? 0
    let isCut = cut.size(x, place) != shape[place]
    let kept = cut.kept(.init(value: x, dimension: place))
    func before(_ index: Int) -> Int { kept.count { $0 < index } }
    switch kind {
    case .slice, .narrow:
      guard isCut, (node.integer("step") ?? 1) == 1 else { return }
      func bound(_ name: String, _ missing: Int) -> Int {
        let told = node.integer(name) ?? missing
        return min(max(told < 0 ? told + shape[place] : told, 0), shape[place])
      }
      let start = bound("start", 0)
      let end = kind == .narrow ? start + (node.integer("length") ?? 0) : bound("end", shape[place])
      node.set("start", .integer(before(start)))
      if kind == .narrow {
        node.set("length", .integer(before(end) - before(start)))
      } else {
        node.set("end", .integer(before(end)))
      }
    case .split:
      guard isCut else { return }
      var sizes: [Int] = []
      if let told = node.integers("split_sizes") ?? node.integers("split_size").flatMap({ $0.count > 1 ? $0 : nil })
      {
        sizes = told
      } else {
        let chunks = node.integer("chunks").map { (shape[place] + $0 - 1) / max($0, 1) }
        let size = max(1, chunks ?? node.integer("split_size") ?? shape[place])
        sizes = stride(from: 0, to: shape[place], by: size).map { min(size, shape[place] - $0) }
      }
      var (start, left): (Int, [Int]) = (0, [])
      for size in sizes {
        left.append(before(start + size) - before(start))
        start += size
      }
      node.target = "aten::split_with_sizes"
      node.arguments = [
        .init("self", .value(x)), .init("split_sizes", .integers(left)), .init("dim", .integer(place))
      ]
    case .indexSelect:
      guard let index = node.value("index"), let y = node.defines.first else { return }
      let ranks = Dictionary(uniqueKeysWithValues: zip(kept, kept.indices))
      let sources = cut.elements(index)
      guard isCut || cut.size(y, place) != sources.count else { return }
      cut.setElements(index, cut.kept(.init(value: y, dimension: place)).compactMap { ranks[sources[$0]] })
    case .pad:
      guard let y = node.defines.first, var pads = node.integers("pad") else { return }
      for dimension in shape.indices {
        let (first, last) = Self.pads(pads, dimension, shape.count)
        let pair = 2 * (shape.count - 1 - dimension)
        guard first + last > 0, cut.groups.positions[y.index][dimension] != nil else { continue }
        let left = cut.kept(.init(value: y, dimension: dimension))
        pads[pair] = left.count { $0 < first }
        pads[pair + 1] = left.count { $0 >= first + shape[dimension] }
      }
      node.set("pad", .integers(pads))
    case .select, .index: break
    }
  }
}
