import QuenchTorch

/// Operators that compute each element of its own, of one value or of several that are broadcast to each other.
struct ElementwiseRule: ChannelRule {
  private static let names = [
    "abs", "add", "addcdiv", "addcmul", "alpha_dropout", "bitwise_and", "bitwise_not", "bitwise_or", "celu", "ceil",
    "clamp", "clamp_max", "clamp_min", "clip", "cos", "div", "dropout", "elu", "eq", "erf", "exp", "expm1",
    "feature_alpha_dropout", "feature_dropout", "floor", "floor_divide", "ge", "gelu", "gt", "hardshrink",
    "hardsigmoid", "hardswish", "hardtanh", "le", "leaky_relu", "lerp", "log", "log1p", "log_sigmoid",
    "logical_and",
    "logical_not", "logical_or", "lt", "masked_fill", "maximum", "minimum", "mish", "mul", "ne", "neg", "ones_like",
    "pow", "prelu", "reciprocal", "relu", "relu6", "remainder", "round", "rrelu", "rsqrt", "rsub", "selu",
    "sigmoid",
    "sign", "silu", "sin", "softplus", "softshrink", "softsign", "sqrt", "square", "sub", "tanh", "threshold",
    "true_divide", "where", "xlogy", "zeros_like"
  ]

  static let table: [String: any ChannelRule] = {
    var table: [String: any ChannelRule] = ["aten::glu": GatedRule()]
    for name in names { table["aten::\(name)"] = ElementwiseRule(name: name) }
    return table
  }()

  private let name: String

  func couple(_ node: Int, _ tracer: inout ChannelTracer) {
    guard let y = tracer.results(node).first else { return }
    tracer.set(y, [:])
    let tensors = tracer.tensors(node)
    if name == "prelu", let x = tensors.first, let slopes = tensors.last, tracer.shape(slopes).count == 1 {
      return coupleSlopes(node, &tracer, x, slopes, y)
    }
    let isAlone = tensors.allSatisfy { tracer.dimensions($0).isEmpty }
    guard isAlone else { return tracer.combineBatches(node, tensors, y, trailing: 0) }
    let held = tensors.filter { tracer.isHeld($0) }
    guard let only = held.first, case .held(let index, let elements, _) = tracer.shadows[only.index],
      held.count == 1 || tensors.allSatisfy({ $0 == only }),
      tensors.allSatisfy({ $0 == only || tracer.shape($0).reduce(1, *) == 1 })
    else { return }
    let shape = tracer.shape(only)
    let layout = elements ?? Tensor.arange(to: Double(shape.reduce(1, *))).reshaped(shape)
    tracer.set(y, .held(index, elements: layout.expanded(tracer.shape(y)), isDerived: true))
  }

  /// A slope for each channel, which lie in the second dimension.
  private func coupleSlopes(
    _ node: Int, _ tracer: inout ChannelTracer, _ x: OperatorGraph.Value, _ slopes: OperatorGraph.Value,
    _ y: OperatorGraph.Value
  ) {
    for dimension in tracer.dimensions(x) {
      if dimension == 1, tracer.shape(slopes)[0] > 1, let mine = tracer.channels(x, along: 1),
        let theirs = tracer.channels(slopes, along: 0)
      {
        tracer.unite(mine, theirs)
      }
      tracer.keep(node, x, dimension, to: y, dimension)
    }
  }

  func constants(_ node: Int, _ flow: inout ConstantFlow) {
    if ["mul", "div", "true_divide"].contains(name) { flow.passZeros(node, firstOnly: name != "mul") }
    flow.computeElements(node)
  }
}

/// One half times the sigmoid of the other.
struct GatedRule: ChannelRule {
  func couple(_ position: Int, _ tracer: inout ChannelTracer) {
    let node = tracer.graph.nodes[position]
    guard let x = node.value("self"), let y = tracer.results(position).first else { return tracer.giveUp(position) }
    tracer.set(y, [:])
    let dimension = node.dimension("dim", tracer.shape(x).count) ?? tracer.shape(x).count - 1
    for other in tracer.dimensions(x) {
      guard other == dimension, let channels = tracer.channels(x, along: other) else {
        tracer.keep(position, x, other, to: y, other)
        continue
      }
      let half = channels.count / 2
      tracer.unite(Array(channels[..<half]), Array(channels[half...]))
      tracer.set(y, along: other, Array(channels[..<half]))
      tracer.pass(position, x, other, to: y, other, sources: (0..<half).map { [$0, half + $0] })
    }
  }

  func constants(_ node: Int, _ flow: inout ConstantFlow) { flow.passZeros(node) }
}

extension OperatorGraph.Node {
  /// A dimension that is told, counted from the first; nil where it is not told.
  func dimension(_ name: String, _ rank: Int) -> Int? { integer(name).map { $0 < 0 ? $0 + rank : $0 } }
}
