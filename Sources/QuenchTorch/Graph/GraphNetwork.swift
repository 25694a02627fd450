import CTorch
import QuenchSupport

/// A graph of operators with its tensors, which computes logits for images.
///
/// Its tensors carry PyTorch's state-dict names. It runs where its tensors are; nothing in a graph names a device. What
/// a program computes in training beside batch norms' statistics and dropout, such as stochastic depth, is not in a
/// program that was exported in evaluation mode.
public final class GraphNetwork {
  /// A named tensor of a network.
  public struct Entry {
    /// PyTorch's state-dict name: `layer1.0.conv1.weight`.
    public let name: String
    public var tensor: Tensor
    public let value: OperatorGraph.Value
  }

  public let graph: OperatorGraph
  /// What errors call the network: usually a file's path.
  public let name: String
  /// Learned tensors, in the graph's order; leaves of autograd.
  public private(set) var parameters: [Entry] = []
  /// The rest of the state, such as batch norms' statistics.
  public private(set) var buffers: [Entry] = []
  /// What the state leaves out.
  public private(set) var constants: [Entry] = []
  /// Whether batch norms use the batch's statistics and dropout drops, by LibTorch's own generator.
  public private(set) var isTraining = false

  private let program: GraphProgram
  /// For each held tensor its kind's position.
  private var places: [Int] = []

  /// - Parameters:
  ///   - graph: What to compute.
  ///   - tensors: A tensor for each name in ``OperatorGraph/held``, of the shape and type there.
  ///   - name: What errors call the network: usually a file's path.
  /// - Throws: `InputError` if a tensor is missing or other than the graph says, or if the graph can't be computed: an
  ///   operator is unknown, an argument doesn't fit its schema, a value is read before it is computed.
  public init(_ graph: OperatorGraph, tensors: [String: Tensor], name: String) throws(InputError) {
    self.graph = graph
    self.name = name
    program = try GraphProgram(graph, at: name)
    for held in graph.held {
      guard let tensor = tensors[held.name] else {
        throw InputError("a tensor is missing", at: name, expected: held.name.quoted)
      }
      guard tensor.shape == held.shape, tensor.dtype == held.dtype else {
        throw InputError(
          "a tensor has the wrong shape or type", at: "\(name), \(held.name)",
          expected: "\(held.shape) \(held.dtype)", found: tensor.summary)
      }
      let isLeaf = held.kind == .parameter && held.dtype.isFloatingPoint
      let entry = Entry(
        name: held.name, tensor: isLeaf ? tensor.detached().requiringGrad() : tensor, value: held.value)
      switch held.kind {
      case .parameter:
        places.append(parameters.count)
        parameters.append(entry)
      case .buffer:
        places.append(buffers.count)
        buffers.append(entry)
      case .constant:
        places.append(constants.count)
        constants.append(entry)
      }
    }
  }

  public var device: Device { (parameters.first ?? buffers.first ?? constants.first)?.tensor.device ?? .cpu }

  /// Whether ``setTraining(_:)`` can turn training on.
  public var isTrainable: Bool { program.frozenNode == nil }

  /// Turns training on or off.
  /// - Throws: `InputError` if the program was decomposed, which leaves only evaluation in it.
  public func setTraining(_ value: Bool) throws(InputError) {
    if value, let frozen = program.frozenNode {
      let node = graph.nodes[frozen]
      throw InputError(
        "the program computes evaluation only", at: "\(name), node '\(node.name)' (\(node.target))",
        remedy: "export the network again without run_decompositions() to train it")
    }
    isTraining = value
  }

  /// Moves every tensor to `device`; parameters become new leaves.
  public func move(to device: Device) {
    for index in parameters.indices {
      let tensor = parameters[index].tensor
      parameters[index].tensor = tensor.detached().to(device).requiringGrad(tensor.requiresGrad)
    }
    for index in buffers.indices { buffers[index].tensor = buffers[index].tensor.to(device) }
    for index in constants.indices { constants[index].tensor = constants[index].tensor.to(device) }
  }

  /// Puts all parameters under autograd's watch, or takes them off it.
  public func setTrainable(_ trainable: Bool) {
    for parameter in parameters where parameter.tensor.dtype.isFloatingPoint {
      parameter.tensor.requiringGrad(trainable)
    }
  }

