import QuenchTorch

/// What each channel of a network with zeroed weights still carries: forward, whether its value is a constant;
/// backward, whether anything that stays reads it.
///
/// A channel that is zero wherever it is read, or that nothing reads, can be cut without a trace. That holds
/// whichever way the weights were masked: filters (where batch norm adds no constant), input planes, or single
/// weights.
struct ChannelFlow {
  private let groups: ChannelGroups
  /// For each node that multiplies by a weight `[outputs, inputs]`, float32: 1 where the filter reads the plane.
  private let reads: [Int: Tensor]
  private let statics: [Int: Tensor]?

  /// The flow through `network` as its weights, biases and batch norms are.
  /// - Parameters:
  ///   - groups: Those of the network's architecture.
  ///   - network: In evaluation mode.
  init(_ groups: ChannelGroups, _ network: Network) {
    self.groups = groups
    let tensors = network.tensorsByName
    reads = Self.reads(groups) { tensors[$0] }
    statics = Self.statics(groups, network, tensors)
  }

  /// The flow that `mask` leaves in `network` whatever its weights, biases and batch norms are.
  init(_ groups: ChannelGroups, mask: Mask) {
    self.groups = groups
    let masks = Dictionary(uniqueKeysWithValues: zip(mask.layout.names, mask.layers))
    reads = Self.reads(groups) { masks[$0] }
    statics = nil
  }

  /// - Parameter weight: The tensor held by that name; nil: all of it is there.
  private static func reads(_ groups: ChannelGroups, _ weight: (String) -> Tensor?) -> [Int: Tensor] {
    groups.mixings.reduce(into: [:]) { reads, mixing in
      let held = groups.graph.held[mixing.held]
      reads[mixing.node] = mixing.reads(weight(held.name) ?? .ones([]).expanded(held.shape))
    }
  }

  /// Values that no image has a part in: what is held, but for the weights of products, and what is computed of it.
  private static func statics(
    _ groups: ChannelGroups, _ network: Network, _ tensors: [String: Tensor]
  ) -> [Int: Tensor] {
    let graph = groups.graph
    let weights = Set(groups.mixings.map { graph.held[$0.held].value.index })
    var statics: [Int: Tensor] = [:]
    var isStatic = [Bool](repeating: false, count: graph.valueNames.count)
    for held in graph.held {
      isStatic[held.value.index] = true
      guard !weights.contains(held.value.index), let tensor = tensors[held.name], tensor.dtype.isFloatingPoint
      else {
        continue
      }
      statics[held.value.index] = tensor.detached().to(.cpu, dtype: .float64)
    }
    var computed = Set<Int>()
    for (position, node) in graph.nodes.enumerated() where node.reads.allSatisfy({ isStatic[$0.index] }) {
      for value in node.defines where groups.shapes[value.index] != nil {
        isStatic[value.index] = true
        computed.insert(position)
      }
    }
    guard !computed.isEmpty else { return statics }
    let read = groups.mixings.compactMap { $0.bias?.index } + groups.passages.flatMap { $0.map(\.from.value.index) }
    let wanted = Set(read.filter { isStatic[$0] })
    try? network.observe { node, value, tensor in
      guard computed.contains(node), wanted.contains(value.index), tensor.dtype.isFloatingPoint else { return }
      statics[value.index] = tensor.detached().to(.cpu, dtype: .float64)
    }
    return statics
  }

  /// The channels that are the same for every image.
  /// - Parameter silencing: Take biases and batch norms behind a channel that is constant for zero, as
  ///   ``SilentChannels`` makes them.
  func constants(silencing: Bool = false) -> ConstantFlow {
    ConstantFlow(groups, reads: reads, statics: statics, silencing: silencing)
  }

