import QuenchSupport

/// A network as files of Quench 0.1 hold it: layers, and which layers each reads.
struct LayerList: Codable {
  struct Node: Codable {
    /// PyTorch's module name (`layer1.0.conv1`); unique.
    var name: String
    var layer: Layer
    /// Positions of the nodes it reads.
    var inputs: [Int]
  }

  var name: String
  /// Every node follows its inputs; the last one is the output.
  var nodes: [Node]
  var mean: [Double] = []
  var standardDeviation: [Double] = []
  var initialization = Initialization()

  /// - Throws: `InputError` that names a node which can't follow on those before it, or asks for too much.
  func architecture(at location: String) throws(InputError) -> Architecture {
    try validate(at: location)
    guard case .input(let shape)? = nodes.first?.layer else {
      throw InputError("the architecture is damaged: it does not begin with an input", at: location)
    }
    var builder = ArchitectureBuilder(input: shape)
    var values = [builder.input]
    for node in nodes.dropFirst() {
      values.append(builder.append(node.name, node.layer, node.inputs.map { values[$0] }))
    }
    return builder.build(name, initialization: initialization)
      .normalizing(mean: mean, standardDeviation: standardDeviation)
  }

  /// Every node reads earlier ones of fitting shapes, names are unique, sizes are sane.
  private func validate(at location: String) throws(InputError) {
    func fail(_ node: Node, _ problem: String) -> InputError {
      InputError("the architecture is damaged: \(problem)", at: "\(location), node '\(node.name)'")
    }
    /// A floating-point product, since that of a damaged file's sizes may fit no integer.
    func size(_ shape: some Sequence<Int>) -> Double { shape.reduce(1) { $0 * Double($1) } }
    guard case .input(let shape)? = nodes.first?.layer, !shape.isEmpty,
      shape.allSatisfy({ (1...1 << 20).contains($0) }), size(shape) <= Architecture.largestSize
    else {
      throw InputError("the architecture is damaged: it does not begin with an input", at: location)
    }
    var shapes = [shape]
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
      multiplyAdds += weights * size(output.dropFirst())
      guard size(output) <= Architecture.largestSize, weights <= Architecture.largestSize,
        multiplyAdds <= Architecture.mostMultiplyAdds
      else { throw fail(node, "it is too large") }
      shapes.append(output)
    }
  }
}
