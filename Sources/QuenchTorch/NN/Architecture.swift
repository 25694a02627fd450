import QuenchSupport

/// A network without its weights, as a graph of operators: the one source for its forward pass, its counts, batch-norm
/// folding, fused inference, physical slimming and export.
public struct Architecture: Hashable, Codable, Sendable {
  /// `resnet20`, ...
  public var name: String
  public var graph: OperatorGraph
  /// What pixels in [0, 1] are normalized by, a channel each, before the first layer. Normalization belongs to the
  /// model: its callers, attacks and certificates speak of pixels. Empty: none.
  public var mean: [Double] = []
  public var standardDeviation: [Double] = []
  /// How weights are drawn; nil for an imported network, which comes with its weights.
  public var initialization: Initialization?

  public init(
    name: String, graph: OperatorGraph, mean: [Double] = [], standardDeviation: [Double] = [],
    initialization: Initialization? = nil
  ) {
    self.name = name
    self.graph = graph
    self.mean = mean
    self.standardDeviation = standardDeviation
    self.initialization = initialization
  }

  /// `[channels, height, width]` of one image.
  public var inputShape: [Int] { Array(graph.input.example.dropFirst()) }
  /// The shape of one sample's output; `[classes]` for a classifier.
  public var outputShape: [Int] { graph.outputShape }

  /// The images that it takes, in words: `3 x 224 x 224`.
  public var inputText: String { inputShape.map(String.init).joined(separator: " x ") }

  /// Whether the network was made elsewhere, and only its weights as they came make sense.
  public var isImported: Bool { initialization == nil }

  /// Whether the network takes images of this shape `[channels, height, width]`.
  public func accepts(imageShape: [Int]) -> Bool { graph.input.accepts(imageShape) }

  /// Multiply-adds of convolutions, linear layers, matrix products and attention for one sample, as the field counts
  /// them; those of an imported network once ``Network/measure()`` has found them.
  public var multiplyAdds: Int { graph.multiplyAdds() }

  /// Learned numbers in all.
  public var parameterCount: Int { graph.parameterCount }

  /// Numbers that a file of weights must hold: learned ones, and whatever else the graph reads.
  public var tensorCount: Int {
    graph.heldByNetwork.filter { !$0.isCounter }.reduce(0) { $0 + $1.shape.reduce(1, *) }
  }

  /// What a network of this architecture calls its tensors, ``Network/state``'s names, but for batch norms'
  /// `num_batches_tracked`, which files may lack.
  public var tensorNames: [String] { tensorShapes.map(\.name) }

  /// The shapes of the tensors of ``tensorNames``, each under its name.
  public var tensorShapes: [(name: String, shape: [Int])] {
    graph.heldByNetwork.filter { !$0.isCounter }.map { ($0.name, $0.shape) }
  }

  /// The same network for pixels normalized by `mean` and `standardDeviation`, a channel each.
  public func normalizing(mean: [Double], standardDeviation: [Double]) -> Architecture {
    var copy = self
    copy.mean = mean
    copy.standardDeviation = standardDeviation
    return copy
  }

  /// The same architecture with these settings in all its batch norms.
  /// - Parameters:
  ///   - momentum: The share of the batch in the running statistics: 1 makes them those of the last batch alone.
  ///   - epsilon: What is added to variances; nil leaves it.
  package func withBatchNorms(momentum: Double, epsilon: Double? = nil) -> Architecture {
    var copy = self
    for index in graph.nodes.indices where graph.nodes[index].target == "aten::batch_norm" {
      copy.graph.nodes[index].set("momentum", .real(momentum))
      if let epsilon { copy.graph.nodes[index].set("eps", .real(epsilon)) }
    }
    return copy
  }

  /// Checks what came from a file: the graph can be computed, sizes are sane.
  /// - Throws: `InputError` that names the node.
  public func validate(at location: String) throws(InputError) {
    let shape = inputShape
    guard mean.count == standardDeviation.count, mean.isEmpty || mean.count == shape.first && shape.count == 3
    else {
      throw InputError("the architecture is damaged: normalization does not fit the channels", at: location)
    }
    try graph.validate(largest: Self.largestSize, work: Self.mostMultiplyAdds, at: location)
  }

  /// Bounds of what a file may ask for, in elements of one tensor and in work for one image.
  static let largestSize = 1e10
  static let mostMultiplyAdds = 1e15
}

extension OperatorGraph.Held {
  /// Whether it counts a batch norm's training passes, which no computation reads.
  var isCounter: Bool { kind == .buffer && name.hasSuffix("num_batches_tracked") }
}

extension OperatorGraph.Input {
  func accepts(_ imageShape: [Int]) -> Bool {
    imageShape.count == sizes.count - 1 && zip(sizes.dropFirst(), imageShape).allSatisfy { $0.contains($1) }
  }
}
