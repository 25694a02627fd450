import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Cuts a masked network's pruned channels out of it: fewer filters, batch-norm entries and input planes, and the
/// same output (dependency groups after DepGraph, Fang et al. 2023).
///
/// A channel is cut only if that leaves no trace: everything that reads it has its input plane masked, or reads
/// zero. Masked filters read as zero once their batch norm is silent: see ``SilentChannels``. The result is
/// compared with the masked network every time. At least one channel stays of every layer.
public struct Slimming: Hashable, InlineGroup, Sendable {
  /// What may be cut.
  public enum Policy: String, CaseIterable, Codable, Sendable {
    /// Channels inside blocks, which one layer writes, so that its own mask decides; streams stay as wide as they
    /// are.
    case innerOnly = "inner-only"
    /// In streams too, by one score for each set of coupled channels, as many as the layers' masks drop on average;
    /// what the members' masks do not agree on is masked first.
    case groupScore = "group-score"
    /// In streams too, but only what the masks of all members agree on; the rest stays masked.
    case intersection
    /// Nothing: the network with its mask applied.
    case none
  }

  public var policy: Policy
  /// Widths are left at multiples of this where the layer is wide enough: 8 suits most processors' kernels.
  public var roundTo = 1
  /// Layers that stay as they are, with what they read and write: names of nodes, or of the blocks they are in
  /// (`layer4`, `layer1.0.conv1`).
  public var keptLayers: [String] = []
  /// Zero the constants that masked filters leave in batch norms and biases first. That changes the output, unless
  /// they are zero already, and lets these filters be cut.
  public var silencesMaskedFilters = false
  /// The largest difference to the masked network's logits that is taken for rounding, relative to the largest
  /// logit.
  public var tolerance = 1e-4

  private enum CodingKeys: String, CodingKey {
    case policy, roundTo, tolerance
    case keptLayers = "keepLayer"
    case silencesMaskedFilters = "silence"
  }

  public init(policy: Policy = .innerOnly) { self.policy = policy }

  /// The network after cutting, with what was cut and the check that the output stayed.
  /// - Parameters:
  ///   - network: A trained network; it stays as it is.
  ///   - mask: What is pruned of it; layers that it does not cover are whole.
  ///   - scores: For ``Policy/groupScore``, `[n]` in the mask's layout; nil: the masked weights' magnitudes.
  /// - Throws: `InputError` if the mask is of another architecture, a layer to keep is unknown, nothing can be cut
  ///   (it says why and what to do), or the result does not answer as the masked network does.
  public func slim(_ network: Network, mask: Mask, scores: Tensor? = nil) throws(InputError) -> SlimmedNetwork {
    let own = Mask(layout: mask.layout, values: mask.values.to(network.device))
    guard let mask = own.extended(to: WeightLayout(network)) else {
      throw InputError("the mask is of another architecture", at: network.architecture.name)
    }
    guard roundTo >= 1 else {
      throw InputError("widths cannot be multiples of \(roundTo)", at: "roundTo", expected: "1 or more")
    }
    let groups = try ChannelGroups(network.architecture)
    let given = network.masked(by: mask)
    let masked = given.copy()
    let agreed = policy == .groupScore ? try regrouped(mask, of: masked, groups, scores) : mask
    agreed.apply(to: masked)
    if silencesMaskedFilters { try SilentChannels(agreed, of: masked).apply(to: masked) }

    let candidates = try candidates(in: groups, of: policy)
    let flow = ChannelFlow(groups, masked)
    let removable = flow.removable(among: candidates)
    let removed = rounded(removable, groups)
    let counts = ChannelCounts(groups, given)
    if policy != .none && removed.isEmpty { throw try nothingToCut(removable, flow, counts, groups) }
    let slimmed = try masked.removing(removed, of: groups)

    let difference = OutputDifference(of: slimmed, from: masked)
    guard difference.relative <= tolerance else {
      throw InputError(
        "the slimmed network does not answer as the masked one does", at: network.architecture.name,
        expected: "a difference of at most \(tolerance) of the largest logit", found: "\(difference.relative)",
        remedy: difference.largest.isFinite
          ? "report this as a defect" : "use weights of a run that did not diverge")
    }
    let silenceable = flow.removable(among: candidates, silencing: true).count - removable.count
    return SlimmedNetwork(
      network: slimmed, masked: masked, mask: agreed,
      report: SlimmingReport(
        mask, counts, from: masked, to: slimmed, removing: removed, silenceable: silenceable,
        difference: difference, change: OutputDifference(of: slimmed, from: given)))
  }

  /// For each set of coupled channels, whether `policy` and the layers to keep let it go.
  func candidates(in groups: ChannelGroups, of policy: Policy) throws(InputError) -> [Bool] {
    let names = groups.layerNames
    var isKept = [Bool](repeating: false, count: names.count)
    for layer in keptLayers {
      let matches = names.indices.filter { names[$0].contains { $0 == layer || $0.hasPrefix("\(layer).") } }
      guard !matches.isEmpty else {
        let nearest = names.compactMap(\.first).max {
          $0.commonPrefix(with: layer).count < $1.commonPrefix(with: layer).count
        }
        throw InputError(
          "no layer has this name", at: groups.architecture.name, found: "'\(layer)'",
          remedy: nearest.map { "did you mean '\($0)'?" })
      }
      for match in matches { isKept[match] = true }
    }
    var candidates = [Bool](repeating: false, count: groups.coupled.count)
    guard policy != .none else { return candidates }
    for group in groups.groups where group.isInner || policy != .innerOnly {
      for position in group.members {
        let set = groups.coupled[position]
        candidates[position] = !set.isFrozen && !set.members.contains { isKept[$0.node] }
      }
    }
    return candidates
  }

