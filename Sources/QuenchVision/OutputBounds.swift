import QuenchTorch

/// What the outputs of each node of a network stay within in evaluation mode, by the sums of its weights' sizes.
///
/// Within finite bounds there is neither an infinity nor NaN. In a deep network the product of all sums runs over though
/// no image comes near: there the bound rests on looking at some outputs while the network computes.
struct OutputBounds {
  /// The most that an output is expected to have where it is looked at.
  static let largestActivation = 1e12
  /// Bounds above this would leave too little room for the additions that follow.
  private static let limit = 1e36

  /// By node; no finite number where weights or statistics are none.
  private(set) var bounds: [Double] = []
  /// Nodes whose outputs must be within ``largestActivation``, or else the bounds of what follows do not hold.
  private(set) var guarded: Set<Int> = []

  /// - Parameters:
  ///   - network: Its batch norms may be folded.
  ///   - pixels: Images lie within ± this.
  init(of network: Network, pixels: Double) {
    for (position, node) in network.architecture.nodes.enumerated() {
      let bound = Self.bound(of: position, node, network, bounds, pixels)
      if bound <= Self.limit || node.layer.isSum {
        bounds.append(bound)
        continue
      }
      for input in node.inputs where bounds[input] > Self.largestActivation {
        guarded.insert(input)
        bounds[input] = Self.largestActivation
      }
      bounds.append(Self.bound(of: position, node, network, bounds, pixels))
    }
  }

  func isFinite(_ node: Int) -> Bool { bounds[node] < Double(Float.greatestFiniteMagnitude) }

  private static func bound(
    of position: Int, _ node: Architecture.Node, _ network: Network, _ bounds: [Double], _ pixels: Double
  ) -> Double {
    let inputs = node.inputs.map { bounds[$0] }
    let weights = network.parameters.filter { $0.node == position }.map { $0.tensor.to(.float32).abs() }
    func affine(_ dimensions: [Int]) -> Double {
      weights[0].sum(dimensions).max().item() * inputs[0] + (weights.count > 1 ? weights[1].max().item() : 0)
    }
    switch node.layer {
    case .input:
      let deviation = network.architecture.standardDeviation.min() ?? 1
      return (pixels + (network.architecture.mean.map(abs).max() ?? 0)) / deviation
    case .conv2d: return affine([1, 2, 3])
    case .convTranspose2d: return affine([0, 2, 3])
    case .linear: return affine([1])
    case .batchNorm(let norm):
      let statistics = network.buffers.filter { $0.node == position }.map { $0.tensor.to(.float32) }
      let scale = weights[0] / (statistics[1] + norm.epsilon).sqrt()
      return ((statistics[0].abs() + inputs[0]) * scale + weights[1]).max().item()
    case .sigmoid, .tanh: return 1
    case .imported: return .infinity
    case .add, .subtract: return inputs[0] + inputs[1]
    case .relu, .maxPool, .averagePool, .adaptiveAveragePool, .flatten, .zeroPadShortcut: return inputs[0]
    }
  }
}

extension Layer {
  /// Whether its operands may lie within a step of their own, where nobody can look at them.
  fileprivate var isSum: Bool {
    switch self {
    case .add, .subtract: true
    default: false
    }
  }
}
