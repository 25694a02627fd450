import QuenchReporting
import QuenchSupport
import QuenchTorch

/// What a pruned network must look like: how much of which weights stays, and what is dropped together.
public struct PruningTarget: Hashable, Codable, Sendable, InlineGroup {
  /// Where weights compete.
  public enum Scope: String, CaseIterable, Codable, Sendable {
    /// All layers in one ranking.
    case global
    /// Each layer keeps the same fraction.
    case layer
  }

  public var keepRatio: KeepRatio
  /// Filters, channels and patterns are ranked within their layer, groups within their tier, whatever the scope.
  public var granularity = Granularity.weight
  public var scope = Scope.global
  /// The least fraction that every layer keeps in a global ranking, from 0 to the keep ratio.
  public var layerFloor = 0.0
  /// Patterns (`layer1.*`) of the names of the weights to prune; empty: all.
  public var included: [String] = []
  /// Patterns of the names of the weights to leave dense.
  public var excluded: [String] = []

  private enum CodingKeys: String, CodingKey {
    case keepRatio = "keep"
    case granularity, scope, layerFloor
    case included = "include"
    case excluded = "exclude"
  }

  public init(keepRatio: KeepRatio) { self.keepRatio = keepRatio }

  /// The same with another keep ratio.
  func keeping(_ ratio: KeepRatio) -> PruningTarget {
    var target = self
    target.keepRatio = ratio
    return target
  }

  /// - Throws: `InputError` if all of it must be dropped at once.
  func requireGradual() throws(InputError) {
    guard case .pattern = granularity else { return }
    throw InputError(
      "a pattern drops the same fraction from the start", at: "granularity", found: "\(granularity)",
      remedy: "drop weights, filters, channels or groups gradually, or draw the pattern at once by omp")
  }

  /// The target with the ratio of its pattern, where it has one.
  /// - Throws: `InputError` for a setting out of its range.
  public func checked() throws(InputError) -> PruningTarget {
    try requireSetting((0...1).contains(layerFloor), "layer-floor", "from 0 to 1", layerFloor)
    var target = self
    if case .pattern(let kept, let group) = granularity {
      target.keepRatio = try KeepRatio(Double(kept) / Double(group))
    }
    return target
  }

  /// The weights of `network` that are pruned.
  /// - Throws: `InputError` for a pattern that matches no weight (with the nearest name), or if nothing is left.
  public func layout(of network: Network) throws(InputError) -> WeightLayout {
    let all = WeightLayout(network).layers
    func matches(_ pattern: String, _ layer: WeightLayout.Layer) -> Bool {
      layer.name.matches(glob: pattern) || layer.moduleName.matches(glob: pattern)
    }
    for pattern in included + excluded where !all.contains(where: { matches(pattern, $0) }) {
      throw InputError(
        "no weight has such a name", at: "pattern '\(pattern)'",
        expected: "a convolution or linear layer of \(network.architecture.name)",
        remedy: all.map(\.moduleName).nearest(to: pattern).map { "did you mean '\($0)'?" })
    }
    guard layerFloor <= keepRatio.value else {
      throw InputError(
        "the layers' floor is above the keep ratio", at: "layer-floor", expected: "at most \(keepRatio.value)",
        found: "\(layerFloor)")
    }
    let readers = granularity == .channel ? try ChannelGroups(network.architecture).weightsOnImages : []
    let transposed = granularity == .filter || granularity == .channel ? network.transposedWeights : []
    var layers = all.filter { layer in
      (included.isEmpty || included.contains { matches($0, layer) })
        && !excluded.contains { matches($0, layer) }
        && !transposed.contains(layer.name)
        && granularity.fits(layer.shape, readsImages: readers.contains(layer.name))
    }
    var coupling: GroupMasks?
    if granularity == .group {
      let groups = try GroupMasks(network, layers: layers)
      layers.removeAll { !groups.prunes($0.name) }
      coupling = try GroupMasks(network, layers: layers)
    }
    guard !layers.isEmpty else {
      throw InputError(
        "no weight is left to prune", at: network.architecture.name,
        expected: "weights that can be pruned by \(granularity)", remedy: "include more layers or exclude fewer")
    }
    return WeightLayout(layers: layers, coupling: coupling)
  }

  /// How many weights stay: κ.
  public func kept(of layout: WeightLayout) -> Int {
    if layout.coupling != nil { return mask(.ones([layout.count]), layout).keptCount }
    return isGlobal
      ? keepRatio.kept(of: layout.count)
      : layout.shapes.reduce(0) { $0 + layerMask.kept(of: $1) }
  }

  /// T_κ: the mask that keeps what `ranking` says matters most.
  /// - Parameters:
  ///   - ranking: `[n]`, larger is more important; of equal ones those of higher index stay.
  ///   - layout: Which weights `ranking` is of.
  public func mask(_ ranking: Tensor, _ layout: WeightLayout) -> Mask {
    withoutGradient {
      if let coupling = layout.coupling {
        return Mask(layout: layout, values: coupling.mask(scores: ranking, keeping: keepRatio).values)
      }
      guard isGlobal else {
        return Mask(layout: layout, values: layout.joined(layout.split(ranking).map { layerMask($0) }))
      }
      return Mask(
        layout: layout, values: Mask.topK(aboveFloors(ranking, layout), keeping: keepRatio.kept(of: layout.count)))
    }
  }

  /// ``mask(_:_:)`` of a ranking that is checked first, for a mask that a run starts or ends with.
  /// - Throws: `InputError` if the ranking holds NaN, or a layer would keep nothing.
  public func checkedMask(_ ranking: Tensor, _ layout: WeightLayout) throws(InputError) -> Mask {
    let broken = ranking.isNaN().nonzeroCount()
    guard broken == 0 else {
      throw InputError(
        "the ranking of the weights is not a number in \(broken) places", expected: "finite scores",
        remedy: "check the weights and lower the learning rate")
    }
    let mask = mask(ranking, layout)
    if let empty = mask.table.first(where: { $0.kept == 0 }) {
      throw InputError(
        "the keep ratio empties a layer", at: empty.name, expected: "at least one weight",
        found: "none of \(empty.total)", remedy: "keep more, set a layer floor of 0.01, or rank by the scope layer")
    }
    return mask
  }

  private var isGlobal: Bool { granularity == .weight && scope == .global }
  private var layerMask: LayerMask { LayerMask(granularity: granularity, keepRatio: keepRatio) }

  /// The ranking with every layer's most important weights, as many as the floor promises, above all others.
  private func aboveFloors(_ ranking: Tensor, _ layout: WeightLayout) -> Tensor {
    guard layerFloor > 0 else { return ranking }
    let ranking = ranking.cloned()
    for layer in layout.split(ranking) {
      let promised = max(1, Int((layerFloor * Double(layer.count)).rounded(.down)))
      let weights = layer.viewed([-1])
      weights.scatter(0, weights.topK(promised).indices, .infinity)
    }
    return ranking
  }
}

extension Network {
  /// Names of the weights of transposed convolutions, which are `[inputs, outputs, ...]`.
  fileprivate var transposedWeights: Set<String> {
    let names = Dictionary(graph.held.map { ($0.value, $0.name) }) { first, _ in first }
    let nodes = graph.nodes.filter { $0.target.hasPrefix("aten::conv_transpose") }
    return Set(nodes.compactMap { $0.value("weight").flatMap { names[$0] } })
  }
}

extension WeightLayout.Layer {
  /// The layer's name, `layer1.0.conv1`.
  var moduleName: String { name.hasSuffix(".weight") ? String(name.dropLast(7)) : name }
}
