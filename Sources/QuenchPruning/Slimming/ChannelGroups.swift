import QuenchTorch

/// Which channels of a network must stay or go together, read from its declared graph alone (DepGraph, Fang et al.
/// 2023).
///
/// A convolution or linear layer begins new channels. Batch norm, ReLU, pooling and flattening pass on those that
/// they read; an addition makes its operands' channels the same, index by index, and a zero-padded shortcut does so
/// with an offset. The channels of the images and of the network's output are frozen.
public struct ChannelGroups: Hashable, Sendable {
  /// One channel of a layer: a filter, a batch-norm entry or an input plane (a feature of a linear layer).
  public struct Channel: Hashable, Sendable {
    /// The layer's position in the architecture.
    public var node: Int
    public var index: Int
  }

  /// One set of coupled channels: they go together or not at all.
  public struct Coupled: Hashable, Sendable {
    /// The filters, and rows of linear layers, that write the channel.
    public var producers: [Channel] = []
    /// The batch-norm entries that it passes.
    public var norms: [Channel] = []
    /// The input planes that read it. A depthwise filter reads what it writes, so it is a producer alone.
    public var consumers: [Channel] = []
    /// Whether it belongs to the images or to the network's output.
    public var isFrozen = false

    /// Everything that goes with the channel.
    public var members: [Channel] { producers + norms + consumers }
  }

  /// Values of one width in step: a private run of layers inside a block, or the stream that its blocks add to.
  public struct Group: Hashable, Sendable {
    /// The positions of the nodes whose outputs they are.
    public var nodes: [Int]
    /// Those of them that begin channels. Several: their outputs are added to each other.
    public var sources: [Int]
    /// The group's coupled channels, as positions in ``ChannelGroups/coupled``: those of one tier lie in the same
    /// layers. There are several tiers where a shortcut pads with zeros.
    public var tiers: [[Int]]

    /// Whether one layer alone writes the channels, so that its own mask decides about them.
    public var isInner: Bool { sources.count == 1 }
    public var members: [Int] { tiers.flatMap { $0 }.sorted() }
  }

  public let architecture: Architecture
  /// Every set of coupled channels, in the order in which the graph begins them.
  public let coupled: [Coupled]
  /// In the order in which the graph begins them.
  public let groups: [Group]
  /// For each node and each channel of its output, the set that it belongs to, as a position in ``coupled``.
  public let positions: [[Int]]

  /// - Complexity: Nearly linear in the number of channels of all nodes.
  public init(_ architecture: Architecture) {
    self.architecture = architecture
    let nodes = architecture.nodes
    let widths = architecture.shapes.map { $0[0] }
    let offsets = widths.reduce(into: [0]) { offsets, width in offsets.append((offsets.last ?? 0) + width) }
    var channels = Partition(count: offsets[widths.count])
    var values = Partition(count: widths.count)

    for (position, node) in nodes.enumerated() {
      func couple(_ mine: Int, with theirs: Int, of other: Int) {
        channels.unite(offsets[position] + mine, offsets[other] + theirs)
      }
      switch node.layer {
      case .input, .linear, .convTranspose2d, .imported: continue
      case .conv2d(let conv) where conv.isDepthwise:
        for filter in 0..<conv.outputs {
          couple(filter, with: filter / (conv.outputs / conv.groups), of: node.inputs[0])
        }
      case .conv2d(let conv):
        // Every group of filters must lose as many as the others: the same ones.
        let (outputs, inputs) = (conv.outputs / conv.groups, conv.inputs / conv.groups)
        for filter in outputs..<conv.outputs { couple(filter, with: filter % outputs, of: position) }
        let first = offsets[node.inputs[0]]
        for plane in inputs..<conv.inputs { channels.unite(first + plane, first + plane % inputs) }
        continue
      case .flatten:
        let pixels = widths[position] / widths[node.inputs[0]]
        for feature in 0..<widths[position] { couple(feature, with: feature / pixels, of: node.inputs[0]) }
      case .zeroPadShortcut(_, let places, _):
        for (channel, place) in places.enumerated() { couple(place, with: channel, of: node.inputs[0]) }
      case .batchNorm, .relu, .sigmoid, .tanh, .maxPool, .averagePool, .adaptiveAveragePool, .add, .subtract:
        for other in node.inputs {
          for channel in 0..<widths[position] { couple(channel, with: channel, of: other) }
        }
      }
      for other in node.inputs { values.unite(position, other) }
    }

    let classes = channels.classes()
    positions = widths.indices.map { Array(classes[offsets[$0]..<offsets[$0 + 1]]) }
    coupled = ChannelGroups.coupled(nodes, positions, count: (classes.max() ?? -1) + 1)
    groups = ChannelGroups.groups(nodes, values.classes(), positions, coupled)
  }

