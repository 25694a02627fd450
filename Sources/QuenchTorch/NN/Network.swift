import QuenchSupport

/// A network with its weights.
///
/// Parameters and buffers carry PyTorch's state-dict names. Images come in as pixels in [0, 1], `[N, C, H, W]`.
public final class Network {
  /// A named tensor of a network.
  public struct Entry {
    /// PyTorch's state-dict name: `layer1.0.conv1.weight`.
    public let name: String
    public var tensor: Tensor
    /// Whether the state holds it: a constant of an imported program is a buffer that the state leaves out.
    public var isSaved = true
  }

  public internal(set) var architecture: Architecture
  /// Learned tensors, in the order in which the graph holds them; leaves of autograd.
  public private(set) var parameters: [Entry]
  /// Batch-norm statistics and whatever else the graph reads, in the order in which it holds them.
  public private(set) var buffers: [Entry]
  /// Whether batch norm uses the batch's statistics and updates the running ones.
  public var isTraining = false
  /// Whose images a pass's derivatives are of, and in training its batch-norm statistics: each rank computes with its own
  /// part of a batch.
  public var world = World.alone

  private let mean: Tensor?
  private let scale: Tensor?
  /// What computes the network.
  let evaluator: Result<GraphEvaluator, InputError>
  /// The operators that compute the network.
  public var graph: OperatorGraph { architecture.graph }
  /// The type that images come to the graph in.
  private(set) var inputDType: DType

  /// A network with freshly drawn weights; those of an imported network, whose rule nobody knows, are one until they are
  /// loaded.
  public convenience init(_ architecture: Architecture, seed: UInt64, device: Device = .cpu) {
    let graph = architecture.graph
    let generator = Generator(seed: seed, for: "init")
    let uses = graph.weightUses
    var parameters: [Entry] = []
    var buffers: [Entry] = []
    for held in graph.heldByNetwork {
      let isOne = held.isLearned || held.name.hasSuffix("running_var")
      var value = Tensor.full(held.shape, isOne ? 1 : 0, dtype: held.dtype, device: device)
      if held.isLearned, let rule = architecture.initialization, let use = uses[held.value] {
        value = rule.draw(graph.nodes[use.node], use.argument, use.weightShape, held.shape, using: generator)
          .to(device).contiguous(held.shape.count == 4 ? graph.input.memoryFormat : .contiguous)
      }
      let entry = Entry(
        name: held.name, tensor: held.isLearned ? value.requiringGrad() : value, isSaved: held.kind != .constant)
      if held.isLearned { parameters.append(entry) } else { buffers.append(entry) }
    }
    self.init(architecture, parameters: parameters, buffers: buffers, device: device)
  }

  /// A network of tensors at hand.
  /// - Parameters:
  ///   - parameters: Those that the graph learns, in the order in which it holds them.
  ///   - buffers: The others, likewise.
  ///   - device: Where all of them are.
  ///   - callsFused: Whether the graph may call oneDNN's fused operators, as one that was planned does.
  init(
    _ architecture: Architecture, parameters: [Entry], buffers: [Entry], device: Device, callsFused: Bool = false
  ) {
    self.architecture = architecture
    let graph = architecture.graph
    inputDType = graph.input.dtype
    evaluator = Result { () throws(InputError) -> GraphEvaluator in
      try GraphEvaluator(graph, at: architecture.name, callsFused: callsFused)
    }
    self.parameters = parameters
    self.buffers = buffers
    func perChannel(_ values: [Double]) -> Tensor? {
      values.isEmpty ? nil : Tensor(values.map(Float.init), shape: [1, values.count, 1, 1]).to(device)
    }
    mean = perChannel(architecture.mean)
    scale = perChannel(architecture.standardDeviation.map { 1 / $0 })
  }

  public var device: Device { (parameters.first ?? buffers.first)?.tensor.device ?? .cpu }
  public var dtype: DType { parameters.first?.tensor.dtype ?? .float32 }

