import QuenchSupport
import QuenchTorch

/// Follows channels through a graph: every value carries a shadow that says which channel lies where, and operators move
/// shadows as they move values. What an operator makes of the shadows is its ``ChannelRule``.
///
/// A value's channels are known dimension by dimension, so that whatever is cut of them leaves a box.
struct ChannelTracer {
  /// Which channels a value holds.
  enum Shadow {
    /// By dimension, a channel for each position; -1 where zeros stand that nobody has read yet.
    case channels([Int: [Int]])
    /// The elements of a held tensor, by its position among these, laid out anew: their positions in it, int64; nil: as
    /// they are held. Others have been computed of them where they are `derived`.
    case held(Int, elements: Tensor?, isDerived: Bool = false)
  }

  let graph: OperatorGraph
  let trace: GraphTrace
  private(set) var classes = Partition()
  /// What keeps a channel from being cut.
  private(set) var obstacles: [Int: ChannelGroups.Obstacle] = [:]
  private(set) var shadows: [Shadow]
  /// For each held tensor, by dimension, the channels of its slices, where an operator has asked for them.
  private(set) var axes: [[Int: [Int]]]
  private(set) var passages: [[ChannelGroups.Passage]]
  private(set) var mixings: [ChannelGroups.Mixing] = []
  /// Channels that nodes sum over without weights.
  private(set) var contractions: [(place: ChannelGroups.Place, node: Int)] = []
  /// Normalizations of single channels.
  private(set) var norms: [(place: ChannelGroups.Place, node: Int)] = []
  /// Nodes that no rule is known of.
  private(set) var unknown: [Int] = []
  private var evaluator: NodeEvaluator

  /// - Throws: `InputError` if the graph can't be computed.
  init(_ architecture: Architecture) throws(InputError) {
    graph = architecture.graph
    trace = try architecture.trace()
    evaluator = try NodeEvaluator(graph, at: architecture.name)
    shadows = [Shadow](repeating: .channels([:]), count: graph.valueNames.count)
    axes = [[Int: [Int]]](repeating: [:], count: graph.held.count)
    passages = [[ChannelGroups.Passage]](repeating: [], count: graph.nodes.count)
    for (index, held) in graph.held.enumerated() { shadows[held.value.index] = .held(index, elements: nil) }
    let place = shape(graph.input.value).count > 2 ? 1 : shape(graph.input.value).count - 1
    let images = Array(classes.append(shape(graph.input.value)[place]))
    shadows[graph.input.value.index] = .channels([place: images])
    freeze(images, .images)
    for node in graph.nodes.indices {
      if let rule = ChannelRules.rule(of: graph.nodes[node].target) {
        rule.couple(node, &self)
      } else {
        giveUp(node)
      }
    }
    for dimension in shape(graph.output).indices.dropFirst() {
      freeze(channels(graph.output, along: dimension) ?? [], .answers)
    }
  }

  // MARK: - Values

  func shape(_ value: OperatorGraph.Value) -> [Int] { trace.shape(value) ?? [] }
  func isTensor(_ value: OperatorGraph.Value) -> Bool { trace.shape(value) != nil }
  /// The tensors among what a node reads.
  func tensors(_ node: Int) -> [OperatorGraph.Value] { graph.nodes[node].reads.filter(isTensor) }
  func results(_ node: Int) -> [OperatorGraph.Value] { graph.nodes[node].defines.filter(isTensor) }

  /// The dimensions of a value along which channels lie.
  func dimensions(_ value: OperatorGraph.Value) -> [Int] {
    if case .channels(let channels) = shadows[value.index] { channels.keys.sorted() } else { [] }
  }

  func isHeld(_ value: OperatorGraph.Value) -> Bool {
    if case .held = shadows[value.index] { true } else { false }
  }

  /// The channels of a value's slices along a dimension; nil where there are none. A held tensor's begin here.
  mutating func channels(_ value: OperatorGraph.Value, along dimension: Int) -> [Int]? {
    switch shadows[value.index] {
    case .channels(var all):
      guard var channels = all[dimension] else { return nil }
      guard channels.contains(-1) else { return channels }
      for index in channels.indices where channels[index] < 0 { channels[index] = classes.append(1).lowerBound }
      all[dimension] = channels
      shadows[value.index] = .channels(all)
      return channels
    case .held(let held, let elements, _):
      guard let axis = HeldAxis(elements, graph.held[held].shape, along: dimension) else { return nil }
      if axes[held][axis.dimension] == nil {
        axes[held][axis.dimension] = Array(classes.append(graph.held[held].shape[axis.dimension]))
      }
      return axes[held][axis.dimension].map(axis.pick)
    }
  }

