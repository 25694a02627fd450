import QuenchSupport
import QuenchTorch

/// What a mask leaves of a network, layer by layer: weights kept, those of them that still do anything, and dead
/// units.
///
/// A kept weight is effective if a path of kept weights leads from the input through it to the output. The units of
/// a path are channels and features: whether a kernel's tap ever meets more than padding is not asked. Biases make
/// no path, so a unit that gets nothing but its bias is dead, although it may emit a constant. Through an operator that
/// mixes channels, or that no rule is known of, every path leads on; of a layer whose weight is computed, every kept weight
/// counts as effective, and a unit is dead if it keeps no weight.
public struct MaskStatistics: Hashable, Codable, Sendable {
  /// One prunable layer.
  public struct Layer: Hashable, Codable, Sendable {
    /// The weight's name.
    public var name: String
    /// Its weights.
    public var total: Int
    public var kept: Int
    /// Kept weights on a path from input to output.
    public var effective: Int
    /// Its output channels or features.
    public var units: Int
    /// Units that no path from input to output goes through.
    public var deadUnits: Int
  }

  /// In the mask's order.
  public var layers: [Layer]

  public var total: Int { layers.reduce(0) { $0 + $1.total } }
  public var kept: Int { layers.reduce(0) { $0 + $1.kept } }
  public var effective: Int { layers.reduce(0) { $0 + $1.effective } }
  public var deadUnits: Int { layers.reduce(0) { $0 + $1.deadUnits } }
  /// 1 - kept / total.
  public var sparsity: Double { 1 - Double(kept) / Double(total) }
  /// 1 - effective / total, at least ``sparsity``.
  public var effectiveSparsity: Double { 1 - Double(effective) / Double(total) }

  /// - Parameters:
  ///   - mask: A mask of a network of `architecture`. Prunable layers that it does not cover count as kept.
  ///   - architecture: The network whose graph the paths go through.
  /// - Throws: `InputError` if the network can't be computed.
  public init(_ mask: Mask, in architecture: Architecture) throws(InputError) {
    let groups = try ChannelGroups(architecture)
    let reach = Reachability(
      groups, masks: Dictionary(uniqueKeysWithValues: zip(mask.layout.names, mask.layers)))
    layers = zip(mask.layout.names, mask.layers).map { name, layer in
      guard let mixing = groups.mixing(of: name), let kept = reach.kept[mixing.node] else {
        return Layer(name: name, keptBy: layer)
      }
      let useful = reach.useful(mixing.output)
      let used = reach.reads(mixing) * useful.unsqueezed(1)
      let alive = (reach.reached(mixing.output) * useful).nonzeroCount()
      return Layer(
        name: name, total: layer.count, kept: Int(kept.sum().item()), effective: Int((kept * used).sum().item()),
        units: kept.size(0), deadUnits: kept.size(0) - alive)
    }
  }
}

extension MaskStatistics.Layer {
  /// What is known of a layer that no paths are known of.
  fileprivate init(name: String, keptBy mask: Tensor) {
    let kept = mask.nonzeroCount()
    self.init(
      name: name, total: mask.count, kept: kept, effective: kept, units: mask.size(0),
      deadUnits: mask.size(0) - mask.reshaped([mask.size(0), -1]).max([1]).nonzeroCount())
  }
}