  /// The output for `images`.
  /// - Parameters:
  ///   - images: Pixels in [0, 1], `[N, C, H, W]`.
  ///   - weights: Tensors to compute with in place of ``parameters``, in their order: masked, perturbed or averaged
  ///     ones.
  ///   - updatingStatistics: Whether a training pass updates the running statistics.
  /// - Returns: Logits `[N, classes]` for a classifier.
  public func callAsFunction(
    _ images: Tensor, weights: [Tensor]? = nil, updatingStatistics: Bool = true
  ) -> Tensor {
    let result = Result { () throws(InputError) -> Tensor in
      try evaluate(images, weights: weights, updatingStatistics: updatingStatistics)
    }
    switch result {
    case .success(let output): return output
    case .failure(let error): ProgrammingError.stop("\(error)")
    }
  }

  /// Images normalized by the architecture's constants, in the order in memory that the graph wants.
  package func normalized(_ images: Tensor) -> Tensor {
    let images = images.contiguous(images.rank == 4 ? graph.input.memoryFormat : .contiguous)
    guard let mean, let scale else { return images }
    return (images - mean) * scale
  }

  /// Makes an imported network one for images of another shape `[channels, height, width]`, where it was exported for such.
  /// - Throws: `InputError` if it was not, or can't be computed on them.
  public func adapt(to imageShape: [Int]) throws(InputError) {
    guard imageShape != architecture.inputShape else { return }
    guard graph.input.accepts(imageShape) else {
      throw InputError(
        "the network does not take images of this size", at: architecture.name, expected: architecture.inputText,
        found: imageShape.map(String.init).joined(separator: " x "))
    }
    architecture.graph.input.example = [1] + imageShape
    try measure()
  }
}

// MARK: - Parameters

extension Network {
  /// What weight pruning works on: the weights of convolutions, linear layers and matrix products, as positions in
  /// ``parameters``.
  public var prunable: [Int] {
    let names = Set(graph.prunable.map(\.name))
    return parameters.indices.filter { names.contains(parameters[$0].name) }
  }

  /// The parameters' tensors in their order, those at `positions` replaced: what a masked or perturbed pass
  /// computes with.
  public func weights(replacing positions: [Int], with tensors: [Tensor]) -> [Tensor] {
    var weights = parameters.map(\.tensor)
    for (position, tensor) in zip(positions, tensors) { weights[position] = tensor }
    return weights
  }

  /// All parameters and buffers by name, in the order in which the graph holds them. A tensor that a program knows under
  /// several names stands under each.
  public var state: StateDictionary { state(\.isSaved) }

  /// ``state`` with the constants of an imported program: all that a file must hold.
  public var stateWithConstants: StateDictionary { state { _ in true } }

  private func state(_ isWanted: (Entry) -> Bool) -> StateDictionary {
    let entries = Dictionary((parameters + buffers).map { ($0.name, $0) }) { first, _ in first }
    return StateDictionary(
      graph.held.flatMap { held in
        guard let entry = entries[held.name], isWanted(entry) else { return [(String, Tensor)]() }
        return ([held.name] + held.otherNames).map { ($0, entry.tensor.detached()) }
      })
  }

  /// Copies weights and statistics from `state`, strictly: every name of the network, each of its shape, and no
  /// other. A missing `num_batches_tracked`, which no computation reads, is allowed, and so are constants and further names
  /// of a tensor.
  /// - Parameters:
  ///   - state: Tensors under the network's own names.
  ///   - location: Where the state came from, for errors: usually the file's path.
  /// - Throws: `InputError` that lists missing and unknown names, or a tensor of a wrong shape or type.
  public func load(_ state: StateDictionary, from location: String) throws(InputError) {
    let own = parameters + buffers
    let optional = "num_batches_tracked"
    let missing = own.filter { state[$0.name] == nil && $0.isSaved && !$0.name.hasSuffix(optional) }.map(\.name)
    let names = Set(own.map(\.name) + graph.held.flatMap(\.otherNames))
    let unknown = state.keys.filter { !names.contains($0) }
    guard missing.isEmpty, unknown.isEmpty else {
      throw InputError(
        "the weights are not those of \(architecture.name)", at: location,
        expected: missing.isEmpty ? nil : "also " + Network.list(missing),
        found: unknown.isEmpty ? nil : "unknown " + Network.list(unknown),
        remedy: "name the architecture that they were saved from with `model`")
    }
    for entry in own {
      guard let tensor = state[entry.name] else { continue }
      guard tensor.shape == entry.tensor.shape, tensor.dtype.isFloatingPoint == entry.tensor.dtype.isFloatingPoint
      else {
        throw InputError(
          "a tensor has the wrong shape or type", at: "\(location), \(entry.name)", expected: entry.tensor.summary,
          found: tensor.summary)
      }
    }
    withoutGradient {
      for entry in own { if let tensor = state[entry.name] { entry.tensor.copy(from: tensor) } }
    }
  }

