import QuenchSupport

/// A declared network with its weights.
///
/// Parameters and buffers carry PyTorch's state-dict names. Images come in as pixels in [0, 1], `[N, C, H, W]`.
public final class Network {
  /// A named tensor of a network.
  public struct Entry {
    /// PyTorch's state-dict name: `layer1.0.conv1.weight`.
    public let name: String
    public var tensor: Tensor
    /// The node that it belongs to.
    public let node: Int
  }

  public let architecture: Architecture
  /// Learned tensors, in the order of the nodes; leaves of autograd.
  public private(set) var parameters: [Entry]
  /// Batch-norm statistics, in the order of the nodes.
  public private(set) var buffers: [Entry]
  /// Whether batch norm uses the batch's statistics and updates the running ones.
  public var isTraining = false

  private let mean: Tensor?
  private let scale: Tensor?
  /// The first parameter and the first buffer of each node.
  private let offsets: [(parameter: Int, buffer: Int)]
  /// For each node the inputs that no later node reads.
  private let lastUses: [[Int]]
  /// Nodes that may overwrite their first input.
  private let worksInPlace: [Bool]

  /// A network with freshly drawn weights.
  public init(_ architecture: Architecture, seed: UInt64, device: Device = .cpu) {
    self.architecture = architecture
    let generator = Generator(seed: seed, for: "init")
    var parameters: [Entry] = []
    var buffers: [Entry] = []
    var offsets: [(parameter: Int, buffer: Int)] = []
    for (position, node) in architecture.nodes.enumerated() {
      offsets.append((parameters.count, buffers.count))
      for (name, shape) in node.layer.parameters {
        let value = architecture.initialization.draw(node.layer, name, shape, using: generator)
        let placed = value.to(device).inConvolutionLayout().requiringGrad()
        parameters.append(Entry(name: "\(node.name).\(name)", tensor: placed, node: position))
      }
      for (name, shape, dtype) in node.layer.buffers {
        let value = Tensor.full(shape, name == "running_var" ? 1 : 0, dtype: dtype, device: device)
        buffers.append(Entry(name: "\(node.name).\(name)", tensor: value, node: position))
      }
    }
    self.parameters = parameters
    self.buffers = buffers
    self.offsets = offsets
    func perChannel(_ values: [Double]) -> Tensor? {
      values.isEmpty ? nil : Tensor(values.map(Float.init), shape: [1, values.count, 1, 1]).to(device)
    }
    mean = perChannel(architecture.mean)
    scale = perChannel(architecture.standardDeviation.map { 1 / $0 })
    lastUses = Network.lastUses(architecture)
    worksInPlace = Network.worksInPlace(architecture)
  }

