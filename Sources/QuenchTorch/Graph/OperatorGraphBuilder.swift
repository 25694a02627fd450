/// Puts an ``OperatorGraph`` together node by node.
struct OperatorGraphBuilder {
  private var valueNames: [String] = []
  private var held: [OperatorGraph.Held] = []
  private var nodes: [OperatorGraph.Node] = []
  private let input: OperatorGraph.Input

  /// - Parameter shape: Of one sample; any number of them may come together.
  init(input shape: [Int]) {
    input = OperatorGraph.Input(
      value: .init(0), dtype: .float32, sizes: [0...Int.max] + shape.map { $0...$0 }, example: [1] + shape,
      memoryFormat: shape.count == 3 ? .channelsLast : .contiguous)
    valueNames = ["input"]
  }

  var inputValue: OperatorGraph.Value { input.value }

  private mutating func value(_ name: String) -> OperatorGraph.Value {
    valueNames.append(name)
    return OperatorGraph.Value(valueNames.count - 1)
  }

  /// A tensor that the network brings along.
  mutating func hold(
    _ kind: OperatorGraph.Held.Kind, _ name: String, _ shape: [Int], _ dtype: DType = .float32,
    elements: [Int]? = nil
  ) -> OperatorGraph.Operand {
    let value = value(name)
    held.append(.init(kind: kind, name: name, value: value, shape: shape, dtype: dtype, elements: elements))
    return .value(value)
  }

  /// A call of an operator with one result.
  /// - Parameters:
  ///   - name: What the node and its module are called.
  ///   - target: The operator's name in its schema.
  ///   - arguments: By the schema's names.
  ///   - multiplyAdds: For one sample.
  mutating func call(
    _ name: String, _ target: String, _ arguments: KeyValuePairs<String, OperatorGraph.Operand>,
    multiplyAdds: Int = 0
  ) -> OperatorGraph.Value {
    let result = value(name)
    var node = OperatorGraph.Node(
      name: name, target: target, arguments: arguments.map { .init($0.key, $0.value) }, results: [.one(result)],
      module: name)
    node.multiplyAdds = multiplyAdds
    nodes.append(node)
    return result
  }

  /// - Parameters:
  ///   - output: What the network answers with.
  ///   - shape: That of one sample's.
  func build(output: OperatorGraph.Value, shape: [Int]) -> OperatorGraph {
    OperatorGraph(
      valueNames: valueNames, input: input, held: held, nodes: nodes, output: output, outputShape: shape)
  }
}
