import QuenchSupport
import QuenchTorch

/// A graph without some of its channels: the operators' ``ChannelRule``s change what their nodes tell of sizes.
struct ChannelCut {
  let groups: ChannelGroups
  /// The products with weights, by node.
  let mixings: [Int: ChannelGroups.Mixing]
  private let stays: [Bool]
  /// New elements of constants that the graph itself has, by value.
  private var constants: [Int: [Int]] = [:]

  /// - Parameter removed: Positions of sets of coupled channels, none frozen.
  init(_ groups: ChannelGroups, removing removed: Set<Int>) {
    self.groups = groups
    mixings = Dictionary(groups.mixings.map { ($0.node, $0) }) { first, _ in first }
    stays = groups.coupled.indices.map { !removed.contains($0) }
  }

  /// The slices that stay along a dimension of a value.
  func kept(_ place: ChannelGroups.Place) -> [Int] {
    let sets = groups.sets(at: place)
    return sets.indices.filter { sets[$0] < 0 || stays[sets[$0]] }
  }

  /// How many slices of a value stay along a dimension.
  func size(_ value: OperatorGraph.Value, _ dimension: Int) -> Int {
    kept(.init(value: value, dimension: dimension)).count
  }

  /// What a node tells of the sizes of its result, from a dimension on.
  func sizes(
    _ told: OperatorGraph.Operand, of result: OperatorGraph.Value, from first: Int
  ) -> OperatorGraph.Operand {
    func size(_ told: Int, _ index: Int) -> Int {
      guard told > 0, groups.positions[result.index][first + index] != nil else { return told }
      return self.size(result, first + index)
    }
    switch told {
    case .integers(let sizes): return .integers(sizes.enumerated().map { size($1, $0) })
    case .sizes(let sizes):
      return .sizes(
        sizes.enumerated().map { index, told in
          if case .fixed(let fixed) = told { .fixed(size(fixed, index)) } else { told }
        })
    default: return told
    }
  }

  /// The elements of a constant that the graph itself has.
  func elements(_ value: OperatorGraph.Value) -> [Int] {
    groups.graph.held.first { $0.value == value }?.elements ?? []
  }

  mutating func setElements(_ value: OperatorGraph.Value, _ elements: [Int]) { constants[value.index] = elements }

  /// The slices that stay of a held tensor, by dimension, where some go.
  func kept(ofHeld held: Int) -> [Int: [Int]] {
    groups.axes[held].compactMapValues { sets in
      let kept = sets.indices.filter { stays[sets[$0]] }
      return kept.count < sets.count ? kept : nil
    }
  }

  /// The graph of what stays.
  mutating func graph() -> OperatorGraph {
    var graph = groups.graph
    for position in graph.nodes.indices {
      ChannelRules.rule(of: graph.nodes[position].target)?.cut(&graph.nodes[position], at: position, &self)
    }
    for index in graph.held.indices {
      for (dimension, kept) in kept(ofHeld: index) { graph.held[index].shape[dimension] = kept.count }
      guard let elements = constants[graph.held[index].value.index] else { continue }
      graph.held[index].elements = elements
      graph.held[index].shape = [elements.count]
    }
    return graph
  }
}

extension Network {
  /// The network without some of its channels: of all that stays, a copy.
  /// - Parameters:
  ///   - removed: Positions of sets of coupled channels, none frozen.
  ///   - groups: The groups that couple them.
  /// - Throws: `InputError` if the smaller network can't be computed.
  func removing(_ removed: Set<Int>, of groups: ChannelGroups) throws(InputError) -> Network {
    guard !removed.isEmpty else { return copy() }
    var cut = ChannelCut(groups, removing: removed)
    var smaller = architecture
    smaller.graph = cut.graph()
    let network = Network(smaller, seed: 0, device: device)
    network.convert(to: dtype)
    let tensors = tensorsByName
    let kept = Dictionary(
      uniqueKeysWithValues: groups.graph.held.indices.map { (groups.graph.held[$0].name, cut.kept(ofHeld: $0)) })
    withoutGradient {
      for target in network.parameters + network.buffers {
        guard var value = tensors[target.name]?.detached() else { continue }
        for (dimension, slices) in kept[target.name] ?? [:] {
          value = value.selecting(Tensor(slices).to(device), dimension)
        }
        target.tensor.copy(from: value)
      }
    }
    try network.measure()
    return network
  }
}
