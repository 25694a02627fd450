import QuenchTorch

/// What the values of a network's graph stay within in evaluation mode, by the sums of its weights' sizes.
///
/// Within finite bounds there is neither an infinity nor NaN. In a deep network the product of all sums runs over though
/// no image comes near: there the bound rests on looking at some values while the network computes, and so it does
/// behind operators of which nothing is known.
struct OutputBounds {
  /// The most that a value is expected to have where it is looked at.
  static let largestActivation = 1e12
  /// Bounds above this would leave too little room for the additions that follow.
  private static let limit = 1e36

  /// By value; no finite number where weights or statistics are none.
  private(set) var bounds: [Double]
  /// Values that must be within ``largestActivation``, or else the bounds of what follows do not hold.
  private(set) var guarded: Set<Int> = []

  /// - Parameters:
  ///   - network: Its batch norms may be folded; no operator of it writes over its operand.
  ///   - pixels: Images lie within ± this.
  ///   - trace: The shapes of its values; nil: it is computed once to find them.
  init(of network: Network, pixels: Double, trace: GraphTrace? = nil) {
    let graph = network.graph
    let trace = trace ?? (try? network.trace())
    let tensors = network.heldTensors
    bounds = [Double](repeating: .infinity, count: graph.valueNames.count)
    let deviation = network.architecture.standardDeviation.min() ?? 1
    bounds[graph.input.value.index] = (pixels + (network.architecture.mean.map(abs).max() ?? 0)) / deviation
    for (value, tensor) in tensors where tensor.dtype.isFloatingPoint && tensor.count > 0 {
      bounds[value.index] = tensor.abs().max().item()
    }
    for node in graph.nodes {
      let rule = BoundRule(node, tensors, trace)
      var bound = rule.bound(bounds)
      let factors = rule.factors
      if !(bound <= Self.limit), !factors.isEmpty {
        for value in factors where tensors[value] == nil && bounds[value.index] > Self.largestActivation {
          guarded.insert(value.index)
          bounds[value.index] = Self.largestActivation
        }
        bound = rule.bound(bounds)
      }
      for value in node.defines { bounds[value.index] = bound }
    }
  }

  /// Whether a value can be neither infinite nor NaN.
  func isFinite(_ value: Int) -> Bool { bounds[value] < Double(Float.greatestFiniteMagnitude) }
}
