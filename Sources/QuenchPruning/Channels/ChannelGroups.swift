import QuenchSupport
import QuenchTorch

/// Which channels of a network must stay or go together, read from its graph alone (DepGraph, Fang et al. 2023).
///
/// A convolution, linear layer or product with a weight begins new channels. Normalizations, activations and pooling pass
/// on those that they read; an addition makes its operands' channels the same, index by index, and what moves elements
/// moves channels with them. Where features are split into heads, a head is one channel. The channels of the images and
/// of the network's output are frozen, and so are those that an operator mixes which a channel cannot be cut out of: a
/// layer norm over them, or an operator that no rule is known of.
public struct ChannelGroups: Sendable {
  /// One channel of a layer: a filter, a batch-norm entry or an input plane (a feature of a linear layer).
  public struct Channel: Hashable, Sendable {
    /// The layer's position among the graph's nodes.
    public var node: Int
    public var index: Int
  }

  /// What keeps a channel from being cut.
  public enum Obstacle: Hashable, Sendable {
    case images
    /// The network's output.
    case answers
    /// An operator, by its position among the graph's nodes.
    case node(Int)
  }

  /// One set of coupled channels: they go together or not at all.
  public struct Coupled: Hashable, Sendable {
    /// The filters, and rows of linear layers, that write the channel.
    public var producers: [Channel] = []
    /// The batch-norm entries that it passes.
    public var norms: [Channel] = []
    /// The input planes that read it. A depthwise filter reads what it writes, so it is a producer alone.
    public var consumers: [Channel] = []
    /// Where a node sums over the channel without weights, as attention does over the features of a head.
    var contractions: [Position] = []
    /// What it must stay for; nil: it may be cut.
    public var obstacle: Obstacle?

    public var isFrozen: Bool { obstacle != nil }
    /// Everything that goes with the channel.
    public var members: [Channel] { producers + norms + consumers }
  }

  /// Channels that one layer or several writes together: a private run of layers inside a block, or the stream that its
  /// blocks add to.
  public struct Group: Hashable, Sendable {
    /// The positions of the nodes whose results hold them.
    public var nodes: [Int]
    /// The nodes that begin them. Several: their outputs are added to each other.
    public var sources: [Int]
    /// The group's coupled channels, as positions in ``ChannelGroups/coupled``: those of one tier lie in the same
    /// layers. There are several tiers where a shortcut pads with zeros.
    public var tiers: [[Int]]

    /// Whether one layer alone writes the channels, so that its own mask decides about them.
    public var isInner: Bool { sources.count == 1 }
    public var members: [Int] { tiers.flatMap { $0 }.sorted() }
  }

  /// A dimension of a value.
  struct Place: Hashable, Sendable {
    var value: OperatorGraph.Value
    var dimension: Int
  }

  /// A slice of a value.
  struct Position: Hashable, Sendable {
    var place: Place
    var index: Int
    var node: Int
  }

  /// How channels pass a node.
  struct Passage: Hashable, Sendable {
    var from: Place
    var to: Place
    /// For each slice of the result those of the operand that are in it; nil: the same one.
    var sources: [[Int]]?
  }

  /// A product with a weight: what begins new channels.
  struct Mixing: Hashable, Sendable {
    var node: Int
    /// The held tensor, by its position among these.
    var held: Int
    /// The held elements as the product takes them, by their positions in the held tensor; nil: as they are held.
    var elements: [Int]?
    /// The weight's shape as the product takes it.
    var shape: [Int]
    /// The weight's dimension of outputs, and of inputs.
    var rows: Int
    var planes: Int
    var groups = 1
    var isConvolution = false
    var bias: OperatorGraph.Value?
    var input: Place
    var output: Place

    /// Whether every filter reads one plane of its own.
    var isDepthwise: Bool { groups > 1 && shape[planes] == 1 }
  }

