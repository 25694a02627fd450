/// Puts an ``Architecture`` together, layer by layer, keeping track of shapes; the last layer gives the output.
public struct ArchitectureBuilder {
  /// The output of a node.
  public struct Value {
    let node: OperatorGraph.Value
    /// `[C, H, W]` or `[features]` of one sample.
    public let shape: [Int]
    public var channels: Int { shape[0] }
    /// The value as an argument of an operator.
    public var operand: OperatorGraph.Operand { .value(node) }
  }

  private var graph: OperatorGraphBuilder
  public let input: Value
  /// What was made last.
  private var output: Value
  /// Whether every layer can read what it was given: images may be too small for a pool.
  private var isSound = true

  /// - Parameter shape: `[channels, height, width]` of one image.
  public init(input shape: [Int]) {
    graph = OperatorGraphBuilder(input: shape)
    input = Value(node: graph.inputValue, shape: shape)
    output = input
  }

  public mutating func append(_ name: String, _ layer: Layer, _ inputs: Value...) -> Value {
    append(name, layer, inputs)
  }

  mutating func append(_ name: String, _ layer: Layer, _ inputs: [Value]) -> Value {
    isSound = isSound && layer.accepts(inputs.map(\.shape))
    let shape = layer.outputShape(inputs.map(\.shape))
    let node = graph.append(name, layer, inputs.map(\.node), multiplyAdds: layer.multiplyAdds(outputShape: shape))
    output = Value(node: node, shape: shape)
    return output
  }

  /// A call of any operator with one result.
  /// - Parameters:
  ///   - name: What the node and its module are called.
  ///   - target: The operator's name in its schema, `aten::silu`.
  ///   - arguments: By the schema's names.
  ///   - shape: Of one sample of the result.
  public mutating func call(
    _ name: String, _ target: String, _ arguments: KeyValuePairs<String, OperatorGraph.Operand>, shape: [Int]
  ) -> Value {
    output = Value(node: graph.call(name, target, arguments), shape: shape)
    return output
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

  /// The architecture; one whose layers can't read what they are given has no output, which
  /// ``Architecture/validate(at:)`` refuses.
  public func build(_ name: String, initialization: Initialization = .init()) -> Architecture {
    let graph = graph.build(output: output.node, shape: isSound ? output.shape : [])
    return Architecture(name: name, graph: graph, initialization: initialization)
  }
}
