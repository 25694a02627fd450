import QuenchSupport

/// A network as a declared graph: the one source for its forward pass, its counts, batch-norm folding, fused
/// inference, physical slimming and export.
///
/// Nodes are in an order in which every node follows its inputs; the last one is the output.
public struct Architecture: Hashable, Codable, Sendable {
  public struct Node: Hashable, Codable, Sendable {
    /// PyTorch's module name (`layer1.0.conv1`); unique.
    public var name: String
    public var layer: Layer
    /// Positions of the nodes it reads.
    public var inputs: [Int]

    /// What a network calls the node's tensor: an imported graph's have whole names.
    public func tensorName(_ name: String) -> String {
      if case .imported = layer { name } else { "\(self.name).\(name)" }
    }
  }

  /// `resnet20`, ...
  public var name: String
  public var nodes: [Node]
  /// What pixels in [0, 1] are normalised by, a channel each, before the first layer. Normalisation belongs to the
  /// model: its callers, attacks and certificates speak of pixels. Empty: none.
  public var mean: [Double] = []
  public var standardDeviation: [Double] = []
  public var initialization = Initialization()

  /// `[channels, height, width]` of one image.
  public var inputShape: [Int] { shapes.first ?? [] }
  /// The shape of one sample's output; `[classes]` for a classifier.
  public var outputShape: [Int] { shapes.last ?? [] }

  /// The shape of one sample after each node.
  public var shapes: [[Int]] {
    nodes.reduce(into: []) { shapes, node in shapes.append(node.layer.outputShape(node.inputs.map { shapes[$0] })) }
  }

  /// For each node the positions of those that read it.
  public var consumers: [[Int]] {
    var consumers = [[Int]](repeating: [], count: nodes.count)
    for (position, node) in nodes.enumerated() {
      for input in node.inputs { consumers[input].append(position) }
    }
    return consumers
  }

  /// Multiply-adds of convolutions and linear layers for one sample.
  public var multiplyAdds: Int {
    zip(nodes, shapes).reduce(0) { $0 + $1.0.layer.multiplyAdds(outputShape: $1.1) }
  }

  /// Learned numbers in all.
  public var parameterCount: Int {
    nodes.reduce(0) { $0 + $1.layer.parameters.reduce(0) { $0 + $1.shape.reduce(1, *) } }
  }

  /// The same network for pixels normalised by `mean` and `standardDeviation`, a channel each.
  public func normalizing(mean: [Double], standardDeviation: [Double]) -> Architecture {
    var copy = self
    copy.mean = mean
    copy.standardDeviation = standardDeviation
    return copy
  }
}

/// How a network's weights are drawn before training.
public struct Initialization: Hashable, Codable, Sendable {
  public enum Rule: String, Hashable, Codable, Sendable {
    /// Normal, variance 2 / fan-in.
    case kaimingFanIn
    /// Normal, variance 2 / fan-out.
    case kaimingFanOut
    /// PyTorch's default: uniform within ±1 / √fan-in.
    case uniform
    /// Normal, standard deviation 0.01.
    case smallNormal
  }

  public var convolution = Rule.uniform
  public var linear = Rule.uniform

  public init(convolution: Rule = .uniform, linear: Rule = .uniform) {
    self.convolution = convolution
    self.linear = linear
  }
}

/// Puts an ``Architecture`` together, layer by layer, keeping track of shapes.
public struct ArchitectureBuilder {
  /// The output of a node.
  public struct Value {
    let position: Int
    /// `[C, H, W]` or `[features]` of one sample.
    public let shape: [Int]
    public var channels: Int { shape[0] }
  }

  private var nodes: [Architecture.Node] = []
  public private(set) var input: Value

  /// - Parameter shape: `[channels, height, width]` of one image.
  public init(input shape: [Int]) {
    nodes = [.init(name: "input", layer: .input(shape: shape), inputs: [])]
    input = Value(position: 0, shape: shape)
  }

  public mutating func append(_ name: String, _ layer: Layer, _ inputs: Value...) -> Value {
    nodes.append(.init(name: name, layer: layer, inputs: inputs.map(\.position)))
    return Value(position: nodes.count - 1, shape: layer.outputShape(inputs.map(\.shape)))
  }

  public mutating func conv(
    _ name: String, _ x: Value, _ outputs: Int, kernel: Int = 3, stride: Int = 1, padding: Int? = nil,
    bias: Bool = false
  ) -> Value {
    let conv = Conv2d(
      inputs: x.channels, outputs: outputs, kernel: kernel, stride: stride, padding: padding ?? kernel / 2,
      bias: bias)
    return append(name, .conv2d(conv), x)
  }