  /// As ``channels(_:along:)``, but begins none.
  func known(_ value: OperatorGraph.Value, along dimension: Int) -> [Int]? {
    switch shadows[value.index] {
    case .channels(let all): return all[dimension]
    case .held(let held, let elements, _):
      guard !axes[held].isEmpty, let axis = HeldAxis(elements, graph.held[held].shape, along: dimension) else {
        return nil
      }
      return axes[held][axis.dimension].map(axis.pick)
    }
  }

  mutating func set(_ value: OperatorGraph.Value, _ channels: [Int: [Int]]) {
    shadows[value.index] = .channels(channels)
  }

  mutating func set(_ value: OperatorGraph.Value, along dimension: Int, _ channels: [Int]) {
    var all: [Int: [Int]] = [:]
    if case .channels(let known) = shadows[value.index] { all = known }
    all[dimension] = channels
    shadows[value.index] = .channels(all)
  }

  mutating func set(_ value: OperatorGraph.Value, _ shadow: Shadow) { shadows[value.index] = shadow }

  // MARK: - Coupling

  mutating func unite(_ a: [Int], _ b: [Int]) {
    for (a, b) in zip(a, b) where a >= 0 && b >= 0 { classes.unite(a, b) }
  }

  /// Couples channels with the entries of a vector; freezes them where nobody knows what these are.
  mutating func unite(_ channels: [Int], _ vector: OperatorGraph.Value, by node: Int) {
    if let entries = self.channels(vector, along: 0) {
      unite(channels, entries)
    } else {
      freeze(channels, .node(node))
    }
  }

  mutating func freeze(_ channels: [Int], _ obstacle: ChannelGroups.Obstacle) {
    for channel in channels where channel >= 0 && obstacles[channel] == nil { obstacles[channel] = obstacle }
  }

  /// Freezes what lies along a dimension of a value, because of a node.
  mutating func freeze(_ value: OperatorGraph.Value, along dimension: Int, by node: Int) {
    freeze(channels(value, along: dimension) ?? [], .node(node))
  }

  /// Channels that stay because nobody knows where they are from.
  mutating func frozen(_ count: Int, by node: Int) -> [Int] {
    let channels = Array(classes.append(count))
    freeze(channels, .node(node))
    return channels
  }

  /// Freezes all that a node reads, whose rule is not known or does not fit.
  mutating func giveUp(_ node: Int) {
    if ChannelRules.rule(of: graph.nodes[node].target) == nil, !tensors(node).allSatisfy({ dimensions($0).isEmpty })
    {
      unknown.append(node)
    }
    for value in tensors(node) {
      for dimension in shape(value).indices where known(value, along: dimension) != nil {
        freeze(value, along: dimension, by: node)
      }
    }
    for value in results(node) { set(value, [:]) }
  }

  /// Says that channels pass a node position by position.
  mutating func pass(
    _ node: Int, _ value: OperatorGraph.Value, _ dimension: Int, to result: OperatorGraph.Value, _ place: Int,
    sources: [[Int]]? = nil
  ) {
    passages[node].append(
      .init(
        from: .init(value: value, dimension: dimension), to: .init(value: result, dimension: place),
        sources: sources))
  }

  /// Hands on the channels along a dimension as they are.
  mutating func keep(
    _ node: Int, _ value: OperatorGraph.Value, _ dimension: Int, to result: OperatorGraph.Value, _ place: Int
  ) {
    guard let channels = channels(value, along: dimension) else { return }
    set(result, along: place, channels)
    pass(node, value, dimension, to: result, place)
  }

  mutating func mix(_ mixing: ChannelGroups.Mixing) { mixings.append(mixing) }
  mutating func contract(_ value: OperatorGraph.Value, along dimension: Int, by node: Int) {
    contractions.append((.init(value: value, dimension: dimension), node))
  }
  mutating func norm(_ value: OperatorGraph.Value, along dimension: Int, by node: Int) {
    norms.append((.init(value: value, dimension: dimension), node))
  }

  // MARK: - Computing with shadows

  /// Lets a node compute with tensors in place of its operands; nil where it can't.
  mutating func compute(_ node: Int, _ operands: [(OperatorGraph.Value, Tensor)]) -> [Tensor]? {
    for (value, tensor) in operands { evaluator[value] = tensor }
    if (try? evaluator.compute(node)) == nil {
      // A view may want the elements of one block.
      for (value, tensor) in operands { evaluator[value] = tensor.contiguous() }
      guard (try? evaluator.compute(node)) != nil else { return nil }
    }
    let found = results(node).compactMap { evaluator[$0] }
    return found.count == results(node).count && zip(found, results(node)).allSatisfy({ $0.shape == shape($1) })
      ? found : nil
  }

  /// Computes a number of the sizes that tensors have.
  mutating func count(_ node: Int) {
    let operands = tensors(node).map { ($0, Tensor.zeros([], dtype: .int64).expanded(shape($0))) }
    _ = compute(node, operands)
  }
}
