import QuenchTorch

/// Convolutions, transposed ones among them.
struct ConvolutionRule: ChannelRule {
  static let table: [String: any ChannelRule] = [
    "aten::conv1d": ConvolutionRule(), "aten::conv2d": ConvolutionRule(), "aten::conv3d": ConvolutionRule(),
    "aten::convolution": ConvolutionRule(), "aten::conv_transpose1d": ConvolutionRule(isTransposed: true),
    "aten::conv_transpose2d": ConvolutionRule(isTransposed: true),
    "aten::conv_transpose3d": ConvolutionRule(isTransposed: true)
  ]

  var isTransposed = false

  func couple(_ position: Int, _ tracer: inout ChannelTracer) {
    let node = tracer.graph.nodes[position]
    guard let x = node.value("input"), let weight = node.value("weight"), let y = tracer.results(position).first
    else {
      return tracer.giveUp(position)
    }
    let isTransposed = isTransposed || node.boolean("transposed") == true
    let groups = node.integer("groups") ?? 1
    let shape = tracer.shape(weight)
    let dimension = tracer.shape(x).count - shape.count + 1
    let (rows, planes) = isTransposed ? (1, 0) : (0, 1)
    guard dimension >= 0, var mixing = tracer.mixing(position, weight, rows: rows, planes: planes),
      let filters = tracer.channels(weight, along: rows), let read = tracer.channels(weight, along: planes),
      !isTransposed || groups == 1
    else { return tracer.giveUp(position) }
    for other in tracer.dimensions(x) where other != dimension { tracer.freeze(x, along: other, by: position) }
    let inputs = tracer.channels(x, along: dimension) ?? tracer.frozen(tracer.shape(x)[dimension], by: position)
    (mixing.groups, mixing.isConvolution, mixing.bias) = (groups, true, node.value("bias"))
    (mixing.input, mixing.output) = (.init(value: x, dimension: dimension), .init(value: y, dimension: dimension))
    if mixing.isDepthwise {
      let perPlane = filters.count / groups
      tracer.unite(filters, filters.indices.map { inputs[$0 / perPlane] })
    } else {
      // Every group of filters must lose as many as the others: the same ones.
      let size = filters.count / groups
      tracer.unite(filters, filters.indices.map { filters[$0 % size] })
      tracer.unite(inputs, inputs.indices.map { read[$0 % read.count] })
    }
    if let bias = node.value("bias") { tracer.unite(filters, bias, by: position) }
    tracer.mix(mixing)
    tracer.set(y, [dimension: filters])
  }

  func constants(_ node: Int, _ flow: inout ConstantFlow) { flow.mix(node) }

  func cut(_ node: inout OperatorGraph.Node, at position: Int, _ cut: inout ChannelCut) {
    guard let mixing = cut.mixings[position], mixing.isDepthwise else { return }
    node.set("groups", .integer(cut.kept(mixing.input).count))
  }
}

extension ChannelTracer {
  /// A product of a node with a weight, or with another layout of one; nil where the weight is computed. Where its input and
  /// output lie is the caller's to say.
  func mixing(
    _ node: Int, _ weight: OperatorGraph.Value, rows: Int, planes: Int
  ) -> ChannelGroups.Mixing? {
    guard case .held(let held, let elements, isDerived: false) = shadows[weight.index],
      graph.held[held].kind == .parameter
    else { return nil }
    let nowhere = ChannelGroups.Place(value: weight, dimension: 0)
    return .init(
      node: node, held: held, elements: elements?.contiguous().array(), shape: shape(weight), rows: rows,
      planes: planes,
      input: nowhere, output: nowhere)
  }
}