  /// The candidates that can be cut without changing the network's output, followed up to the end: what only they
  /// read, and what reads only them, goes too.
  /// - Parameters:
  ///   - candidates: For each set of coupled channels, whether it may be cut at all.
  ///   - silencing: As in ``constants(silencing:)``.
  /// - Returns: Positions of sets of coupled channels.
  func removable(among candidates: [Bool], silencing: Bool = false) -> Set<Int> {
    let constants = constants(silencing: silencing)
    var isZero: [ChannelGroups.Place: [Bool]] = [:]
    let mixings = Dictionary(groups.mixings.map { ($0.node, $0) }) { first, _ in first }
    for place in groups.mixings.map(\.input) + groups.coupled.flatMap({ $0.contractions.map(\.place) })
    where isZero[place] == nil {
      isZero[place] = constants[place]?.map { $0 == 0 } ?? []
    }
    var removed = Set<Int>()
    var found: [Int] = []
    repeat {
      let readers = mixings.mapValues { mixing in
        readerCounts(
          of: mixing.node, where: groups.sets(at: mixing.output).map { !removed.contains($0) })
      }
      found = groups.coupled.indices.filter { position in
        let set = groups.coupled[position]
        return candidates[position] && !removed.contains(position)
          && set.consumers.allSatisfy { plane in
            readers[plane.node]?[plane.index] == 0
              || mixings[plane.node].flatMap { isZero[$0.input] }?[plane.index] == true
          }
          && set.contractions.allSatisfy { isZero[$0.place]?[$0.index] == true }
      }
      removed.formUnion(found)
    } while !found.isEmpty
    return removed
  }

  /// How many of the filters in `isThere` read each plane of a layer.
  private func readerCounts(of node: Int, where isThere: [Bool]) -> [Float] {
    reads[node]?.transposed().matmul(Tensor(isThere.map { $0 ? Float(1) : 0 })).array() ?? []
  }

  /// For each filter, or each input plane, of a layer, whether any of its weights is not zero.
  func isLive(at node: Int, along side: ChannelGroups.Side) -> [Bool] {
    guard let reads = reads[node] else { return [] }
    return reads.sum([side == .filters ? 1 : 0]).array(Float.self).map { $0 > 0 }
  }
}

extension ChannelGroups {
  /// The sets along a dimension of a value, -1 where no channels lie.
  func sets(at place: Place) -> [Int] {
    positions[place.value.index][place.dimension]
      ?? [Int](repeating: -1, count: shapes[place.value.index]?[place.dimension] ?? 0)
  }
}

extension ChannelGroups.Mixing {
  /// A held tensor as the product takes it, `[outputs, inputs / groups, ...]`.
  func laidOut(_ held: Tensor) -> Tensor {
    let weight = elements.map { held.reshaped([-1]).selecting(Tensor($0).to(held.device)).reshaped(shape) } ?? held
    return weight.permuted([rows, planes] + shape.indices.filter { $0 != rows && $0 != planes })
  }

  /// 1 where a filter reads a plane, `[outputs, inputs]`, float32; a grouped convolution's as that of the plain one.
  func reads(_ held: Tensor) -> Tensor {
    let isRead = (laidOut(held.detached().to(.cpu)) .!= 0).to(.float32)
    let reads = isRead.rank > 2 ? isRead.max(Array(2..<isRead.rank)) : isRead
    return groups > 1 ? spread(reads) : reads
  }

  /// A grouped convolution's `[outputs, inputs / groups]` as that of the plain one, `[outputs, inputs]`.
  private func spread(_ reads: Tensor) -> Tensor {
    func group(_ count: Int) -> Tensor { Tensor((0..<count).map { $0 * groups / count }) }
    let isOwn = group(reads.size(0)).unsqueezed(1) .== group(reads.size(1) * groups).unsqueezed(0)
    return reads.repeated([1, groups]) * isOwn.to(.float32)
  }
}

extension Network {
  /// Parameters and buffers by name.
  var tensorsByName: [String: Tensor] {
    Dictionary((parameters + buffers).map { ($0.name, $0.tensor) }) { first, _ in first }
  }
}
