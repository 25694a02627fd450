import QuenchTorch

/// Linear layers and matrix products, with weights or of two values.
struct ProductRule: ChannelRule {
  static let table: [String: any ChannelRule] = [
    "aten::linear": ProductRule(first: "input", second: "weight", bias: "bias", isLinear: true),
    "aten::matmul": ProductRule(first: "self", second: "other"),
    "aten::mm": ProductRule(first: "self", second: "mat2"),
    "aten::bmm": ProductRule(first: "self", second: "mat2"),
    "aten::addmm": ProductRule(first: "mat1", second: "mat2", bias: "self"),
    "aten::baddbmm": ProductRule(first: "batch1", second: "batch2", bias: "self")
  ]

  let first: String
  let second: String
  var bias: String?
  /// Whether the second factor is `[outputs, inputs]`.
  var isLinear = false

  func couple(_ position: Int, _ tracer: inout ChannelTracer) {
    let node = tracer.graph.nodes[position]
    guard let a = node.value(first), let b = node.value(second), let y = tracer.results(position).first,
      tracer.shape(a).count >= 1, tracer.shape(b).count >= 2
    else { return tracer.giveUp(position) }
    tracer.set(y, [:])
    if tracer.isHeld(b), tracer.shape(b).count == 2 {
      let last = tracer.shape(a).count - 1
      let (rows, planes) = isLinear ? (0, 1) : (1, 0)
      couple(position, &tracer, a, last, b, rows: rows, planes: planes, y, tracer.shape(y).count - 1)
    } else if tracer.isHeld(a), tracer.shape(a).count == 2, tracer.shape(b).count == tracer.shape(y).count {
      let row = tracer.shape(b).count - 2
      couple(position, &tracer, b, row, a, rows: 0, planes: 1, y, tracer.shape(y).count - 2)
    } else if tracer.shape(a).count >= 2 {
      multiply(position, &tracer, a, b, y)
    } else {
      tracer.giveUp(position)
    }
    guard let bias, let added = node.value(bias), tracer.isTensor(added) else { return }
    let rank = tracer.shape(y).count
    for dimension in tracer.shape(added).indices {
      let place = dimension + rank - tracer.shape(added).count
      guard tracer.shape(added)[dimension] > 1, let mine = tracer.channels(y, along: place) else { continue }
      if let theirs = tracer.channels(added, along: dimension) {
        tracer.unite(mine, theirs)
      } else {
        tracer.freeze(mine, .node(position))
      }
    }
  }

  /// A product with a weight.
  private func couple(
    _ position: Int, _ tracer: inout ChannelTracer, _ x: OperatorGraph.Value, _ dimension: Int,
    _ weight: OperatorGraph.Value, rows: Int, planes: Int, _ y: OperatorGraph.Value, _ place: Int
  ) {
    guard var mixing = tracer.mixing(position, weight, rows: rows, planes: planes),
      let outputs = tracer.channels(weight, along: rows), let read = tracer.channels(weight, along: planes)
    else { return tracer.giveUp(position) }
    mixing.bias = bias.flatMap { tracer.graph.nodes[position].value($0) }
    (mixing.input, mixing.output) = (.init(value: x, dimension: dimension), .init(value: y, dimension: place))
    let inputs = tracer.channels(x, along: dimension) ?? tracer.frozen(tracer.shape(x)[dimension], by: position)
    tracer.unite(inputs, read)
    tracer.mix(mixing)
    for other in tracer.dimensions(x) where other != dimension { tracer.keep(position, x, other, to: y, other) }
    tracer.set(y, along: place, outputs)
  }

  /// A product of two values: batches go with each other, and so do the features that are summed over.
  private func multiply(
    _ position: Int, _ tracer: inout ChannelTracer, _ a: OperatorGraph.Value, _ b: OperatorGraph.Value,
    _ y: OperatorGraph.Value
  ) {
    let ranks = (tracer.shape(a).count, tracer.shape(b).count, tracer.shape(y).count)
    tracer.combineBatches(position, [a, b], y, trailing: 2)
    tracer.keep(position, a, ranks.0 - 2, to: y, ranks.2 - 2)
    tracer.keep(position, b, ranks.1 - 1, to: y, ranks.2 - 1)
    tracer.contract(position, (a, ranks.0 - 1), (b, ranks.1 - 2))
  }

  func constants(_ node: Int, _ flow: inout ConstantFlow) {
    flow.mix(node)
    let isBiased = bias.flatMap { flow.graph.nodes[node].value($0) } != nil
    if !isBiased { flow.passZeros(node) }
  }
}

extension ChannelTracer {
  /// Couples the leading dimensions of values that are broadcast to each other, all but the last `trailing`.
  mutating func combineBatches(
    _ node: Int, _ values: [OperatorGraph.Value], _ result: OperatorGraph.Value, trailing: Int
  ) {
    let rank = shape(result).count
    for place in 0..<max(0, rank - trailing) {
      var found: [(value: OperatorGraph.Value, dimension: Int, channels: [Int])] = []
      var isStrange = false
      for value in values {
        let dimension = place - rank + shape(value).count
        guard dimension >= 0, shape(value)[dimension] == shape(result)[place] else { continue }
        if isHeld(value), !values.contains(where: { dimensions($0).contains(place - rank + shape($0).count) }) {
          continue
        }
        if let channels = channels(value, along: dimension) {
          found.append((value, dimension, channels))
        } else {
          isStrange = isStrange || shape(value)[dimension] > 1
        }
      }
      guard let first = found.first else { continue }
      for other in found.dropFirst() { unite(first.channels, other.channels) }
      if isStrange { freeze(first.channels, .node(node)) }
      set(result, along: place, first.channels)
      for operand in found { pass(node, operand.value, operand.dimension, to: result, place) }
    }
  }

  /// Couples what a node multiplies and sums over.
  mutating func contract(
    _ node: Int, _ a: (value: OperatorGraph.Value, dimension: Int),
    _ b: (value: OperatorGraph.Value, dimension: Int)
  ) {
    let (mine, theirs) = (
      dimensions(a.value).contains(a.dimension) || isHeld(a.value) ? channels(a.value, along: a.dimension) : nil,
      dimensions(b.value).contains(b.dimension) || isHeld(b.value) ? channels(b.value, along: b.dimension) : nil
    )
    if let mine, let theirs {
      unite(mine, theirs)
      contract(a.value, along: a.dimension, by: node)
    } else {
      freeze((mine ?? []) + (theirs ?? []), .node(node))
    }
  }
}
