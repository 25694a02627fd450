import QuenchTorch

/// Where each prunable weight tensor of a network lies in the one vector θ that pruning works on: module order,
/// each tensor row-major.
public struct WeightLayout: Hashable, Sendable {
  /// One weight tensor.
  public struct Layer: Hashable, Sendable {
    /// PyTorch's name: `layer1.0.conv1.weight`.
    public let name: String
    public let shape: [Int]
    /// Its position in the network's parameters.
    public let parameter: Int

    public var count: Int { shape.reduce(1, *) }
  }

  public let layers: [Layer]
  /// Which filters are pruned together, where layers share channels; nil: each layer's mask is its own.
  var coupling: GroupMasks?

  /// All weights of convolutions and linear layers.
  public init(_ network: Network) {
    layers = network.prunable.map { index in
      let entry = network.parameters[index]
      return Layer(name: entry.name, shape: entry.tensor.shape, parameter: index)
    }
  }

  /// One layer by itself.
  public init(of layer: Layer) { self.init(layers: [layer]) }

  init(layers: [Layer], coupling: GroupMasks? = nil) {
    self.layers = layers
    self.coupling = coupling
  }

  /// Layouts of the same weights are equal, however these are pruned.
  public static func == (a: WeightLayout, b: WeightLayout) -> Bool { a.layers == b.layers }
  public func hash(into hasher: inout Hasher) { hasher.combine(layers) }

  public var names: [String] { layers.map(\.name) }
  public var shapes: [[Int]] { layers.map(\.shape) }
  /// The positions of the tensors in the network's parameters.
  public var parameters: [Int] { layers.map(\.parameter) }
  /// Elements of each tensor.
  public var sizes: [Int] { layers.map(\.count) }
  /// n, the length of the vector.
  public var count: Int { layers.reduce(0) { $0 + $1.count } }

  /// One vector `[n]` from a tensor for each layer.
  public func joined(_ tensors: [Tensor]) -> Tensor { .concatenated(tensors.map { $0.reshaped([-1]) }) }

  /// Views of a vector `[n]`, one for each layer, in the layers' shapes.
  public func split(_ vector: Tensor) -> [Tensor] {
    zip(vector.split(sizes: sizes), layers).map { $0.viewed($1.shape) }
  }

  /// The network's prunable weights as a new vector `[n]`.
  public func weights(of network: Network) -> Tensor {
    withoutGradient { joined(layers.map { network.parameters[$0.parameter].tensor.detached() }) }
  }
}
