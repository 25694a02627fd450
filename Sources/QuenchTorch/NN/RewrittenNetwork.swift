extension Network {
  /// The tensors that the network holds for its graph, by their values there.
  package var heldTensors: [OperatorGraph.Value: Tensor] {
    let learned = graph.heldByNetwork.filter(\.isLearned).map(\.value)
    let others = graph.heldByNetwork.filter { !$0.isLearned }.map(\.value)
    let pairs = Array(zip(learned, parameters.map(\.tensor))) + Array(zip(others, buffers.map(\.tensor)))
    return Dictionary(uniqueKeysWithValues: pairs.map { ($0, $1.detached()) })
  }

  /// The frozen network that another graph makes of images prepared as this one's.
  /// - Parameters:
  ///   - graph: What it holds takes the shapes and types of `tensors`.
  ///   - tensors: All that the graph holds but what stands in itself; taken as they are.
  ///   - dtype: What the prepared images are converted to.
  ///   - callsFused: Whether the graph may call oneDNN's fused operators.
  package func rewritten(
    as graph: OperatorGraph, with tensors: [OperatorGraph.Value: Tensor], in dtype: DType, callsFused: Bool = false
  ) -> Network {
    var graph = graph
    graph.input.dtype = dtype
    graph.input.example = graph.input.example.prefix(1) + architecture.inputShape
    var (parameters, buffers): ([Entry], [Entry]) = ([], [])
    for (position, held) in graph.held.enumerated() where held.elements == nil {
      guard let tensor = tensors[held.value] else { ProgrammingError.stop("\(held.name): no tensor") }
      (graph.held[position].shape, graph.held[position].dtype) = (tensor.shape, tensor.dtype)
      let entry = Entry(name: held.name, tensor: tensor, isSaved: held.kind != .constant)
      if graph.held[position].isLearned { parameters.append(entry) } else { buffers.append(entry) }
    }
    var architecture = architecture
    architecture.graph = graph
    return Network(
      architecture, parameters: parameters, buffers: buffers, device: device, callsFused: callsFused)
  }

  /// The output for `images`, whose values may be written over on the way.
  /// - Parameters:
  ///   - nodes: Nodes whose results are looked at as they are computed, by position.
  ///   - limit: What their sizes are to stay within.
  /// - Returns: nil where one doesn't, or is NaN.
  package func output(for images: Tensor, watching nodes: Set<Int>, limit: Double) -> Tensor? {
    guard !nodes.isEmpty else { return self(images) }
    var isWithin = true
    let output = try? evaluate(images, keepsValues: false) { [graph] position, values in
      guard isWithin, nodes.contains(position) else { return }
      for value in graph.nodes[position].defines {
        if let tensor = values.tensor(value.index), !(tensor.abs().max().item() <= limit) { isWithin = false }
      }
    }
    guard isWithin else { return nil }
    return output ?? self(images)
  }

  /// The output for `images`.
  /// - Parameter observe: Sees every tensor that a node computes.
  package func observed(
    _ images: Tensor,
    _ observe: (_ node: OperatorGraph.Node, _ value: OperatorGraph.Value, _ tensor: Tensor) -> Void
  ) -> Tensor {
    let output = withoutActuallyEscaping(observe) { observe in
      try? evaluate(images) { [graph] position, values in
        for value in graph.nodes[position].defines {
          if let tensor = values.tensor(value.index) { observe(graph.nodes[position], value, tensor) }
        }
      }
    }
    return output ?? self(images)
  }
}