  public let architecture: Architecture
  public let graph: OperatorGraph
  /// Every set of coupled channels, in the order in which the graph begins them.
  public let coupled: [Coupled]
  /// In the order in which the graph begins them; the first is that of the images.
  public let groups: [Group]
  /// For each value, by dimension, the set that each slice belongs to, as a position in ``coupled``; -1 for zeros that
  /// nobody reads.
  let positions: [[Int: [Int]]]
  /// For each held tensor, by dimension, the set that each slice belongs to.
  let axes: [[Int: [Int]]]
  let shapes: [[Int]?]
  /// How channels pass each node.
  let passages: [[Passage]]
  /// In the order of the nodes.
  let mixings: [Mixing]
  /// Nodes that read channels by an operator whose rule is not known.
  public let unknownNodes: [Int]

  /// - Throws: `InputError` if the graph can't be computed.
  public init(_ architecture: Architecture) throws(InputError) {
    self.architecture = architecture
    let tracer = try ChannelTracer(architecture)
    let graph = tracer.graph
    self.graph = graph
    let classes = tracer.allClasses()
    let shapes = tracer.trace.shapes
    self.shapes = shapes
    axes = tracer.axes.map { $0.mapValues { $0.map { classes[$0] } } }
    let positions = graph.valueNames.indices.map { index -> [Int: [Int]] in
      var found: [Int: [Int]] = [:]
      for dimension in (shapes[index] ?? []).indices {
        found[dimension] = tracer.known(.init(index), along: dimension)?.map { $0 < 0 ? -1 : classes[$0] }
      }
      return found
    }
    self.positions = positions
    passages = tracer.passages
    mixings = tracer.mixings
    unknownNodes = tracer.unknown
    var coupled = [Coupled](repeating: Coupled(), count: (classes.max() ?? -1) + 1)
    func each(_ place: Place, _ body: (inout Coupled, Int) -> Void) {
      for (index, set) in (positions[place.value.index][place.dimension] ?? []).enumerated() where set >= 0 {
        body(&coupled[set], index)
      }
    }
    for mixing in mixings {
      each(mixing.output) { $0.producers.append(Channel(node: mixing.node, index: $1)) }
      guard !mixing.isDepthwise else { continue }
      each(mixing.input) { $0.consumers.append(Channel(node: mixing.node, index: $1)) }
    }
    for (place, node) in tracer.norms { each(place) { $0.norms.append(Channel(node: node, index: $1)) } }
    for (place, node) in tracer.contractions {
      each(place) { $0.contractions.append(Position(place: place, index: $1, node: node)) }
    }
    for (channel, obstacle) in tracer.obstacles.sorted(by: { $0.key < $1.key })
    where coupled[classes[channel]].obstacle == nil {
      coupled[classes[channel]].obstacle = obstacle
    }
    self.coupled = coupled
    groups = Self.groups(graph, coupled, positions, mixings)
  }

  private static func groups(
    _ graph: OperatorGraph, _ coupled: [Coupled], _ positions: [[Int: [Int]]], _ mixings: [Mixing]
  ) -> [Group] {
    var classes = Partition()
    _ = classes.append(coupled.count)
    var isWritten = [Bool](repeating: false, count: coupled.count)
    let images = positions[graph.input.value.index].values.flatMap { $0 }
    for sets in [images] + mixings.map({ positions[$0.output.value.index][$0.output.dimension] ?? [] }) {
      for set in sets {
        classes.unite(sets[0], set)
        isWritten[set] = true
      }
    }
    let ofSet = classes.classes()
    var nodes: [Int: [Int]] = [:]
    for (position, node) in graph.nodes.enumerated() {
      let sets = node.defines.flatMap { positions[$0.index].values.flatMap { $0 } }
      for group in Set(sets.filter { $0 >= 0 }.map { ofSet[$0] }) { nodes[group, default: []].append(position) }
    }
    let sources = mixings.filter { !$0.isDepthwise }.reduce(into: [Int: [Int]]()) { sources, mixing in
      guard let set = positions[mixing.output.value.index][mixing.output.dimension]?.first else { return }
      sources[ofSet[set], default: []].append(mixing.node)
    }
    return Dictionary(grouping: coupled.indices.filter { isWritten[$0] }, by: { ofSet[$0] })
      .sorted { $0.key < $1.key }.map { group, sets in
        let tiers = Dictionary(grouping: sets) { position in
          let set = coupled[position]
          return [set.producers, set.norms, set.consumers].map { $0.map(\.node) }
            + [set.contractions.map(\.node), [set.isFrozen ? 1 : 0]]
        }
        return Group(
          nodes: nodes[group] ?? [], sources: sources[group] ?? [], tiers: tiers.values.sorted { $0[0] < $1[0] })
      }
  }
}

