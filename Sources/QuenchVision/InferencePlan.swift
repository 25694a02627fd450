import QuenchTorch

/// A frozen network made ready to run fast: batch norm folded, weights packed once, convolution, bias, addition and
/// ReLU in one operator each.
///
/// Equal to the network in evaluation mode up to rounding: in float32 to 1e-4 of the largest logit, in bfloat16
/// with the same top class on at least 99 % of images. Holds its own weights: training the network on does not
/// change it. An imported network is computed as it is, in float32.
public struct InferencePlan {
  /// One operator of the plan: what it computes and where it takes its operands from.
  private struct Step {
    var kind: Kind
    /// The step's result replaces this node's output.
    let output: Int
    /// Whether the plan holds only as long as this output is of an ordinary size: see ``OutputBounds``.
    var isGuarded = false
    /// Nodes whose outputs no later step reads.
    var released: [Int] = []

    enum Kind {
      case conv(PackedConvolution)
      case node(Int)
    }
  }

  private let network: Network
  private let steps: [Step]
  /// The element type that layers compute in; logits come back in float32.
  public let dtype: DType

  /// - Parameters:
  ///   - network: Copied; it stays as it is.
  ///   - batchSize: What weights are packed for; other sizes compute the same, at times slower.
  ///   - dtype: nil picks ``fastest(on:)``.
  public init(_ network: Network, batchSize: Int = 64, dtype: DType? = nil) {
    // An imported graph computes in the types that it was exported with.
    let dtype = network.isImported ? .float32 : dtype ?? InferencePlan.fastest(on: network.device)
    let folded = network.foldingBatchNorm()
    folded.convert(to: dtype)
    folded.setTrainable(false)
    self.network = folded
    self.dtype = dtype
    steps = withoutGradient { InferencePlan.steps(of: folded, batchSize: batchSize) }
  }

  /// `[C, H, W]` of the images that it takes.
  public var inputShape: [Int] { network.architecture.inputShape }
  public var device: Device { network.device }

  /// bfloat16 where the device is faster with it, else float32; on a processor by ``BFloat16Gain``, where
  /// nothing is settled in ``SettledPrecision``.
  public static func fastest(on device: Device) -> DType {
    if let settled = SettledPrecision.inference { return settled }
    return device != .cpu || BFloat16Gain.ofThisMachine.isWorthInference ? .bfloat16 : .float32
  }

  /// Logits `[N, classes]`, float32, for pixels in [0, 1], `[N, C, H, W]`.
  public func callAsFunction(_ images: Tensor) -> Tensor {
    withoutGradient {
      var values = [Tensor?](repeating: nil, count: network.architecture.nodes.count)
      values[0] = network.normalized(images).to(dtype)
      for step in steps {
        values[step.output] =
          switch step.kind {
          case .node(let position): network.output(of: position, values)
          case .conv(let conv): conv(values)
          }
        if step.isGuarded, let value = values[step.output],
          !(value.abs().max().item() <= OutputBounds.largestActivation)
        {
          return unfused(images)
        }
        for node in step.released { values[node] = nil }
      }
      return values.compactMap { $0 }.last?.to(.float32) ?? images
    }
  }

  /// The same logits, one operator a node: NaN and infinity stay what they are.
  private func unfused(_ images: Tensor) -> Tensor {
    var values: [Tensor?] = [network.normalized(images).to(dtype)]
    for position in network.architecture.nodes.indices.dropFirst() {
      values.append(network.output(of: position, values))
    }
    return values.compactMap { $0 }.last?.to(.float32) ?? images
  }

  /// Far beyond what noise makes of pixels in [0, 1].
  private static let largestPixel = 1e3