  private static func coupled(
    _ nodes: [Architecture.Node], _ positions: [[Int]], count: Int
  ) -> [Coupled] {
    var coupled = [Coupled](repeating: Coupled(), count: count)
    func each(_ channels: [Int], _ body: (inout Coupled, Int) -> Void) {
      for (index, position) in channels.enumerated() { body(&coupled[position], index) }
    }
    for (node, declared) in nodes.enumerated() {
      switch declared.layer {
      case .input: each(positions[node]) { set, _ in set.isFrozen = true }
      case .batchNorm: each(positions[node]) { $0.norms.append(Channel(node: node, index: $1)) }
      case .convTranspose2d, .imported:  // not cut
        each(positions[node] + positions[declared.inputs[0]]) { set, _ in set.isFrozen = true }
      case .conv2d, .linear:
        each(positions[node]) { $0.producers.append(Channel(node: node, index: $1)) }
        if declared.layer.readsPlanes {
          each(positions[declared.inputs[0]]) { $0.consumers.append(Channel(node: node, index: $1)) }
        }
      default: break
      }
    }
    each(positions.last ?? []) { set, _ in set.isFrozen = true }
    return coupled
  }

  private static func groups(
    _ nodes: [Architecture.Node], _ classes: [Int], _ positions: [[Int]], _ coupled: [Coupled]
  ) -> [Group] {
    Dictionary(grouping: nodes.indices, by: { classes[$0] }).sorted { $0.key < $1.key }.map { _, members in
      let sets = Set(members.flatMap { positions[$0] }).sorted()
      let tiers = Dictionary(grouping: sets) { position in
        let set = coupled[position]
        return [set.producers, set.norms, set.consumers].map { $0.map(\.node) } + [[set.isFrozen ? 1 : 0]]
      }
      return Group(
        nodes: members, sources: members.filter { nodes[$0].inputs.isEmpty || nodes[$0].layer.readsPlanes },
        tiers: tiers.values.sorted { $0[0] < $1[0] })
    }
  }
}

extension ChannelGroups {
  /// What a layer's weight, `[outputs, inputs, ...]`, has along one of its first two dimensions.
  public enum Side: String, CaseIterable, Codable, Sendable {
    /// Filters: what filter-wise pruning removes.
    case filters
    /// Input planes: what channel-wise pruning removes.
    case inputs
  }

  /// For each slice of a layer's weight along `side`, the set that it belongs to; nil where the layer has none, as
  /// a depthwise convolution has no planes. A grouped convolution's weight has the planes of one group, which stand
  /// for all.
  func sets(ofWeightAt node: Int, along side: Side) -> [Int]? {
    let declared = architecture.nodes[node]
    switch (side, declared.layer) {
    case (.filters, _): return positions[node]
    case (.inputs, .conv2d(let conv)) where conv.isDepthwise: return nil
    case (.inputs, .conv2d(let conv)): return Array(positions[declared.inputs[0]].prefix(conv.inputs / conv.groups))
    case (.inputs, _): return positions[declared.inputs[0]]
    }
  }

  /// Whether the layer is a convolution.
  func isConvolution(_ node: Int) -> Bool {
    if case .conv2d = architecture.nodes[node].layer { true } else { false }
  }
}

extension Conv2d {
  /// Whether every filter reads one plane of its own.
  var isDepthwise: Bool { groups > 1 && groups == inputs }
}

extension Layer {
  /// Whether the weight has a dimension of input planes, so that the output's channels are new ones.
  fileprivate var readsPlanes: Bool {
    switch self {
    case .linear: true
    case .conv2d(let conv): !conv.isDepthwise
    default: false
    }
  }
}

/// Numbers 0 ..< n in disjoint classes.
private struct Partition {
  private var parents: [Int]

  init(count: Int) { parents = Array(0..<count) }

  /// The smallest number of its class.
  private mutating func root(of number: Int) -> Int {
    var number = number
    while parents[number] != number {
      parents[number] = parents[parents[number]]
      number = parents[number]
    }
    return number
  }

  mutating func unite(_ a: Int, _ b: Int) {
    let (a, b) = (root(of: a), root(of: b))
    parents[max(a, b)] = min(a, b)
  }

  /// The class of each number; classes are counted in the order of their smallest numbers.
  mutating func classes() -> [Int] {
    var classes: [Int] = []
    var count = 0
    for number in parents.indices {
      let root = root(of: number)
      if root == number {
        classes.append(count)
        count += 1
      } else {
        classes.append(classes[root])
      }
    }
    return classes
  }
}