extension ChannelTracer {
  /// The class of each channel.
  fileprivate func allClasses() -> [Int] {
    var classes = classes
    return classes.classes()
  }
}

// MARK: - Weights

extension ChannelGroups {
  /// What a layer's weight has along one of its dimensions.
  public enum Side: String, CaseIterable, Codable, Sendable {
    /// Filters: what filter-wise pruning removes.
    case filters
    /// Input planes: what channel-wise pruning removes.
    case inputs
  }

  /// The layer that multiplies by the held tensor of that name; nil where none does, or in a way that channels are not
  /// known of.
  func mixing(of name: String) -> Mixing? { mixings.first { graph.held[$0.held].name == name } }

  /// The position among the graph's nodes of the layer that multiplies by a weight; nil where its channels are not known.
  public func node(ofWeight name: String) -> Int? { mixing(of: name)?.node }

  /// Along which dimension of the tensor as it is held a weight has its filters, or planes, with the set that each slice
  /// belongs to; nil where it has none, as a depthwise convolution has no planes. A grouped convolution's weight has the
  /// planes of one group, which stand for all.
  public func sets(ofWeight name: String, along side: Side) -> (dimension: Int, sets: [Int])? {
    guard let mixing = mixing(of: name), side == .filters || !mixing.isDepthwise else { return nil }
    let place = side == .filters ? mixing.rows : mixing.planes
    let elements = mixing.elements.map { Tensor($0).reshaped(mixing.shape) }
    guard let axis = HeldAxis(elements, graph.held[mixing.held].shape, along: place),
      let sets = axes[mixing.held][axis.dimension]
    else { return nil }
    return (axis.dimension, sets)
  }

  /// The set that each slice of a held tensor along a dimension belongs to; nil where it has no channels there.
  public func sets(ofTensor name: String, along dimension: Int) -> [Int]? {
    graph.held.firstIndex { $0.name == name }.flatMap { axes[$0][dimension] }
  }

  /// The nodes that are convolutions, transposed ones included.
  var convolutions: Set<Int> { Set(mixings.filter(\.isConvolution).map(\.node)) }

  /// Names of the weights of layers that read the images' channels.
  var weightsOnImages: Set<String> {
    Set(
      mixings.filter { mixing in
        sets(at: mixing.input).contains { $0 >= 0 && coupled[$0].obstacle == .images }
      }.map { graph.held[$0.held].name })
  }
}

// MARK: - Frozen channels

extension ChannelGroups {
  /// Channels that an operator keeps from being cut.
  public struct Frozen: Hashable, Codable, Sendable {
    /// As in its schema.
    public var operatorName: String
    /// What the graph calls the node.
    public var node: String
    /// Names of the weights whose filters cannot be cut.
    public var parameters: [String]
    /// How many filters these are.
    public var channels: Int
  }

  /// What cannot be cut beside the network's output, by the operator that is the reason, in the order of the nodes.
  public var frozen: [Frozen] {
    var found: [Int: Frozen] = [:]
    for mixing in mixings {
      let sets = positions[mixing.output.value.index][mixing.output.dimension] ?? []
      for (reason, count) in Dictionary(grouping: sets, by: { coupled[$0].obstacle }).mapValues(\.count) {
        guard case .node(let node)? = reason else { continue }
        let declared = graph.nodes[node]
        var entry =
          found[node] ?? Frozen(operatorName: declared.target, node: declared.name, parameters: [], channels: 0)
        entry.parameters.append(graph.held[mixing.held].name)
        entry.channels += count
        found[node] = entry
      }
    }
    return found.sorted { $0.key < $1.key }.map(\.value)
  }
}
