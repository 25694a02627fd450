import QuenchTorch

/// Writes a graph of LibTorch's operators as ONNX, node by node. What each operator becomes stands in one file a family.
struct ONNXWriter {
  typealias Node = OperatorGraph.Node
  typealias Attributes = [(String, ONNXGraphBuilder.Attribute)]

  var builder: ONNXGraphBuilder
  let graph: OperatorGraph
  let trace: GraphTrace
  /// What the file calls the values.
  private(set) var names: [OperatorGraph.Value: String]
  private let answer: String

  /// - Parameters:
  ///   - graph: Without operators that write over their operands.
  ///   - trace: The shapes of its values.
  ///   - names: What the file calls the tensors that the graph holds.
  ///   - input: What it calls the graph's input.
  ///   - answer: What it calls the output.
  init(
    _ builder: ONNXGraphBuilder, _ graph: OperatorGraph, _ trace: GraphTrace, names: [OperatorGraph.Value: String],
    input: String, answer: String
  ) {
    self.builder = builder
    self.graph = graph
    self.trace = trace
    self.answer = answer
    self.names = names
    self.names[graph.input.value] = input
  }

  /// Keeps the tensors that a network's nodes read as constants under their names.
  static func hold(
    _ network: Network, in builder: inout ONNXGraphBuilder
  ) throws(ONNXFailure) -> [OperatorGraph.Value: String] {
    let (graph, tensors) = (network.graph, network.heldTensors)
    var names: [OperatorGraph.Value: String] = [:]
    let read = Set(graph.nodes.flatMap(\.reads))
    for held in graph.held where read.contains(held.value) {
      let tensor = held.elements.map { Tensor($0).reshaped(held.shape) } ?? tensors[held.value]
      guard let tensor else { continue }
      names[held.value] = try builder.constant(held.name, tensor)
    }
    return names
  }

  /// Appends what a node computes.
  mutating func append(_ node: Node) throws(ONNXFailure) {
    if node.defines.isEmpty { return }
    if try appendConvolution(node) { return }
    if try appendPooling(node) { return }
    if try appendNormalization(node) { return }
    if try appendProduct(node) { return }
    if try appendArithmetic(node) { return }
    if try appendActivation(node) { return }
    if try appendLayout(node) { return }
    if try appendSelection(node) { return }
    if try appendSize(node) { return }
    throw .unsupported(node, "the operator has no form in ONNX")
  }

  // MARK: - Values

  /// The value that an argument is given, a constant for a number.
  /// - Parameter kind: What its elements are to be; nil for what they are.
  mutating func input(_ node: Node, _ name: String, as kind: ElementKind? = nil) throws(ONNXFailure) -> String {
    if let value = node.value(name) { return try converted(value, node, to: kind) }
    guard let number = node.real(name) else { throw .unsupported(node, "it gives no '\(name)'") }
    return try self.number(number, node, kind ?? .real, name)
  }

  /// Nil for an argument that is left out.
  mutating func optional(_ node: Node, _ name: String) throws(ONNXFailure) -> String? {
    node.value(name) == nil ? nil : try input(node, name)
  }

  private mutating func converted(
    _ value: OperatorGraph.Value, _ node: Node, to kind: ElementKind?
  ) throws(ONNXFailure) -> String {
    let name = try self.name(of: value, node)
    // A number that was computed is an integer.
    let own = trace.dtypes[value.index].map { ElementKind($0) } ?? .integer
    guard let kind, own != kind else { return name }
    return emit("Cast", [name], node, "cast", [("to", .int(Int(kind.code.rawValue)))])
  }

  func name(of value: OperatorGraph.Value, _ node: Node) throws(ONNXFailure) -> String {
    guard let name = names[value] else { throw .unsupported(node, "it reads what ONNX has no form of") }
    return name
  }

  /// The shape of an argument for the batch that was traced.
  func shape(_ node: Node, _ name: String) throws(ONNXFailure) -> [Int] {
    guard let value = node.value(name), let shape = trace.shape(value) else {
      throw .unsupported(node, "the shape of '\(name)' is not known")
    }
    return shape
  }

  /// What the elements of a node's first result are.
  func kind(of node: Node) -> ElementKind {
    node.defines.first.flatMap { trace.dtypes[$0.index] }.map { ElementKind($0) } ?? .integer
  }

  mutating func number(
    _ number: Double, _ node: Node, _ kind: ElementKind, _ name: String
  ) throws(ONNXFailure) -> String {
    try builder.constant("\(node.name)/\(name)", Tensor(number, dtype: kind.dtype))
  }

  mutating func integers(_ values: [Int], _ node: Node, _ name: String) throws(ONNXFailure) -> String {
    try builder.constant("\(node.name)/\(name)", Tensor(values))
  }

  // MARK: - Operators

  /// Appends an operator with one result.
  /// - Parameters:
  ///   - part: What of the node it is; nil for the node's own result.
  @discardableResult mutating func emit(
    _ type: String, _ inputs: [String], _ node: Node, _ part: String? = nil, _ attributes: Attributes = []
  ) -> String {
    if let part {
      return builder.add(
        type, inputs, as: ["\(node.name)/\(part)"], named: "\(node.name)/\(part)", attributes)[0]
    }
    let isAnswer = node.defines.first == graph.output
    let name = builder.add(
      type, inputs, as: [isAnswer ? answer : "\(node.name)/output"], named: node.name, attributes,
      answers: isAnswer)[0]
    if let value = node.defines.first { names[value] = name }
    return name
  }

  /// A result that is a value which is there already.
  mutating func pass(_ name: String, _ node: Node) {
    guard let value = node.defines.first else { return }
    if value == graph.output { emit("Identity", [name], node) } else { names[value] = name }
  }

  /// The results of a node that makes a list.
  mutating func emitList(
    _ type: String, _ inputs: [String], _ node: Node, count: Int, _ attributes: Attributes
  ) throws(ONNXFailure) {
    guard case .list(let values)? = node.results.first, values.count == count else {
      throw .unsupported(node, "it makes another number of tensors than it says")
    }
    let outputs = builder.add(
      type, inputs, as: values.indices.map { "\(node.name)/output_\($0)" }, named: node.name, attributes)
    for (value, name) in zip(values, outputs) { if let value { names[value] = name } }
  }

  mutating func set(_ value: OperatorGraph.Value, _ name: String) { names[value] = name }
}