  /// The mask with the worst sets of coupled channels masked whole: in each tier of a group the fraction that the
  /// group's masks drop on average.
  private func regrouped(
    _ mask: Mask, of masked: Network, _ groups: ChannelGroups, _ scores: Tensor?
  ) throws(InputError) -> Mask {
    let masks = try GroupMasks(masked)
    guard (scores?.shape ?? [masks.layout.count]) == [masks.layout.count] else {
      throw InputError(
        "the scores are of another architecture", at: masked.architecture.name,
        expected: "[\(masks.layout.count)]", found: scores?.summary)
    }
    let candidates = try candidates(in: groups, of: .groupScore)
    let counts = ChannelCounts(groups, masked)
    let ranking = scores?.to(masked.device) ?? masks.layout.weights(of: masked)
    let filters = masks.totals(of: ranking, along: .filters)
    let inputs = masks.totals(of: ranking, along: .inputs)
    let kept = filters.onesLike()
    for group in groups.groups {
      let asked = counts.requested(of: group)
      for tier in group.tiers where candidates[tier[0]] {
        let count = (asked.kept * tier.count + asked.total / 2) / asked.total
        let indices = Tensor(tier).to(ranking.device)
        let scores = (asked.side == .filters ? filters : inputs).selecting(indices)
        kept.put(Mask.topK(scores, keeping: width(atLeast: count, of: tier.count)), at: [indices])
      }
    }
    let values = masks.values(keeping: kept, along: [.filters, .inputs])
    return Mask(layout: mask.layout, values: mask.values * values.to(mask.values.dtype))
  }

  /// Of `removable` as many as leave every tier a width that is a multiple of ``roundTo``, and not empty.
  private func rounded(_ removable: Set<Int>, _ groups: ChannelGroups) -> Set<Int> {
    var removed = Set<Int>()
    for tier in groups.groups.flatMap(\.tiers) {
      let found = tier.filter(removable.contains)
      removed.formUnion(found.prefix(tier.count - width(atLeast: tier.count - found.count, of: tier.count)))
    }
    return removed
  }

  /// The next multiple of ``roundTo`` that is at least `count` and 1, as far as `total` goes.
  private func width(atLeast count: Int, of total: Int) -> Int {
    Self.width(atLeast: count, of: total, multipleOf: roundTo)
  }

  static func width(atLeast count: Int, of total: Int, multipleOf step: Int) -> Int {
    min(total, (max(count, 1) + step - 1) / step * step)
  }

  /// Why nothing was cut, and what to do about it.
  private func nothingToCut(
    _ removable: Set<Int>, _ flow: ChannelFlow, _ counts: ChannelCounts, _ groups: ChannelGroups
  ) throws(InputError) -> InputError {
    func error(_ found: String, _ remedy: String) -> InputError {
      InputError(
        "nothing can be cut without changing the output", at: groups.architecture.name, found: found, remedy: remedy
      )
    }
    guard counts.masked(along: .filters) + counts.masked(along: .inputs) > 0 else {
      return error("no filter and no input channel masked whole", "prune filters or channels, not single weights")
    }
    guard removable.isEmpty else {
      return error("no layer with \(NumberText.count(roundTo, "channel")) to spare", "choose a smaller `round-to`")
    }
    let own = try candidates(in: groups, of: policy)
    if !flow.removable(among: own, silencing: true).isEmpty {
      return error(
        "masked filters whose batch norm or bias still adds a constant",
        "zero these first with `silence`, then recalibrate or train on")
    }
    let all = try candidates(in: groups, of: .intersection)
    if !flow.removable(among: all).isEmpty {
      return error("masked channels in streams that blocks add to alone", "allow those with `policy` intersection")
    }
    return error(
      "layers that share channels but mask different ones", "choose them together with `policy` group-score")
  }
}

/// What ``Slimming`` makes.
public struct SlimmedNetwork {
  /// The smaller network, in evaluation mode. It is saved with its own architecture by `ModelFile`.
  public let network: Network
  /// The network of the old size that it equals.
  public let masked: Network
  /// The mask of ``masked``: the one given, but for ``Slimming/Policy/groupScore``.
  public let mask: Mask
  public let report: SlimmingReport
}

extension ChannelGroups {
  /// What each node may be called: as its layer, its module, or in the graph.
  fileprivate var layerNames: [[String]] {
    let layers = Dictionary(mixings.map { ($0.node, layerName(of: $0)) }) { first, _ in first }
    return graph.nodes.enumerated().map { position, node in
      [layers[position], node.module.isEmpty ? nil : node.module, node.name].compactMap(\.self)
    }
  }
}

extension Network {
  /// A copy in evaluation mode with its pruned weights at zero.
  fileprivate func masked(by mask: Mask) -> Network {
    let copy = copy()
    copy.isTraining = false
    mask.apply(to: copy)
    return copy
  }
}
