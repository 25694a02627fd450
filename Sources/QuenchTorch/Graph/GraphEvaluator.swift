import QuenchSupport

/// Computes a graph with the tensors that a ``Network`` holds for it, in the caller's modes: autocast is as the caller has
/// it but where the graph itself turns it on or off.
struct GraphEvaluator {
  /// Where a held tensor lies among a network's.
  enum Place {
    case parameter(Int)
    case buffer(Int)
    /// In the graph itself.
    case constant(Tensor)
  }

  let graph: OperatorGraph
  /// What errors call the network.
  let name: String
  private let program: GraphProgram
  private let places: [Place]

  /// - Parameter callsFused: Whether the graph may call oneDNN's fused operators.
  /// - Throws: `InputError` if the graph can't be computed: an operator is unknown, an argument doesn't fit its schema, a
  ///   value is read before it is computed.
  init(_ graph: OperatorGraph, at name: String, callsFused: Bool = false) throws(InputError) {
    self.graph = graph
    self.name = name
    program = try GraphProgram(graph, at: name, callsFused: callsFused)
    var (parameters, buffers) = (0, 0)
    places = graph.held.map { held in
      if let elements = held.elements { return .constant(Tensor(elements).reshaped(held.shape)) }
      if held.isLearned {
        parameters += 1
        return .parameter(parameters - 1)
      }
      buffers += 1
      return .buffer(buffers - 1)
    }
  }

  /// The first node whose computation in training is not in the graph.
  var frozenNode: OperatorGraph.Node? { program.frozenNode.map { graph.nodes[$0] } }

  /// Computes the output.
  /// - Parameters:
  ///   - images: Of a shape in ``OperatorGraph/Input/sizes``.
  ///   - parameters: The learned tensors, in the order in which the graph holds them.
  ///   - buffers: The others, likewise.
  ///   - isTraining: Whether batch norms use the batch's statistics and dropout drops, by LibTorch's own generator.
  ///   - updatingStatistics: Whether a training pass updates the running statistics.
  ///   - keepsValues: Whether no value that `observe` sees is written over later.
  ///   - world: Whose images together are a training pass's batch.
  ///   - observe: Sees each node with the values at hand after it was computed.
  /// - Returns: `[N]` and ``OperatorGraph/outputShape``.
  /// - Throws: `InputError` if the images have another shape, or LibTorch refuses an operator: it names the node.
  func callAsFunction(
    _ images: Tensor, parameters: [Tensor], buffers: [Tensor], isTraining: Bool, updatingStatistics: Bool,
    keepsValues: Bool = true, world: World = .alone,
    observe: ((_ node: Int, _ values: GraphValues) -> Void)? = nil
  ) throws(InputError) -> Tensor {
    try checkShape(images)
    var values = GraphValues(count: graph.valueNames.count, device: images.device)
    values.isTraining = isTraining
    values.world = world
    values.keepsStatistics = isTraining && !updatingStatistics
    values.mayWorkInPlace = observe == nil || !keepsValues
    values.set(graph.input.value.index, program.writesToInput ? images.cloned() : images)
    for (held, place) in zip(graph.held, places) {
      switch place {
      case .parameter(let index): values.set(held.value.index, parameters[index])
      case .buffer(let index): values.set(held.value.index, buffers[index])
      case .constant(let tensor): values.set(held.value.index, tensor.to(images.device))
      }
    }
    for step in program.steps {
      let node = graph.nodes[step.node]
      do throws(GraphValues.Failure) { try values.compute(step, node) } catch {
        throw error.told(of: node, at: name)
      }
      if isTraining, updatingStatistics, let counter = step.counter, case .buffer(let index) = places[counter] {
        withoutGradient { buffers[index] += 1 }
      }
      observe?(step.node, values)
      values.release(step.frees)
    }
    let shape = [images.size(0)] + graph.outputShape
    guard let output = values.tensor(graph.output.index), output.shape == shape, output.dtype.isFloatingPoint else {
      throw InputError(
        "the output has another shape than the network says", at: name, expected: "\(shape)",
        found: values.tensor(graph.output.index)?.summary)
    }
    return output
  }

  private func checkShape(_ images: Tensor) throws(InputError) {
    let sizes = graph.input.sizes
    let shape = images.shape
    guard shape.count == sizes.count, zip(sizes, shape).allSatisfy({ $0.contains($1) }) else {
      let isBatch = shape.count == sizes.count && zip(sizes, shape).dropFirst().allSatisfy { $0.contains($1) }
      throw InputError(
        "the images have a shape that the network was not exported for", at: name,
        expected: graph.input.sizeText, found: "\(shape)",
        remedy: isBatch
          ? "export it with a free batch size: dynamic_shapes=({0: torch.export.Dim(\"batch\")},)" : nil)
    }
  }
}

extension OperatorGraph.Held {
  /// Whether it is a parameter that derivatives are taken of.
  var isLearned: Bool { kind == .parameter && dtype.isFloatingPoint }
}

extension OperatorGraph.Input {
  /// The sizes in words, batch first: `N x 3 x 224 x 224`, `N (1 to 64) x 3 x H x W`.
  public var sizeText: String {
    let free = ["N", "C", "H", "W"]
    return sizes.enumerated().map { dimension, range in
      if range.lowerBound == range.upperBound { return "\(range.lowerBound)" }
      let name = dimension < free.count ? free[dimension] : "size \(dimension)"
      if range.upperBound < .max { return "\(name) (\(range.lowerBound) to \(range.upperBound))" }
      return range.lowerBound > 1 ? "\(name) (\(range.lowerBound) or more)" : name
    }
    .joined(separator: " x ")
  }
}