  /// Every convolution takes the addition and the ReLU that follow it into its own step, where nobody else reads
  /// what lies between. oneDNN's own ReLU makes 0 of NaN, so that a network which runs over would answer like a sound
  /// one: it is taken only where that cannot be.
  private static func steps(of network: Network, batchSize: Int) -> [Step] {
    let nodes = network.architecture.nodes
    let shapes = network.architecture.shapes
    let consumers = network.architecture.consumers
    let bounds = OutputBounds(of: network, pixels: largestPixel)
    func onlyReader(_ position: Int) -> Int? { consumers[position].count == 1 ? consumers[position].first : nil }

    var steps: [Step] = []
    var absorbed = Set<Int>([0])
    for (position, node) in nodes.enumerated() where !absorbed.contains(position) {
      guard case .conv2d(let layer) = node.layer else {
        steps.append(Step(kind: .node(position), output: position))
        continue
      }
      var output = position
      var addend: Int?
      if let reader = onlyReader(position), nodes[reader].layer == .add,
        let other = nodes[reader].inputs.first(where: { $0 != position }), other < position
      {
        addend = other
        output = reader
        absorbed.insert(output)
      }
      let isFinite = bounds.isFinite(output)
      let relu = onlyReader(output).flatMap { isFinite && nodes[$0].layer == .relu ? $0 : nil }
      output = relu ?? output
      absorbed.insert(output)
      let weights = network.parameters.filter { $0.node == position }.map(\.tensor)
      let conv = PackedConvolution(
        layer, weight: weights[0], bias: weights.count > 1 ? weights[1] : nil, input: node.inputs[0],
        inputShape: [batchSize] + shapes[node.inputs[0]], addend: addend, relu: relu != nil)
      steps.append(Step(kind: .conv(conv), output: output))
    }
    for index in steps.indices { steps[index].isGuarded = bounds.guarded.contains(steps[index].output) }
    return releasing(steps, nodes)
  }

  /// Notes at each step which outputs it is the last to read, so that their memory is free for the next.
  private static func releasing(_ steps: [Step], _ nodes: [Architecture.Node]) -> [Step] {
    var steps = steps
    var seen = Set<Int>()
    for index in steps.indices.reversed() {
      let inputs =
        switch steps[index].kind {
        case .node(let position): nodes[position].inputs
        case .conv(let conv): [conv.input] + (conv.addend.map { [$0] } ?? [])
        }
      steps[index].released = inputs.filter { seen.insert($0).inserted }
      if case .conv(var conv) = steps[index].kind, let addend = conv.addend, addend > 0 {
        conv.overwritesAddend = steps[index].released.contains(addend)
        steps[index].kind = .conv(conv)
      }
    }
    return steps
  }
}

/// A convolution with its bias, an addition and a ReLU as one operator where oneDNN offers it, with weights in
/// oneDNN's own order.
private struct PackedConvolution {
  private static let packOperator = Operator("mkldnn::_reorder_convolution_weight")
  private static let fusedOperator = Operator("mkldnn::_convolution_pointwise")
  private static let fusedAddOperator = Operator("mkldnn::_convolution_pointwise.binary")
  private static let fusedAddInPlaceOperator = Operator("mkldnn::_convolution_pointwise_.binary")

  let layer: Conv2d
  let weight: Tensor
  let bias: Tensor?
  /// The nodes that it reads.
  let input: Int
  let addend: Int?
  let relu: Bool
  /// Whether nobody reads the addend afterwards, so that the sum may take its memory.
  var overwritesAddend = false
  private let isPacked: Bool

  init(
    _ layer: Conv2d, weight: Tensor, bias: Tensor?, input: Int, inputShape: [Int], addend: Int?, relu: Bool
  ) {
    self.layer = layer
    self.bias = bias?.detached()
    self.input = input
    self.addend = addend
    self.relu = relu
    let isOffered = weight.dtype != .bfloat16 || LibTorch.offersBFloat16
    isPacked = weight.device == .cpu && isOffered && Self.packOperator.isAvailable
    let weight = weight.detached()
    self.weight =
      isPacked
      ? Self.packOperator(weight, pair(layer.padding), pair(layer.stride), [1, 1], layer.groups, inputShape)
      : weight
  }

  func callAsFunction(_ values: [Tensor?]) -> Tensor {
    guard let x = values[input] else { preconditionFailure("a plan's steps are in order") }
    let other = addend.flatMap { values[$0] }
    guard isPacked else {
      let sum = x.conv2d(weight, bias: bias, stride: layer.stride, padding: layer.padding, groups: layer.groups)
      if let other { sum += other }
      return relu ? sum.reluInPlace() : sum
    }
    guard let other else {
      return Self.fusedOperator(
        x, weight, bias, pair(layer.padding), pair(layer.stride), [1, 1], layer.groups, relu ? "relu" : "none",
        [Int](), String?.none)
    }
    let unary = relu ? "relu" : String?.none
    return overwritesAddend
      ? Self.fusedAddInPlaceOperator(
        other, x, weight, bias, pair(layer.padding), pair(layer.stride), [1, 1], layer.groups, "add", 1.0, unary,
        [Int](), String?.none)
      : Self.fusedAddOperator(
        x, other, weight, bias, pair(layer.padding), pair(layer.stride), [1, 1], layer.groups, "add", 1.0, unary,
        [Int](), String?.none)
  }
}

private func pair(_ value: Int) -> [Int] { [value, value] }
