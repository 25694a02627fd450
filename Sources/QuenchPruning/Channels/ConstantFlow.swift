import QuenchSupport
import QuenchTorch

/// Which channels of a network's values are the same for every image, and what they are then: followed through the graph
/// by the operators' ``ChannelRule``s.
struct ConstantFlow {
  let groups: ChannelGroups
  /// Whether constants are those of the network's own biases and normalizations.
  let knowsWeights: Bool
  /// Values that no image has a part in, float64, by position.
  let statics: [Int: Tensor]
  /// Take biases and batch norms behind a channel that is constant for zero.
  private let silencing: Bool
  private let reads: [Int: Tensor]
  private var known: [ChannelGroups.Place: [Double?]] = [:]
  private var evaluator: NodeEvaluator?

  var graph: OperatorGraph { groups.graph }

  /// - Parameters:
  ///   - reads: For each node that multiplies by a weight `[outputs, inputs]`, float32: 1 where the filter reads the plane.
  ///   - statics: Values that no image has a part in; nil: they are not known.
  init(_ groups: ChannelGroups, reads: [Int: Tensor], statics: [Int: Tensor]?, silencing: Bool) {
    self.groups = groups
    self.reads = reads
    self.silencing = silencing
    self.statics = statics ?? [:]
    knowsWeights = statics != nil
    evaluator = try? NodeEvaluator(groups.graph, at: groups.architecture.name)
    for node in groups.graph.nodes.indices {
      ChannelRules.rule(of: groups.graph.nodes[node].target)?.constants(node, &self)
    }
  }

  /// The constants along a dimension of a value; nil where no channels lie there.
  subscript(place: ChannelGroups.Place) -> [Double?]? {
    get {
      if let known = known[place] { return known }
      guard let shape = groups.shapes[place.value.index], shape.indices.contains(place.dimension) else {
        return nil
      }
      if let tensor = statics[place.value.index], tensor.rank == shape.count {
        let others = shape.indices.filter { $0 != place.dimension }
        let rows = tensor.permuted([place.dimension] + others).reshaped([shape[place.dimension], -1])
        return zip(rows.min([1]).array(Double.self), rows.max([1]).array(Double.self)).map { $0 == $1 ? $0 : nil }
      }
      guard groups.positions[place.value.index][place.dimension] != nil else { return nil }
      return [Double?](repeating: nil, count: shape[place.dimension])
    }
    set { known[place] = newValue }
  }

  subscript(value: OperatorGraph.Value, dimension: Int) -> [Double?]? {
    get { self[.init(value: value, dimension: dimension)] }
    set { self[.init(value: value, dimension: dimension)] = newValue }
  }

  /// Whether a constant channel is made zero.
  func isSilent(_ value: OperatorGraph.Value, _ dimension: Int, _ channel: Int) -> Bool {
    guard silencing, let set = groups.positions[value.index][dimension]?[channel], set >= 0 else { return false }
    return !groups.coupled[set].isFrozen
  }

  /// The outputs of a product with a weight: a filter that reads nothing but zeros gives its bias.
  mutating func mix(_ node: Int) {
    guard let mixing = groups.mixings.first(where: { $0.node == node }), let reads = reads[node] else { return }
    let input = self[mixing.input] ?? [Double?](repeating: nil, count: reads.size(1))
    let counts: [Float] = reads.matmul(Tensor(input.map { $0 != 0 ? Float(1) : 0 })).array()
    let bias = mixing.bias.flatMap { self[$0, max(0, (groups.shapes[$0.index]?.count ?? 1) - 1)] }
    self[mixing.output] = counts.enumerated().map { filter, count in
      guard count == 0 else { return nil }
      if isSilent(mixing.output.value, mixing.output.dimension, filter) { return 0 }
      guard let bias, knowsWeights, bias.count == counts.count else { return 0 }
      return bias[filter]
    }
  }

  /// What moves elements moves constants.
  mutating func pass(_ node: Int) {
    for (place, passages) in Dictionary(grouping: groups.passages[node], by: \.to) {
      let inputs = passages.map { (self[$0.from], $0.sources) }
      self[place] = (0..<count(place)).map { index -> Double? in
        let found = inputs.flatMap { values, sources -> [Double?] in
          (sources?[index] ?? [index]).map { source in values?[source] ?? nil }
        }
        guard let first = found.first ?? nil, found.allSatisfy({ $0 == first }) else { return nil }
        return first
      }
    }
  }

  /// What is zero stays so: products, and sums of one channel.
  /// - Parameters:
  ///   - operand: The only one whose zeros count; nil: any.
  ///   - firstOnly: Whether only those of the first count.
  mutating func passZeros(_ node: Int, of operand: OperatorGraph.Value? = nil, firstOnly: Bool = false) {
    let operand = firstOnly ? graph.nodes[node].reads.first : operand
    for passage in groups.passages[node] where operand == nil || operand == passage.from.value {
      guard let input = self[passage.from], var result = self[passage.to] else { continue }
      for index in result.indices where (passage.sources?[index] ?? [index]).allSatisfy({ input[$0] == 0 }) {
        result[index] = 0
      }
      self[passage.to] = result
    }
  }

  /// Computes an operator that works element by element on the constants.
  mutating func computeElements(_ node: Int) {
    let operands = graph.nodes[node].reads.filter { groups.shapes[$0.index] != nil }
    guard let y = graph.nodes[node].defines.first, let rank = groups.shapes[y.index]?.count else { return }
    for (place, passages) in Dictionary(grouping: groups.passages[node], by: \.to) where place.value == y {
      guard passages.contains(where: { self[$0.from]?.contains(where: { $0 != nil }) == true }) else { continue }
      let count = count(place)
      var isKnown = [Bool](repeating: true, count: count)
      for operand in operands {
        let shape = groups.shapes[operand.index] ?? []
        let dimension = place.dimension - rank + shape.count
        var values = dimension >= 0 && shape[dimension] == count ? self[operand, dimension] : nil
        if values == nil, let tensor = statics[operand.index], tensor.count == 1 { values = [tensor.item()] }
        let found = values ?? [nil]
        for index in isKnown.indices where found[found.count == 1 ? 0 : index] == nil { isKnown[index] = false }
        evaluator?[operand] = Tensor(found.map { $0 ?? 0 })
      }
      guard isKnown.contains(true), (try? evaluator?.compute(node)) != nil, let result = evaluator?[y],
        result.count == count, result.dtype.isFloatingPoint
      else { continue }
      let computed = result.reshaped([-1]).array(Double.self)
      let before = self[place] ?? []
      self[place] = isKnown.indices.map { isKnown[$0] ? computed[$0] : before[$0] }
    }
  }

  private func count(_ place: ChannelGroups.Place) -> Int {
    groups.shapes[place.value.index]?[place.dimension] ?? 0
  }
}
