import Foundation
import QuenchTorch

/// What each channel of a network with zeroed weights still carries: forward, whether its value is a constant;
/// backward, whether anything that stays reads it.
///
/// A channel that is zero wherever it is read, or that nothing reads, can be cut without a trace. That holds
/// whichever way the weights were masked: filters (where batch norm adds no constant), input planes, or single
/// weights.
struct ChannelFlow {
  private let groups: ChannelGroups
  /// For each convolution and linear layer `[outputs, inputs]`, float32: 1 where the filter reads the plane.
  private let reads: [Int: Tensor]
  /// By node: the biases of convolutions and linear layers; γ, β, mean and variance of batch norms.
  private let vectors: [Int: [[Double]]]

  private var nodes: [Architecture.Node] { groups.architecture.nodes }

  /// The flow through `network` as its weights, biases and batch norms are.
  /// - Parameters:
  ///   - groups: Those of the network's architecture.
  ///   - network: In evaluation mode.
  init(_ groups: ChannelGroups, _ network: Network) {
    let vectors = (network.parameters + network.buffers).reduce(into: [Int: [[Double]]]()) { vectors, entry in
      guard entry.tensor.rank == 1 else { return }
      vectors[entry.node, default: []].append(entry.tensor.detached().array())
    }
    self.init(groups, network, weights: network.prunable.map { network.parameters[$0].tensor }, vectors)
  }

  /// The flow that `mask` leaves in `network` whatever its weights, biases and batch norms are.
  init(_ groups: ChannelGroups, _ network: Network, mask: Mask) {
    self.init(groups, network, weights: mask.layers, [:])
  }

  private init(_ groups: ChannelGroups, _ network: Network, weights: [Tensor], _ vectors: [Int: [[Double]]]) {
    self.groups = groups
    self.vectors = vectors
    reads = zip(network.prunable, weights).reduce(into: [:]) { reads, pair in
      let (parameter, weight) = pair
      let node = network.parameters[parameter].node
      let isRead = (weight.detached().to(.cpu) .!= 0).to(.float32)
      reads[node] = groups.architecture.nodes[node].layer.spread(isRead.rank == 4 ? isRead.max([2, 3]) : isRead)
    }
  }

  /// For each node and each channel of its output, the value that all its pixels have in evaluation mode whatever
  /// the image; nil where it varies.
  /// - Parameter silencing: Take biases and batch norms behind a channel that is constant for zero, as
  ///   ``SilentChannels`` makes them.
  func constants(silencing: Bool = false) -> [[Double?]] {
    var constants: [[Double?]] = []
    for (position, node) in nodes.enumerated() {
      let input = node.inputs.first.map { constants[$0] } ?? []
      func isSilent(_ channel: Int) -> Bool {
        silencing && !groups.coupled[groups.positions[position][channel]].isFrozen
      }
      switch node.layer {
      case .input(let shape): constants.append(Array(repeating: nil, count: shape[0]))
      case .conv2d, .linear:
        let bias = vectors[position]?.first
        constants.append(
          readCounts(of: position, where: input.map { $0 != 0 }).enumerated().map { filter, count in
            count > 0 ? nil : isSilent(filter) ? 0 : bias?[filter] ?? 0
          })
      case .batchNorm(let norm):
        constants.append(
          input.enumerated().map { channel, value in
            if value != nil && isSilent(channel) { return 0 }
            return normalized(value, at: position, channel, norm.epsilon)
          })
      case .convTranspose2d(let conv): constants.append(Array(repeating: nil, count: conv.outputs))
      case .imported(let graph): constants.append(Array(repeating: nil, count: graph.outputShape[0]))
      case .sigmoid: constants.append(input.map { $0.map { 1 / (1 + exp(-$0)) } })
      case .tanh: constants.append(input.map { $0.map(tanh) })
      case .relu: constants.append(input.map { $0.map { max(0, $0) } })
      case .maxPool, .averagePool, .adaptiveAveragePool: constants.append(input)
      case .flatten:
        let pixels = groups.positions[position].count / max(input.count, 1)
        constants.append(input.flatMap { Array(repeating: $0, count: pixels) })
      case .add: constants.append(combined(input, constants[node.inputs[1]], +))
      case .subtract: constants.append(combined(input, constants[node.inputs[1]], -))
      case .zeroPadShortcut(_, let places, let channels):
        var padded = [Double?](repeating: 0, count: channels)
        for (channel, place) in places.enumerated() { padded[place] = input[channel] }
        constants.append(padded)
      }
    }
    return constants
  }