  private static func list(_ names: [String]) -> String {
    names.prefix(5).joined(separator: ", ") + (names.count > 5 ? " and \(names.count - 5) more" : "")
  }

  /// A network of the same architecture, type and device with its own copy of every tensor.
  public func copy() -> Network {
    let twin = Network(architecture, seed: 0, device: device)
    twin.convert(to: dtype)
    twin.takeWeights(of: self)
    twin.isTraining = isTraining
    twin.world = world
    return twin
  }

  /// Takes over the tensors of an imported program by name, each of the shape and type that the graph says.
  /// - Throws: `InputError` if one is missing or other than that.
  func adopt(_ tensors: [String: Tensor], from location: String) throws(InputError) {
    for held in graph.heldByNetwork {
      guard let tensor = tensors[held.name] else {
        throw InputError("a tensor is missing", at: location, expected: held.name.quoted)
      }
      guard tensor.shape == held.shape, tensor.dtype == held.dtype else {
        throw InputError(
          "a tensor has the wrong shape or type", at: "\(location), \(held.name)",
          expected: "\(held.shape) \(held.dtype)", found: tensor.summary)
      }
    }
    func taken(_ entry: Entry) -> Tensor { (tensors[entry.name] ?? entry.tensor).detached().contiguous() }
    for (index, entry) in parameters.enumerated() { parameters[index].tensor = taken(entry).requiringGrad() }
    for (index, entry) in buffers.enumerated() { buffers[index].tensor = taken(entry) }
  }

  /// Moves every tensor to `device`; parameters become new leaves.
  public func moveTensors(to device: Device) {
    for (index, entry) in parameters.enumerated() {
      parameters[index].tensor = entry.tensor.detached().to(device).requiringGrad(entry.tensor.requiresGrad)
    }
    for (index, entry) in buffers.enumerated() { buffers[index].tensor = entry.tensor.to(device) }
  }

  /// Copies weights and statistics from a network of the same architecture.
  public func takeWeights(of other: Network) {
    precondition(architecture == other.architecture, "weights of another architecture")
    withoutGradient {
      for (mine, theirs) in zip(parameters + buffers, other.parameters + other.buffers) {
        mine.tensor.copy(from: theirs.tensor)
      }
    }
  }

  /// Converts parameters and floating-point statistics to `dtype`; parameters become new leaves. Batch norms stay
  /// in float32 where `dtype` has only 16 bits, as under autocast. An imported network keeps the types that it was exported
  /// in, unless it is converted to float64.
  public func convert(to dtype: DType) {
    guard !isImported || dtype == .float64 else { return }
    inputDType = dtype
    let norms = batchNormNames
    func target(_ entry: Entry) -> DType { dtype.byteCount < 4 && norms.contains(entry.name) ? .float32 : dtype }
    for (index, entry) in parameters.enumerated() {
      parameters[index].tensor = entry.tensor.detached().to(target(entry)).requiringGrad()
    }
    for (index, entry) in buffers.enumerated() where entry.tensor.dtype.isFloatingPoint {
      buffers[index].tensor = entry.tensor.to(target(entry))
    }
  }

  /// Puts all parameters under autograd's watch, or takes them off it: a frozen network records nothing for them.
  public func setTrainable(_ trainable: Bool) {
    for parameter in parameters { parameter.tensor.requiringGrad(trainable) }
  }
}
