import QuenchTorch

/// Operators that move elements, followed by moving the numbers of their positions.
extension ChannelTracer {
  /// Couples what a node does that only lays elements out anew.
  /// - Parameters:
  ///   - operands: The values whose elements it moves.
  ///   - others: Tensors for what else it reads, such as indices.
  ///   - free: For a dimension of the operands that of the result along which channels may be cut, where that is known.
  mutating func move(
    _ node: Int, _ operands: [OperatorGraph.Value], others: [(OperatorGraph.Value, Tensor)] = [],
    free: (Int) -> Int? = { _ in nil }
  ) {
    if operands.count == 1, case .held(let held, let elements, let isDerived) = shadows[operands[0].index] {
      let layout =
        elements ?? Tensor.arange(to: Double(shape(operands[0]).reduce(1, *))).reshaped(shape(operands[0]))
      guard let moved = compute(node, [(operands[0], layout)] + others) else { return giveUp(node) }
      for (value, tensor) in zip(results(node), moved) {
        set(value, .held(held, elements: tensor, isDerived: isDerived))
      }
      return
    }
    let own = Set(operands.flatMap { dimensions($0) })
    let tracked = own.isEmpty && operands.count > 1 ? heldAlone(operands) : own.sorted()
    for value in results(node) { set(value, [:]) }
    for dimension in tracked {
      var all: [Int] = []
      var parts: [Range<Int>] = []
      let numbered = operands.map { operand -> (OperatorGraph.Value, Tensor) in
        let sizes = shape(operand)
        let count = sizes.indices.contains(dimension) ? sizes[dimension] : 0
        let own = isHeld(operand) ? channels(operand, along: dimension) : known(operand, along: dimension)
        let part = own ?? frozen(count, by: node)
        parts.append(all.count..<all.count + part.count)
        all += part
        var alone = [Int](repeating: 1, count: sizes.count)
        if count > 0 { alone[dimension] = count }
        let numbers = Tensor.arange(Double(all.count - part.count), to: Double(all.count))
        return (operand, numbers.reshaped(alone).expanded(sizes))
      }
      guard let moved = compute(node, numbered + others) else { return giveUp(node) }
      for (value, tensor) in zip(results(node), moved) {
        guard
          let (place, rows) = layOut(tensor, value, node, all, free(dimension), isLast: isLast(dimension, operands))
        else { continue }
        for (operand, part) in zip(operands, parts) where !part.isEmpty {
          let sources = rows.map { row in row.filter(part.contains).map { $0 - part.lowerBound } }
          pass(node, operand, dimension, to: value, place, sources: sources)
        }
      }
    }
  }

  /// Where held tensors alone are put together, the dimensions along which they have more than one slice.
  private func heldAlone(_ operands: [OperatorGraph.Value]) -> [Int] {
    guard operands.allSatisfy({ dimensions($0).isEmpty }), let held = operands.first(where: { isHeld($0) }) else {
      return []
    }
    return shape(held).indices.filter { dimension in operands.contains { shape($0)[dimension] > 1 } }
  }

  private func isLast(_ dimension: Int, _ operands: [OperatorGraph.Value]) -> Bool {
    dimension == shape(operands[0]).count - 1
  }

  /// Finds where channels now lie and couples those that share a slice.
  /// - Parameters:
  ///   - numbers: For each element of the result the position that it is from.
  ///   - channels: Those of the positions.
  ///   - isLast: Whether they lay along the last dimension, as features do that are split into heads.
  /// - Returns: The dimension along which they lie, and for each of its slices the positions in it; nil where they lie
  ///   along none.
  private mutating func layOut(
    _ numbers: Tensor, _ value: OperatorGraph.Value, _ node: Int, _ channels: [Int], _ wanted: Int?, isLast: Bool
  ) -> (place: Int, rows: [[Int]])? {
    let shape = numbers.shape
    let varying = shape.indices.filter { dimension in
      shape[dimension] > 1 && !(numbers .== numbers.selecting(Tensor([0]), dimension)).all()
    }
    guard let place = wanted ?? freeDimension(varying, shape, node, isLast: isLast), shape[place] > 0 else {
      freeze(channels, .node(node))
      return nil
    }
    guard !dimensions(value).contains(place) else {
      freeze(channels, .node(node))
      return nil
    }
    var compact = numbers
    for dimension in shape.indices where dimension != place && !varying.contains(dimension) {
      compact = compact.selecting(Tensor([0]), dimension)
    }
    let order = [place] + shape.indices.filter { $0 != place }
    let flat = compact.permuted(order).contiguous().array(Int.self)
    let width = flat.count / shape[place]
    let rows = (0..<shape[place]).map { row in
      Array(Set(flat[row * width..<(row + 1) * width])).filter { $0 >= 0 }.sorted()
    }
    for row in rows {
      for (a, b) in zip(row, row.dropFirst()) { unite([channels[a]], [channels[b]]) }
    }
    set(value, along: place, rows.map { row in row.lazy.map { channels[$0] }.first { $0 >= 0 } ?? -1 })
    if place == 0, graph.nodes[node].reshapes, graph.input.sizes[0].lowerBound != graph.input.sizes[0].upperBound {
      // The batch lies there too: how many slices there are is not the channels' alone.
      freeze(channels, .node(node))
    }
    return (place, rows)
  }

  /// Of the dimensions that channels were split over the one along which they may be cut: the heads, or the largest.
  private func freeDimension(_ varying: [Int], _ shape: [Int], _ node: Int, isLast: Bool) -> Int? {
    guard varying.count > 1 else { return varying.first }
    let fitting = varying.filter { $0 != 0 && !graph.nodes[node].computesSize($0) }
    if isLast, fitting.count > 1 { return fitting[fitting.count - 2] }
    return fitting.max { (shape[$0], $0) < (shape[$1], $1) } ?? varying.last
  }
}

extension OperatorGraph.Node {
  /// What the sizes of the result are told by, with the first dimension that they are of.
  fileprivate var sizes: [OperatorGraph.Size] {
    switch self["size"] ?? self["shape"] {
    case .sizes(let sizes)?: sizes
    default: []
    }
  }

  /// Whether a size of the result is computed.
  fileprivate func computesSize(_ dimension: Int) -> Bool {
    if sizes.indices.contains(dimension), case .computed = sizes[dimension] { true } else { false }
  }

  fileprivate var reshapes: Bool {
    ["aten::view", "aten::reshape", "aten::_unsafe_view", "aten::flatten.using_ints"].contains(target)
  }
}