  private func normalized(_ value: Double?, at position: Int, _ channel: Int, _ epsilon: Double) -> Double? {
    guard let vectors = vectors[position], vectors.count == 4 else { return nil }
    let (scale, shift) = (vectors[0][channel], vectors[1][channel])
    guard scale != 0 else { return shift }
    return value.map { shift + scale * ($0 - vectors[2][channel]) / (vectors[3][channel] + epsilon).squareRoot() }
  }

  private func combined(_ a: [Double?], _ b: [Double?], _ operation: (Double, Double) -> Double) -> [Double?] {
    zip(a, b).map { a, b in
      guard let a, let b else { return nil }
      return operation(a, b)
    }
  }

  /// How many of the planes in `isThere` each filter of a layer reads.
  private func readCounts(of position: Int, where isThere: [Bool]) -> [Float] {
    reads[position]?.matmul(Tensor(isThere.map { $0 ? Float(1) : 0 })).array() ?? []
  }

  /// How many of the filters in `isThere` read each plane of a layer.
  private func readerCounts(of position: Int, where isThere: [Bool]) -> [Float] {
    reads[position]?.transposed().matmul(Tensor(isThere.map { $0 ? Float(1) : 0 })).array() ?? []
  }

  /// The candidates that can be cut without changing the network's output, followed up to the end: what only they
  /// read, and what reads only them, goes too.
  /// - Parameters:
  ///   - candidates: For each set of coupled channels, whether it may be cut at all.
  ///   - silencing: As in ``constants(silencing:)``.
  /// - Returns: Positions of sets of coupled channels.
  func removable(among candidates: [Bool], silencing: Bool = false) -> Set<Int> {
    let constants = constants(silencing: silencing)
    var removed = Set<Int>()
    var found: [Int] = []
    repeat {
      let readers = reads.keys.reduce(into: [Int: [Float]]()) { readers, node in
        readers[node] = readerCounts(of: node, where: groups.positions[node].map { !removed.contains($0) })
      }
      found = groups.coupled.indices.filter { position in
        candidates[position] && !removed.contains(position)
          && groups.coupled[position].consumers.allSatisfy { plane in
            readers[plane.node]?[plane.index] == 0 || constants[nodes[plane.node].inputs[0]][plane.index] == 0
          }
      }
      removed.formUnion(found)
    } while !found.isEmpty
    return removed
  }

  /// For each filter, or each input plane, of a layer, whether any of its weights is not zero.
  func isLive(at node: Int, along side: ChannelGroups.Side) -> [Bool] {
    guard let reads = reads[node] else { return [] }
    return reads.sum([side == .filters ? 1 : 0]).array(Float.self).map { $0 > 0 }
  }
}

extension Layer {
  /// A grouped convolution's `[outputs, inputs / groups]` as that of the plain one, `[outputs, inputs]`.
  fileprivate func spread(_ reads: Tensor) -> Tensor {
    guard case .conv2d(let conv) = self, conv.groups > 1 else { return reads }
    func group(_ count: Int) -> Tensor { Tensor((0..<count).map { $0 * conv.groups / count }) }
    let isOwn = group(conv.outputs).unsqueezed(1) .== group(conv.inputs).unsqueezed(0)
    return reads.repeated([1, conv.groups]) * isOwn.to(.float32)
  }
}
