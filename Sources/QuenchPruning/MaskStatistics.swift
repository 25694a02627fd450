import QuenchTorch

/// What a mask leaves of a network, layer by layer: weights kept, those of them that still do anything, and dead
/// units.
///
/// A kept weight is effective if a path of kept weights leads from the input through it to the output. The units of
/// a path are channels and features: whether a kernel's tap ever meets more than padding is not asked. Biases make
/// no path, so a unit that gets nothing but its bias is dead, although it may emit a constant. In an imported network,
/// whose paths are not known, every kept weight counts as effective, and a unit is dead if it keeps no weight.
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
  ///   - architecture: The graph that the paths go through.
  public init(_ mask: Mask, in architecture: Architecture) {
    guard architecture.importedGraph == nil else {
      layers = zip(mask.layout.names, mask.layers).map { Layer(name: $0, keptBy: $1) }
      return
    }
    let reach = Reachability(
      architecture, masks: Dictionary(uniqueKeysWithValues: zip(mask.layout.names, mask.layers)))
    let positions = Dictionary(
      uniqueKeysWithValues: architecture.nodes.enumerated().map { ("\($1.name).weight", $0) })
    layers = zip(mask.layout.names, mask.layout.sizes).compactMap { name, total in
      guard let position = positions[name], let link = reach.links[position] else { return nil }
      let used = reach.reads(position, link) * reach.useful[position].unsqueezed(1)
      let alive = (reach.reached[position] * reach.useful[position]).nonzeroCount()
      return Layer(
        name: name, total: total, kept: Int(link.kept.sum().item()),
        effective: Int((link.kept * used).sum().item()), units: link.kept.size(0),
        deadUnits: link.kept.size(0) - alive)
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

/// Which channels of each node the input reaches, and which reach the output, through kept weights.
private struct Reachability {
  /// The weights between the units of a prunable layer.
  struct Link {
    /// How many are kept, `[outputs, inputs / groups]`, float64.
    let kept: Tensor
    let groups: Int
  }

  let architecture: Architecture
  let links: [Link?]
  /// For each node 1 for a channel that the input reaches, `[channels]`, float64.
  private(set) var reached: [Tensor] = []
  /// For each node 1 for a channel that reaches the output.
  private(set) var useful: [Tensor]

  init(_ architecture: Architecture, masks: [String: Tensor]) {
    self.architecture = architecture
    links = architecture.nodes.map { node in
      let groups =
        switch node.layer {
        case .conv2d(let conv): conv.groups
        case .linear: 1
        default: 0
        }
      guard groups > 0, let weight = node.layer.parameters.first else { return nil }
      let mask = (masks["\(node.name).weight"] ?? .ones(weight.shape)).to(.cpu, dtype: .float64)
      return Link(kept: mask.rank == 4 ? mask.sum([2, 3]) : mask, groups: groups)
    }
    let shapes = architecture.shapes
    useful = shapes.map { .zeros([$0[0]], dtype: .float64) }
    for position in architecture.nodes.indices { reached.append(forward(position, shapes)) }
    if let last = useful.last { last.fill(with: 1) }
    for position in architecture.nodes.indices.reversed() {
      for input in architecture.nodes[position].inputs {
        useful[input] = useful[input].maximum(backward(position, from: shapes[input]))
      }
    }
  }

  /// Whether each unit's inputs are reached, `[outputs, inputs / groups]`.
  func reads(_ position: Int, _ link: Link) -> Tensor {
    reached[architecture.nodes[position].inputs[0]].reshaped([link.groups, -1])
      .repeatInterleaved(link.kept.size(0) / link.groups, 0)
  }

  /// What the input reaches of a node's output, from what it reaches of the nodes before.
  private func forward(_ position: Int, _ shapes: [[Int]]) -> Tensor {
    if let link = links[position] { return ((link.kept * reads(position, link)).max([1]) .> 0).to(.float64) }
    let node = architecture.nodes[position]
    let inputs = node.inputs.map { reached[$0] }
    switch node.layer {
    case .input(let shape): return .ones([shape[0]], dtype: .float64)
    case .flatten: return inputs[0].repeatInterleaved(shapes[position][0] / inputs[0].count, 0)
    case .add, .subtract: return inputs[0].maximum(inputs[1])
    case .zeroPadShortcut(_, let positions, let channels):
      let padded = Tensor.zeros([channels], dtype: .float64)
      padded.addSlices(inputs[0], at: Tensor(positions))
      return padded
    default: return inputs[0]
    }
  }

  /// What of a node's input, of shape `input`, reaches the output through it.
  private func backward(_ position: Int, from input: [Int]) -> Tensor {
    let after = useful[position]
    if let link = links[position] {
      let used = (link.kept .> 0).to(.float64) * after.unsqueezed(1)
      return used.reshaped([link.groups, -1, link.kept.size(1)]).max([1]).reshaped([-1])
    }
    switch architecture.nodes[position].layer {
    case .flatten: return after.reshaped([input[0], -1]).max([1])
    case .zeroPadShortcut(_, let positions, _): return after.selecting(Tensor(positions))
    default: return after
    }
  }
}
