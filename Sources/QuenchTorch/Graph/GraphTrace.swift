/// What the values of a graph are for a batch of images, as they were seen when it was computed.
package struct GraphTrace {
  /// By value, with the batch; nil for numbers.
  package private(set) var shapes: [[Int]?]
  package private(set) var dtypes: [DType?]

  init(_ graph: OperatorGraph) {
    shapes = [[Int]?](repeating: nil, count: graph.valueNames.count)
    dtypes = [DType?](repeating: nil, count: graph.valueNames.count)
    shapes[graph.input.value.index] = graph.input.example
    dtypes[graph.input.value.index] = graph.input.dtype
    for held in graph.held {
      shapes[held.value.index] = held.shape
      dtypes[held.value.index] = held.dtype
    }
  }

  mutating func note(_ value: OperatorGraph.Value, _ tensor: Tensor) {
    shapes[value.index] = tensor.shape
    dtypes[value.index] = tensor.dtype
  }

  /// The shape of a value; nil for a number.
  package func shape(_ value: OperatorGraph.Value) -> [Int]? { shapes[value.index] }
}
