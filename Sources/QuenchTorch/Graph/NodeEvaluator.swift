import QuenchSupport

/// Computes single nodes of a graph, in evaluation mode, on tensors of the caller's: what an operator makes of channel
/// numbers, say.
package struct NodeEvaluator {
  private let graph: OperatorGraph
  private let program: GraphProgram
  private let name: String
  private var values: GraphValues

  /// - Throws: `InputError` if the graph can't be computed.
  package init(_ graph: OperatorGraph, at name: String) throws(InputError) {
    self.graph = graph
    self.name = name
    program = try GraphProgram(graph, at: name)
    values = GraphValues(count: graph.valueNames.count, device: .cpu)
  }

  /// The tensor that stands for a value; nil where there is none.
  package subscript(value: OperatorGraph.Value) -> Tensor? {
    get { values.tensor(value.index) }
    set { if let newValue { values.set(value.index, newValue) } else { values.release([value.index]) } }
  }

  /// Computes a node of the operands that were set or computed before.
  /// - Throws: `InputError` if LibTorch refuses it or an operand is missing.
  package mutating func compute(_ position: Int) throws(InputError) {
    let node = graph.nodes[position]
    do throws(GraphValues.Failure) { try values.compute(program.steps[position], node) } catch {
      throw error.told(of: node, at: name)
    }
  }
}

extension OperatorGraph.Node {
  /// Computes the node by itself, in evaluation mode.
  /// - Parameters:
  ///   - operands: What the values stand for that the node's arguments read, by their positions.
  ///   - count: How many tensors a list that it makes has; nil for one tensor.
  ///   - location: What errors call the network.
  /// - Throws: `InputError` if the operator is unknown, an argument doesn't fit, or LibTorch refuses to compute it.
  func evaluated(on operands: [Tensor], count: Int?, at location: String) throws(InputError) -> [Tensor] {
    var node = self
    let results = (0..<(count ?? 1)).map { OperatorGraph.Value(operands.count + 1 + $0) }
    node.results = [count == nil ? .one(results[0]) : .list(results)]
    let held = operands.enumerated().map { position, tensor in
      OperatorGraph.Held(
        kind: .constant, name: "\(position)", value: .init(position), shape: tensor.shape, dtype: tensor.dtype)
    }
    let input = OperatorGraph.Value(operands.count)
    let names = [String](repeating: name, count: operands.count + 1 + results.count)
    let graph = OperatorGraph(
      valueNames: names, input: .init(value: input, dtype: .float32, sizes: [], example: []), held: held,
      nodes: [node], output: results.first ?? input, outputShape: [])
    var evaluator = try NodeEvaluator(graph, at: location)
    for (position, tensor) in operands.enumerated() { evaluator[.init(position)] = tensor }
    let computed = withoutGradient { Result { () throws(InputError) in try evaluator.compute(0) } }
    try computed.get()
    var tensors: [Tensor] = []
    for result in results {
      guard let tensor = evaluator[result] else {
        throw InputError(
          "the operator has other results than it should", at: "\(location), node '\(name)' (\(target))")
      }
      tensors.append(tensor)
    }
    return tensors
  }
}
