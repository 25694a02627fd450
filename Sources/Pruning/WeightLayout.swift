import Torch

/// Where each prunable weight tensor of a network lies in the one vector θ that pruning works on: module order,
/// each tensor row-major.
public struct WeightLayout: Hashable, Sendable {
  public let names: [String]
  public let shapes: [[Int]]
  /// The positions of the tensors in the network's parameters.
  public let parameters: [Int]

  public init(_ network: Network) {
    parameters = network.prunable
    names = parameters.map { network.parameters[$0].name }
    shapes = parameters.map { network.parameters[$0].tensor.shape }
  }

  /// Elements of each tensor.
  public var sizes: [Int] { shapes.map { $0.reduce(1, *) } }
  /// n, the length of the vector.
  public var count: Int { sizes.reduce(0, +) }

  /// One vector `[n]` from a tensor for each layer.
  public func joined(_ tensors: [Tensor]) -> Tensor { .concatenated(tensors.map { $0.reshaped([-1]) }) }

  /// Views of a vector `[n]`, one for each layer, in the layers' shapes.
  public func split(_ vector: Tensor) -> [Tensor] {
    zip(vector.split(sizes: sizes), shapes).map { $0.viewed($1) }
  }

  /// The network's prunable weights as a new vector `[n]`.
  public func weights(of network: Network) -> Tensor {
    withoutGradient { joined(parameters.map { network.parameters[$0].tensor.detached() }) }
  }
}
