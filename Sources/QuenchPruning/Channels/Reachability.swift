import QuenchTorch

/// Which channels of each value the input reaches, and which reach the output, through kept weights.
///
/// Where a node has a value's channels of which it is not known where they go, they all go on, or none does.
struct Reachability {
  /// For each product with a weight how many are kept between its units, `[outputs, inputs / groups]`, float64.
  let kept: [Int: Tensor]
  private let groups: ChannelGroups
  private let mixings: [Int: ChannelGroups.Mixing]
  /// 1 for a channel that the input reaches, float64.
  private var forward: [ChannelGroups.Place: Tensor] = [:]
  private var isReached: [Bool]
  private var backward: [ChannelGroups.Place: Tensor] = [:]
  private var isUseful: [Bool]

  /// - Parameter masks: By the weight's name; of others all is kept.
  init(_ groups: ChannelGroups, masks: [String: Tensor]) {
    self.groups = groups
    mixings = Dictionary(groups.mixings.map { ($0.node, $0) }) { first, _ in first }
    kept = mixings.mapValues { mixing in
      let held = groups.graph.held[mixing.held]
      let mask = (masks[held.name] ?? .ones(held.shape)).to(.cpu, dtype: .float64)
      let laidOut = mixing.laidOut(mask)
      return laidOut.rank > 2 ? laidOut.sum(Array(2..<laidOut.rank)) : laidOut
    }
    let graph = groups.graph
    isReached = [Bool](repeating: false, count: graph.valueNames.count)
    isUseful = isReached
    isReached[graph.input.value.index] = true
    for place in places(graph.input.value) { forward[place] = .ones([count(place)], dtype: .float64) }
    for node in graph.nodes.indices { advance(node) }
    isUseful[graph.output.index] = true
    for place in places(graph.output) { backward[place] = .ones([count(place)], dtype: .float64) }
    for node in graph.nodes.indices.reversed() { retreat(node) }
  }

  /// What the input reaches along a dimension of a value.
  func reached(_ place: ChannelGroups.Place) -> Tensor { forward[place] ?? all(isReached, place) }

  /// What reaches the output.
  func useful(_ place: ChannelGroups.Place) -> Tensor { backward[place] ?? all(isUseful, place) }

  /// Whether each unit's inputs are reached, `[outputs, inputs / groups]`.
  func reads(_ mixing: ChannelGroups.Mixing) -> Tensor {
    let units = kept[mixing.node]?.size(0) ?? 0
    return reached(mixing.input).reshaped([mixing.groups, -1]).repeatInterleaved(units / mixing.groups, 0)
  }

  private func count(_ place: ChannelGroups.Place) -> Int { groups.sets(at: place).count }

  private func all(_ isThere: [Bool], _ place: ChannelGroups.Place) -> Tensor {
    .full([count(place)], isThere[place.value.index] ? 1 : 0, dtype: .float64)
  }

  private func places(_ value: OperatorGraph.Value) -> [ChannelGroups.Place] {
    groups.positions[value.index].keys.sorted().map { .init(value: value, dimension: $0) }
  }

  private mutating func advance(_ node: Int) {
    let declared = groups.graph.nodes[node]
    var isAny = declared.reads.contains { isReached[$0.index] }
    var found: [ChannelGroups.Place: Tensor] = [:]
    if let mixing = mixings[node], let kept = kept[node] {
      found[mixing.output] = ((kept * reads(mixing)).max([1]) .> 0).to(.float64)
    }
    for passage in groups.passages[node] where isImage(passage.from.value) {
      let come = passage.gather(reached(passage.from))
      found[passage.to] = found[passage.to].map { $0.maximum(come) } ?? come
    }
    if isAny, let mixing = mixings[node] { isAny = found[mixing.output]?.any() ?? true }
    for value in declared.defines {
      isReached[value.index] = isAny
      for place in places(value) { forward[place] = found[place] ?? all(isReached, place) }
    }
  }

  private mutating func retreat(_ node: Int) {
    let declared = groups.graph.nodes[node]
    guard declared.defines.contains(where: { isUseful[$0.index] }) else { return }
    var found: [ChannelGroups.Place: Tensor] = [:]
    if let mixing = mixings[node], let kept = kept[node] {
      let used = (kept .> 0).to(.float64) * useful(mixing.output).unsqueezed(1)
      found[mixing.input] = used.reshaped([mixing.groups, -1, kept.size(1)]).max([1]).reshaped([-1])
    }
    for passage in groups.passages[node] {
      let come = passage.scatter(useful(passage.to), count(passage.from))
      found[passage.from] = found[passage.from].map { $0.maximum(come) } ?? come
    }
    for value in Set(declared.reads) {
      for place in places(value) {
        let come = found[place] ?? .ones([count(place)], dtype: .float64)
        backward[place] = backward[place].map { $0.maximum(come) } ?? come
      }
      isUseful[value.index] = true
    }
  }

  /// Whether a value is not the network's own.
  private func isImage(_ value: OperatorGraph.Value) -> Bool { isReached[value.index] }
}

extension ChannelGroups.Passage {
  /// What comes to the result's slices of the operand's.
  fileprivate func gather(_ values: Tensor) -> Tensor {
    guard let sources else { return values }
    let all = values.array(Double.self)
    return Tensor(sources.map { row in row.map { all[$0] }.max() ?? 0 })
  }

  /// What the operand's slices give to the result's.
  fileprivate func scatter(_ values: Tensor, _ count: Int) -> Tensor {
    guard let sources else { return values }
    let all = values.array(Double.self)
    var given = [Double](repeating: 0, count: count)
    for (row, value) in zip(sources, all) { for source in row { given[source] = max(given[source], value) } }
    return Tensor(given)
  }
}
