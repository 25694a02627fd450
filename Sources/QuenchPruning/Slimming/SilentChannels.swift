import QuenchSupport
import QuenchTorch
import QuenchVision

/// What a masked filter leaves behind: the constant that its bias and batch norm make of nothing, β - γ·μ/√(σ² +
/// ε).
///
/// With these at zero the filter is truly gone, and ``Slimming`` can cut it without a trace. A method that prunes
/// filters applies them when it masks, and after every step of training on, since β would move again.
public struct SilentChannels {
  /// Parameters of the network with a factor for each element: 0 where it is silent, else 1.
  private let factors: [(parameter: Int, factor: Tensor)]
  /// How many batch-norm entries and biases are held at zero.
  public let count: Int

  /// Finds them from the mask: every batch norm and bias of a channel that no unmasked weight writes, and that does
  /// not belong to the network's output.
  /// - Parameters:
  ///   - mask: A mask of the network's weights.
  ///   - network: The network; its weights do not matter.
  /// - Throws: `InputError` if the network can't be computed.
  public init(_ mask: Mask, of network: Network) throws(InputError) {
    self.init(mask, of: network, try ChannelGroups(network.architecture))
  }

  /// - Parameter groups: Those of the network's architecture.
  init(_ mask: Mask, of network: Network, _ groups: ChannelGroups) {
    let constants = ChannelFlow(groups, mask: mask).constants(silencing: true)
    let places = groups.entries
    var factors: [(Int, Tensor)] = []
    var count = 0
    for (index, parameter) in network.parameters.enumerated() where parameter.tensor.rank == 1 {
      guard let place = places[parameter.name], let values = constants[place] else { continue }
      let silent = zip(values, groups.sets(at: place)).map { value, set in
        value == 0 && set >= 0 && !groups.coupled[set].isFrozen
      }
      guard silent.contains(true) else { continue }
      factors.append((index, Tensor(silent.map { $0 ? Float(0) : 1 }).to(network.device)))
      if parameter.name.hasSuffix("bias") { count += silent.count { $0 } }
    }
    self.factors = factors
    self.count = count
  }

  /// Zeroes them.
  /// - Parameter network: One of the architecture that they were found in.
  public func apply(to network: Network) {
    withoutGradient {
      for (parameter, factor) in factors {
        let tensor = network.parameters[parameter].tensor
        tensor *= factor
      }
    }
  }
}

extension ChannelGroups {
  /// Biases of layers and entries of batch norms, by name, with where the channels lie that they are added to.
  fileprivate var entries: [String: Place] {
    let names = Dictionary(graph.held.map { ($0.value, $0.name) }) { first, _ in first }
    var places: [String: Place] = [:]
    for mixing in mixings { if let name = mixing.bias.flatMap({ names[$0] }) { places[name] = mixing.output } }
    for node in graph.nodes where node.target.contains("batch_norm") {
      guard let y = node.defines.first else { continue }
      for name in ["weight", "bias"].compactMap({ node.value($0).flatMap { names[$0] } }) {
        places[name] = Place(value: y, dimension: 1)
      }
    }
    return places
  }
}