  public mutating func convTranspose(
    _ name: String, _ x: Value, _ outputs: Int, kernel: Int, stride: Int = 1, padding: Int = 0
  ) -> Value {
    let conv = ConvTranspose2d(
      inputs: x.channels, outputs: outputs, kernel: kernel, stride: stride, padding: padding)
    return append(name, .convTranspose2d(conv), x)
  }

  public mutating func batchNorm(_ name: String, _ x: Value) -> Value {
    append(name, .batchNorm(BatchNorm(channels: x.channels)), x)
  }

  public mutating func linear(_ name: String, _ x: Value, _ outputs: Int) -> Value {
    append(name, .linear(Linear(inputs: x.shape[0], outputs: outputs)), x)
  }

  public mutating func relu(_ name: String, _ x: Value) -> Value { append(name, .relu, x) }
  public mutating func sigmoid(_ name: String, _ x: Value) -> Value { append(name, .sigmoid, x) }
  public mutating func tanh(_ name: String, _ x: Value) -> Value { append(name, .tanh, x) }
  public mutating func add(_ name: String, _ a: Value, _ b: Value) -> Value { append(name, .add, a, b) }

  /// Global average pooling: `[C, H, W]` → `[C]`.
  public mutating func globalAverage(_ x: Value) -> Value {
    append("flatten", .flatten, append("avgpool", .adaptiveAveragePool(size: 1), x))
  }

  public func build(_ name: String, initialization: Initialization = .init()) -> Architecture {
    Architecture(name: name, nodes: nodes, initialization: initialization)
  }
}

extension Architecture {
  /// Checks a graph that came from a file: every node reads earlier ones of fitting shapes, names are unique, sizes
  /// are sane.
  /// - Throws: `InputError` that names the node.
  public func validate(at location: String) throws(InputError) {
    func fail(_ node: Node, _ problem: String) -> InputError {
      InputError("the architecture is damaged: \(problem)", at: "\(location), node '\(node.name)'")
    }
    /// A floating-point product, since that of a damaged file's sizes may fit no integer.
    func size(_ shape: some Sequence<Int>) -> Double { shape.reduce(1) { $0 * Double($1) } }
    guard case .input(let shape)? = nodes.first?.layer, !shape.isEmpty,
      shape.allSatisfy({ (1...1 << 20).contains($0) }), size(shape) <= Self.largestSize
    else {
      throw InputError("the architecture is damaged: it does not begin with an input", at: location)
    }
    guard mean.count == standardDeviation.count, mean.isEmpty || mean.count == shape[0] && shape.count == 3 else {
      throw InputError("the architecture is damaged: normalization does not fit the channels", at: location)
    }
    var shapes = [shape]
    if let graph = nodes.lazy.compactMap(\.layer.graph).first {
      guard nodes.count == 2 else {
        throw InputError(
          "the architecture is damaged: an imported graph is no layer among others", at: location,
          found: "\(nodes.count) nodes")
      }
      try graph.validate(largest: Self.largestSize, work: Self.mostMultiplyAdds, at: location)
    }
    var names = Set([nodes[0].name])
    var multiplyAdds = 0.0
    for (position, node) in nodes.enumerated().dropFirst() {
      guard names.insert(node.name).inserted else { throw fail(node, "the name occurs twice") }
      guard node.inputs.allSatisfy({ (0..<position).contains($0) }), node.inputs.count == node.layer.arity else {
        throw fail(node, "it reads nodes \(node.inputs)")
      }
      let inputs = node.inputs.map { shapes[$0] }
      guard node.layer.accepts(inputs) else { throw fail(node, "it cannot read \(inputs)") }
      let output = node.layer.outputShape(inputs)
      let weights = node.layer.parameters.first.map { size($0.shape) } ?? 0
      if node.layer.graph == nil { multiplyAdds += weights * size(output.dropFirst()) }
      guard size(output) <= Self.largestSize, weights <= Self.largestSize, multiplyAdds <= Self.mostMultiplyAdds
      else { throw fail(node, "it is too large") }
      shapes.append(output)
    }
  }

  /// Bounds of what a file may ask for, in elements of one tensor and in work for one image.
  private static let largestSize = 1e10
  private static let mostMultiplyAdds = 1e15
}
