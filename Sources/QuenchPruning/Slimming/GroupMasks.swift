import QuenchSupport
import QuenchTorch
import QuenchVision

/// Masks that prune whole groups: what one member of a set of coupled channels loses, all lose, so that
/// ``Slimming`` cuts everything that was pruned. For methods that prune filters or channels from the start.
///
/// A set's score is the sum of its members' squared scores, a member's score being the L2 norm over its weights.
/// Every tier of a group keeps the same fraction, so every layer does. Hidden units of linear layers and heads of
/// attention are channels like others; the network's answers stay.
public struct GroupMasks: Sendable {
  public let groups: ChannelGroups
  private let layers: [WeightLayout.Layer]
  /// What is ranked and masked: the filters that write a channel, or the planes that read it.
  public let side: ChannelGroups.Side
  /// The sets that are ranked against each other, as positions in the groups' ``ChannelGroups/coupled``.
  public let tiers: [[Int]]

  /// - Parameters:
  ///   - network: The network to prune.
  ///   - side: Filters for filter-wise, inputs for channel-wise pruning.
  ///   - innerOnly: Leave streams that blocks add to as they are.
  ///   - layers: The weights that masks are of, and that alone may be pruned; nil: all.
  /// - Throws: `InputError` if the network can't be computed.
  public init(
    _ network: Network, side: ChannelGroups.Side = .filters, innerOnly: Bool = false,
    layers: [WeightLayout.Layer]? = nil
  ) throws(InputError) {
    let groups = try ChannelGroups(network.architecture)
    let layers = layers ?? WeightLayout(network).layers
    let nodes = Set(layers.compactMap { groups.node(ofWeight: $0.name) })
    self.groups = groups
    self.side = side
    self.layers = layers
    tiers = groups.groups.filter { group in
      !group.sources.isEmpty && group.sources.allSatisfy(nodes.contains) && (group.isInner || !innerOnly)
    }.flatMap(\.tiers).filter { !groups.coupled[$0[0]].isFrozen }
  }

  /// The weights that masks are of.
  public var layout: WeightLayout { WeightLayout(layers: layers) }

  /// Whether any filter of the layer that multiplies by a weight can be pruned.
  func prunes(_ weight: String) -> Bool {
    guard let node = groups.node(ofWeight: weight) else { return false }
    return tiers.contains { tier in groups.coupled[tier[0]].producers.contains { $0.node == node } }
  }

  /// The mask that keeps the best sets of every tier.
  /// - Parameters:
  ///   - scores: `[n]` in the layout's order; for magnitude pruning, the weights.
  ///   - ratio: The fraction of channels to keep, counted in each tier by ``KeepRatio/kept(of:)``.
  public func mask(scores: Tensor, keeping ratio: KeepRatio) -> Mask {
    let totals = totals(of: scores, along: side)
    let kept = totals.onesLike()
    for tier in tiers {
      let indices = Tensor(tier).to(scores.device)
      kept.put(Mask.topK(totals.selecting(indices), keeping: ratio.kept(of: tier.count)), at: [indices])
    }
    return Mask(layout: layout, values: values(keeping: kept, along: [side]))
  }

  /// The score of every set: Σ over its members of the member's squared score, `[sets]`.
  func totals(of scores: Tensor, along side: ChannelGroups.Side) -> Tensor {
    let totals = Tensor.zeros([groups.coupled.count], dtype: scores.dtype, device: scores.device)
    for (name, score) in zip(layers.map(\.name), layout.split(scores)) {
      guard let (dimension, sets) = groups.sets(ofWeight: name, along: side) else { continue }
      let others = (0..<score.rank).filter { $0 != dimension }
      totals.addSlices(score.square().sum(others), at: Tensor(sets).to(scores.device))
    }
    return totals
  }

  /// The weights' mask `[n]` for that of the sets `[sets]`.
  func values(keeping kept: Tensor, along sides: Set<ChannelGroups.Side>) -> Tensor {
    layout.joined(
      layers.map { layer in
        let shape = layer.shape
        return sides.reduce(Tensor.ones(shape, dtype: kept.dtype, device: kept.device)) { mask, side in
          guard let (dimension, sets) = groups.sets(ofWeight: layer.name, along: side) else { return mask }
          var size = [Int](repeating: 1, count: shape.count)
          size[dimension] = sets.count
          return mask * kept.selecting(Tensor(sets).to(kept.device)).reshaped(size)
        }
      })
  }

  /// The batch norms and biases of the channels whose filters a mask may prune, by their positions in `network`'s
  /// parameters, each with a factor for every entry: 0 where the filters are pruned, so that the channel is silent.
  /// - Parameter values: The mask, `[n]` in the layout's order.
  func silencing(_ values: Tensor, of network: Network) -> [(parameter: Int, factor: Tensor)] {
    let kept = Tensor.ones([groups.coupled.count], dtype: values.dtype, device: values.device)
    for (layer, mask) in zip(layers, layout.split(values)) {
      guard let (dimension, sets) = groups.sets(ofWeight: layer.name, along: .filters) else { continue }
      let filters = mask.max(mask.shape.indices.filter { $0 != dimension })
      kept.put(filters, at: [Tensor(sets).to(values.device)])
    }
    let pruned = Set(tiers.flatMap { $0 })
    return network.parameters.enumerated().compactMap { index, parameter in
      guard parameter.tensor.rank == 1, let sets = groups.sets(ofTensor: parameter.name, along: 0),
        sets.contains(where: pruned.contains)
      else { return nil }
      return (index, kept.selecting(Tensor(sets).to(values.device)))
    }
  }
}