  public var device: Device { parameters.first?.tensor.device ?? .cpu }
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
    var values = [Tensor?](repeating: nil, count: architecture.nodes.count)
    values[0] = normalized(images)
    for position in architecture.nodes.indices.dropFirst() {
      values[position] = output(of: position, values, weights, updatingStatistics)
      for input in lastUses[position] { values[input] = nil }
    }
    guard let last = values.last, let output = last else { ProgrammingError.stop("a network without nodes") }
    return output
  }

  /// Channels-last images normalised by the architecture's constants.
  package func normalized(_ images: Tensor) -> Tensor {
    let images = images.contiguous(images.rank == 4 ? .channelsLast : .contiguous)
    guard let mean, let scale else { return images }
    return (images - mean) * scale
  }

  /// The output of one node, from those of the nodes that it reads.
  package func output(
    of position: Int, _ values: [Tensor?], _ weights: [Tensor]? = nil, _ updatingStatistics: Bool = false
  ) -> Tensor {
    let node = architecture.nodes[position]
    func input(_ index: Int = 0) -> Tensor {
      guard let value = values[node.inputs[index]] else { ProgrammingError.stop("\(node.name): input is gone") }
      return value
    }
    func parameter(_ index: Int) -> Tensor {
      weights?[offsets[position].parameter + index] ?? parameters[offsets[position].parameter + index].tensor
    }
    func buffer(_ index: Int) -> Tensor { buffers[offsets[position].buffer + index].tensor }

    switch node.layer {
    case .input: return input()
    case .conv2d(let conv):
      return input().conv2d(
        parameter(0), bias: conv.bias ? parameter(1) : nil, stride: conv.stride, padding: conv.padding,
        groups: conv.groups)
    case .convTranspose2d(let conv):
      return input().convTranspose2d(
        parameter(0), bias: conv.bias ? parameter(1) : nil, stride: conv.stride, padding: conv.padding)
    case .batchNorm(let norm):
      let keepsStatistics = !isTraining || updatingStatistics
      if isTraining && updatingStatistics { withoutGradient { buffers[offsets[position].buffer + 2].tensor += 1 } }
      return input().batchNorm(
        weight: parameter(0), bias: parameter(1), runningMean: keepsStatistics ? buffer(0) : nil,
        runningVariance: keepsStatistics ? buffer(1) : nil, training: isTraining, momentum: norm.momentum,
        epsilon: norm.epsilon)
    case .linear(let linear): return input().linear(parameter(0), bias: linear.bias ? parameter(1) : nil)
    case .relu: return worksInPlace[position] ? input().reluInPlace() : input().relu()
    case .sigmoid: return input().sigmoid()
    case .tanh: return input().tanh()
    case .maxPool(let kernel, let stride, let padding):
      return input().maxPool2d(kernel, stride: stride, padding: padding)
    case .averagePool(let kernel, let stride): return input().avgPool2d(kernel, stride: stride)
    case .adaptiveAveragePool(let size):
      return size == 1 ? input().mean([2, 3], keepDimensions: true) : input().adaptiveAvgPool2d(size)
    case .flatten: return input().flattened(from: 1)
    case .add:
      guard worksInPlace[position] else { return input(0) + input(1) }
      let sum = input(0)
      sum += input(1)
      return sum
    case .subtract: return input(0) - input(1)
    case .zeroPadShortcut(let stride, let positions, let channels):
      return input().zeroPadShortcut(stride: stride, positions: positions, channels: channels)
    }
  }
}

// MARK: - Parameters

extension Network {
  /// What weight pruning works on: the weights of convolutions and linear layers, as positions in ``parameters``.
  public var prunable: [Int] {
    parameters.indices.filter { index in
      architecture.nodes[parameters[index].node].layer.isPrunable && parameters[index].name.hasSuffix(".weight")
    }
  }

  /// The parameters' tensors in their order, those at `positions` replaced: what a masked or perturbed pass
  /// computes with.
  public func weights(replacing positions: [Int], with tensors: [Tensor]) -> [Tensor] {
    var weights = parameters.map(\.tensor)
    for (position, tensor) in zip(positions, tensors) { weights[position] = tensor }
    return weights
  }

  /// All parameters and buffers by name, in PyTorch's order: node by node, parameters before buffers.
  public var state: StateDictionary {
    StateDictionary(
      architecture.nodes.indices.flatMap { position in
        (parameters.filter { $0.node == position } + buffers.filter { $0.node == position })
          .map { ($0.name, $0.tensor.detached()) }
      })
  }

