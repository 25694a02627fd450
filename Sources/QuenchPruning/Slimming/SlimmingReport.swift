import QuenchTorch
import QuenchVision

/// What ``Slimming`` was asked for and what it reached.
///
/// A channel ratio is not a parameter ratio: a convolution loses filters and input planes, so that with r of all
/// channels gone about 1 - (1 - r)² of the parameters are.
public struct SlimmingReport: Hashable, Codable, Sendable {
  public struct Size: Hashable, Codable, Sendable {
    public var parameters: Int
    /// Weights of convolutions and linear layers.
    public var weights: Int
    /// For one image.
    public var multiplyAdds: Int
  }

  /// The outputs of a convolution or linear layer.
  public struct Width: Hashable, Codable, Sendable {
    public var layer: String
    public var before: Int
    public var after: Int
  }

  public var before: Size
  public var after: Size
  public var widths: [Width]
  /// What the mask prunes more of; the channels below are those of all convolutions along this side, and of hidden
  /// linear layers.
  public var side: ChannelGroups.Side
  public var channels: Int
  /// Channels whose weights are all masked: what was asked for.
  public var maskedChannels: Int
  public var removedChannels: Int
  /// Weights that the mask keeps.
  public var keptWeights: Int
  /// Multiply-adds with these, for one image.
  public var keptMultiplyAdds: Int
  /// Sets of coupled channels that stay only because their batch norms or biases add a constant.
  public var silenceable: Int
  /// What cannot be cut, by the operator that is the reason.
  public var frozen: [ChannelGroups.Frozen]
  /// To the masked network that the slimmed one equals.
  public var difference: OutputDifference
  /// To the network under the mask as it was given, before masks were made to agree or filters silenced.
  public var change: OutputDifference

  init(
    _ mask: Mask, _ counts: ChannelCounts, from old: Network, to new: Network, removing removed: Set<Int>,
    silenceable: Int, difference: OutputDifference, change: OutputDifference
  ) {
    let groups = counts.groups
    before = Size(old)
    after = Size(new)
    widths = groups.mixings.map { mixing in
      let sets = groups.sets(at: mixing.output)
      return Width(
        layer: groups.layerName(of: mixing), before: sets.count, after: sets.count { !removed.contains($0) })
    }
    let side = counts.prunedSide
    self.side = side
    channels = counts.total(along: side)
    maskedChannels = counts.masked(along: side)
    removedChannels = counts.removed(removed, along: side)
    keptWeights = mask.keptCount
    keptMultiplyAdds = old.architecture.multiplyAdds(under: mask)
    frozen = groups.frozen
    self.silenceable = silenceable
    self.difference = difference
    self.change = change
  }

  /// The fraction of channels that the mask keeps.
  public var requestedChannelRatio: Double { 1 - Double(maskedChannels) / Double(max(channels, 1)) }
  /// The fraction of channels that are left.
  public var achievedChannelRatio: Double { 1 - Double(removedChannels) / Double(max(channels, 1)) }
  /// The fraction of prunable weights that the mask keeps.
  public var requestedWeightRatio: Double { Double(keptWeights) / Double(max(before.weights, 1)) }
  /// The fraction of prunable weights that are left.
  public var achievedWeightRatio: Double { Double(after.weights) / Double(max(before.weights, 1)) }
  /// The fraction of multiply-adds that the mask keeps.
  public var requestedMultiplyAddRatio: Double { Double(keptMultiplyAdds) / Double(max(before.multiplyAdds, 1)) }
  /// The fraction of multiply-adds that are left.
  public var achievedMultiplyAddRatio: Double { Double(after.multiplyAdds) / Double(max(before.multiplyAdds, 1)) }
}

/// How many whole filters and input planes a masked network's convolutions and hidden linear layers have and have lost.
struct ChannelCounts {
  /// For each of these, by side, whether each channel has a weight that is not zero.
  private let live: [ChannelGroups.Side: [Int: [Bool]]]
  let groups: ChannelGroups

  init(_ groups: ChannelGroups, _ masked: Network) {
    let flow = ChannelFlow(groups, masked)
    self.groups = groups
    let convolutions = groups.convolutions
    live = ChannelGroups.Side.allCases.reduce(into: [:]) { live, side in
      live[side] = groups.mixings.filter { Self.counts($0, side, groups, convolutions) }
        .reduce(into: [:]) { $0[$1.node] = flow.isLive(at: $1.node, along: side) }
    }
  }

  /// Convolutions, and of linear layers those along whose side lie hidden channels that no convolution writes.
  private static func counts(
    _ mixing: ChannelGroups.Mixing, _ side: ChannelGroups.Side, _ groups: ChannelGroups,
    _ convolutions: Set<Int>
  ) -> Bool {
    guard !mixing.isConvolution else { return true }
    let sets = groups.sets(at: side == .filters ? mixing.output : mixing.input)
    return sets.contains { $0 >= 0 && !groups.coupled[$0].isFrozen }
      && sets.allSatisfy { set in
        set < 0 || !groups.coupled[set].producers.contains { convolutions.contains($0.node) }
      }
  }

  /// How many of the channels lie in sets that go.
  func removed(_ removed: Set<Int>, along side: ChannelGroups.Side) -> Int {
    groups.mixings.filter { live[side]?[$0.node] != nil }.reduce(0) { sum, mixing in
      sum + groups.sets(at: side == .filters ? mixing.output : mixing.input).count { removed.contains($0) }
    }
  }

  func total(along side: ChannelGroups.Side) -> Int { all(side).count }
  func masked(along side: ChannelGroups.Side) -> Int { all(side).count { !$0 } }

  /// The side that has lost the larger fraction.
  var prunedSide: ChannelGroups.Side {
    func fraction(_ side: ChannelGroups.Side) -> Double {
      Double(masked(along: side)) / Double(max(total(along: side), 1))
    }
    return fraction(.inputs) > fraction(.filters) ? .inputs : .filters
  }

  /// How many of a group's channels its convolutions' masks keep, counted over all of these, along the side that
  /// keeps the smaller fraction.
  func requested(of group: ChannelGroups.Group) -> (side: ChannelGroups.Side, kept: Int, total: Int) {
    func count(
      _ members: KeyPath<ChannelGroups.Coupled, [ChannelGroups.Channel]>, _ side: ChannelGroups.Side
    ) -> (side: ChannelGroups.Side, kept: Int, total: Int) {
      let known = group.members.flatMap { groups.coupled[$0][keyPath: members] }
        .compactMap { live[side]?[$0.node]?[$0.index] }
      return known.isEmpty ? (side, 1, 1) : (side, known.count { $0 }, known.count)
    }
    let (filters, inputs) = (count(\.producers, .filters), count(\.consumers, .inputs))
    return inputs.kept * filters.total < filters.kept * inputs.total ? inputs : filters
  }

  private func all(_ side: ChannelGroups.Side) -> [Bool] { live[side]?.values.flatMap { $0 } ?? [] }
}

extension SlimmingReport.Size {
  fileprivate init(_ network: Network) {
    parameters = network.graph.parameterCount
    weights = network.prunable.reduce(0) { $0 + network.parameters[$1].tensor.count }
    multiplyAdds = network.architecture.graph.multiplyAdds()
  }
}

extension ChannelGroups {
  /// The module that a weight belongs to, `layer1.0.conv1`, or the weight where it belongs to none.
  func layerName(of mixing: Mixing) -> String {
    let name = graph.held[mixing.held].name
    return name.hasSuffix(".weight") ? String(name.dropLast(7)) : name
  }
}
