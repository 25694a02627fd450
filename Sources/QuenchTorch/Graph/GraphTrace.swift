import QuenchSupport

/// What the values of a graph are for a batch of images, as they were seen when it was computed.
package struct GraphTrace {
  /// By value, with the batch; nil for numbers.
  package private(set) var shapes: [[Int]?]
  package private(set) var dtypes: [DType?]

  /// - Parameter batch: How many images; nil for the graph's example.
  init(_ graph: OperatorGraph, batch: Int? = nil) {
    shapes = [[Int]?](repeating: nil, count: graph.valueNames.count)
    dtypes = [DType?](repeating: nil, count: graph.valueNames.count)
    shapes[graph.input.value.index] =
      (batch.map { [$0] } ?? Array(graph.input.example.prefix(1))) + graph.input.example.dropFirst()
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

extension Architecture {
  /// What the values of the graph are for the fewest images that it takes, found by computing it once with zeros for
  /// weights.
  /// - Throws: `InputError` if the graph can't be computed.
  package func trace() throws(InputError) -> GraphTrace {
    let graph = graph
    let evaluator = try GraphEvaluator(graph, at: name)
    let shape = [max(graph.input.sizes[0].lowerBound, 1)] + inputShape
    let images = Tensor.zeros(shape, dtype: graph.input.dtype)
      .contiguous(shape.count == 4 ? graph.input.memoryFormat : .contiguous)
    func zeros(_ isWanted: (OperatorGraph.Held) -> Bool) -> [Tensor] {
      graph.heldByNetwork.filter(isWanted).map { Tensor.zeros([], dtype: $0.dtype).expanded($0.shape) }
    }
    var trace = GraphTrace(graph)
    trace.note(graph.input.value, images)
    let result = withoutGradient {
      Result { () throws(InputError) -> Tensor in
        try evaluator(
          images, parameters: zeros(\.isLearned), buffers: zeros { !$0.isLearned }, isTraining: false,
          updatingStatistics: false
        ) { node, values in
          for value in graph.nodes[node].defines {
            if let tensor = values.tensor(value.index) { trace.note(value, tensor) }
          }
        }
      }
    }
    _ = try result.get()
    return trace
  }
}