  /// All parameters and buffers by name, in the graph's order; one that PyTorch knows under several names stands under
  /// each.
  public var state: StateDictionary {
    StateDictionary(
      zip(graph.held, places).flatMap { held, place -> [(String, Tensor)] in
        let tensor: Tensor
        switch held.kind {
        case .parameter: tensor = parameters[place].tensor.detached()
        case .buffer: tensor = buffers[place].tensor.detached()
        case .constant: return []
        }
        return ([held.name] + held.otherNames).map { ($0, tensor) }
      })
  }

  /// The logits for `images`, as ``evaluate(_:weights:updatingStatistics:)`` computes them. What it throws is a mistake in
  /// the program here: it ends the process.
  public func callAsFunction(
    _ images: Tensor, weights: [Tensor]? = nil, updatingStatistics: Bool = true
  ) -> Tensor {
    let result = Result { () throws(InputError) -> Tensor in
      try evaluate(images, weights: weights, updatingStatistics: updatingStatistics)
    }
    switch result {
    case .success(let logits): return logits
    case .failure(let error): ProgrammingError.stop("\(error)")
    }
  }

  /// The logits for `images`, recorded for differentiation like any other operators.
  /// - Parameters:
  ///   - images: Of a shape in ``OperatorGraph/Input/sizes``, where the network's tensors are.
  ///   - weights: Tensors to compute with in place of ``parameters``, in their order: masked, perturbed or averaged ones.
  ///   - updatingStatistics: Whether a training pass updates the running statistics.
  /// - Returns: Logits `[N, classes]`.
  /// - Throws: `InputError` if the images have another shape, or LibTorch refuses an operator: it names the node.
  public func evaluate(
    _ images: Tensor, weights: [Tensor]? = nil, updatingStatistics: Bool = true
  ) throws(InputError) -> Tensor {
    try evaluate(images, weights: weights, updatingStatistics: updatingStatistics) { _, _ in }
  }

  /// As above; `observe` sees each node of the graph with the values at hand after it was computed.
  func evaluate(
    _ images: Tensor, weights: [Tensor]? = nil, updatingStatistics: Bool = true,
    observe: (_ node: Int, _ values: GraphValues) -> Void
  ) throws(InputError) -> Tensor {
    try checkShape(images)
    var values = GraphValues(count: graph.valueNames.count, device: images.device)
    values.isTraining = isTraining
    values.keepsStatistics = isTraining && !updatingStatistics
    values.set(graph.input.value.index, program.writesToInput ? images.cloned() : images)
    for (index, parameter) in parameters.enumerated() {
      values.set(parameter.value.index, weights?[index] ?? parameter.tensor)
    }
    for entry in buffers { values.set(entry.value.index, entry.tensor) }
    for entry in constants { values.set(entry.value.index, entry.tensor) }
    for step in program.steps {
      let node = graph.nodes[step.node]
      do throws(GraphValues.Failure) { try values.compute(step, node) } catch {
        throw error.told(of: node, at: name)
      }
      if let counter = step.counter, isTraining, updatingStatistics {
        withoutGradient { buffers[places[counter]].tensor += 1 }
      }
      observe(step.node, values)
      values.release(step.frees)
    }
    guard let logits = values.tensor(graph.output.index), logits.rank == 2, logits.size(0) == images.size(0) else {
      throw InputError(
        "the output is no [N, classes]", at: name, expected: "\([images.size(0), graph.classes])",
        found: values.tensor(graph.output.index)?.summary)
    }
    return logits
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

extension OperatorGraph.Input {
  /// The sizes in words, batch first: `N x 3 x 224 x 224`, `N (1 to 64) x 3 x H x W`.
  public var sizeText: String {
    let free = ["N", "C", "H", "W"]
    return sizes.enumerated().map { dimension, range in
      if range.count == 1 { return "\(range.lowerBound)" }
      let name = dimension < free.count ? free[dimension] : "size \(dimension)"
      if range.upperBound < .max { return "\(name) (\(range.lowerBound) to \(range.upperBound))" }
      return range.lowerBound > 1 ? "\(name) (\(range.lowerBound) or more)" : name
    }
    .joined(separator: " x ")
  }
}