  /// Copies weights and statistics from `state`, strictly: every name of the network, each of its shape, and no
  /// other. A missing `num_batches_tracked`, which no computation reads, is allowed.
  /// - Parameters:
  ///   - state: Tensors under the network's own names.
  ///   - location: Where the state came from, for errors: usually the file's path.
  /// - Throws: `InputError` that lists missing and unknown names, or a tensor of a wrong shape or type.
  public func load(_ state: StateDictionary, from location: String) throws(InputError) {
    let own = parameters + buffers
    let optional = "num_batches_tracked"
    let missing = own.map(\.name).filter { state[$0] == nil && !$0.hasSuffix(optional) }
    let names = Set(own.map(\.name))
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
    return twin
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
  /// in float32 where `dtype` has only 16 bits, as under autocast.
  public func convert(to dtype: DType) {
    func target(_ entry: Entry) -> DType {
      guard case .batchNorm = architecture.nodes[entry.node].layer, dtype.byteCount < 4 else { return dtype }
      return .float32
    }
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

// MARK: - Memory

extension Network {
  private static func lastUses(_ architecture: Architecture) -> [[Int]] {
    var uses = [[Int]](repeating: [], count: architecture.nodes.count)
    for (position, readers) in architecture.consumers.enumerated() {
      if let last = readers.max() { uses[last].append(position) }
    }
    return uses
  }

  /// ReLU and addition overwrite what a convolution, batch norm, linear layer or addition made for them alone: none
  /// of those needs its output again to be differentiated.
  private static func worksInPlace(_ architecture: Architecture) -> [Bool] {
    let consumers = architecture.consumers
    return architecture.nodes.map { node in
      guard node.layer == .relu || node.layer == .add, let first = node.inputs.first,
        consumers[first].count == 1
      else { return false }
      switch architecture.nodes[first].layer {
      case .conv2d, .convTranspose2d, .batchNorm, .linear, .add, .subtract: return true
      default: return false
      }
    }
  }
}

extension Tensor {
  /// Convolution weights lie channels-last, as the images do.
  fileprivate func inConvolutionLayout() -> Tensor { rank == 4 ? contiguous(.channelsLast) : self }

  /// ``Layer/zeroPadShortcut(stride:positions:channels:)`` on `[N, C, H, W]`.
  func zeroPadShortcut(stride: Int, positions: [Int], channels: Int) -> Tensor {
    let picked =
      stride == 1
      ? self : self[TensorIndex.all, TensorIndex.all, TensorIndex.every(stride), TensorIndex.every(stride)]
    guard let first = positions.first, let last = positions.last else {
      return picked.sum([1], keepDimensions: true).zerosLike().expanded([size(0), channels, -1, -1])
    }
    if last - first == positions.count - 1 { return picked.padded([0, 0, 0, 0, first, channels - 1 - last]) }
    var source = [Int](repeating: positions.count, count: channels)
    for (index, position) in positions.enumerated() { source[position] = index }
    return picked.padded([0, 0, 0, 0, 0, 1]).selecting(Tensor(source).to(device), 1)
  }
}

extension Initialization {
  /// The first value of a layer's parameter.
  func draw(_ layer: Layer, _ name: String, _ shape: [Int], using generator: Generator) -> Tensor {
    let rule: Rule
    let fanIn: Int
    let fanOut: Int
    switch layer {
    case .conv2d(let conv):
      rule = convolution
      fanIn = conv.inputs / conv.groups * conv.kernel * conv.kernel
      fanOut = conv.outputs / conv.groups * conv.kernel * conv.kernel
    case .convTranspose2d(let conv):  // PyTorch takes the fan-in of the weight as it lies, [inputs, outputs, ...]
      rule = convolution
      fanIn = conv.outputs * conv.kernel * conv.kernel
      fanOut = conv.inputs * conv.kernel * conv.kernel
    case .linear(let linear):
      rule = self.linear
      fanIn = linear.inputs
      fanOut = linear.outputs
    default: return Tensor.full(shape, name == "weight" ? 1 : 0)
    }
    let bound = 1 / Double(fanIn).squareRoot()
    guard name == "weight" else {
      return rule == .uniform ? .uniform(shape, -bound, bound, using: generator) : .zeros(shape)
    }
    switch rule {
    case .kaimingFanIn:
      return .normal(shape, standardDeviation: (2 / Double(fanIn)).squareRoot(), using: generator)
    case .kaimingFanOut:
      return .normal(shape, standardDeviation: (2 / Double(fanOut)).squareRoot(), using: generator)
    case .uniform: return .uniform(shape, -bound, bound, using: generator)
    case .smallNormal: return .normal(shape, standardDeviation: 0.01, using: generator)
    }
  }
}
