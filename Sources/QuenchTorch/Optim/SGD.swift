/// Stochastic gradient descent with momentum, by PyTorch's rule:
///
///     d = gradient + weightDecay · parameter
///     buffer = momentum · buffer + d
///     parameter -= learningRate · (nesterov ? d + momentum · buffer : buffer)
///
/// Buffers start at zero, so that the first one is d.
public final class SGD: Optimizer {
  private static let fusedOperator = Operator("aten::_fused_sgd_")

  public var learningRate: Double
  public let momentum: Double
  public let weightDecay: Double
  public let nesterov: Bool
  public let parameters: [NamedTensor]
  /// One a parameter; none without momentum.
  private let momentumBuffers: [Tensor]

  public init(
    parameters: [NamedTensor], learningRate: Double, momentum: Double = 0, weightDecay: Double = 0,
    nesterov: Bool = false
  ) {
    self.parameters = parameters
    self.learningRate = learningRate
    self.momentum = momentum
    self.weightDecay = weightDecay
    self.nesterov = nesterov
    momentumBuffers = momentum == 0 ? [] : buffers(for: parameters)
  }

  public var state: StateDictionary {
    StateDictionary(zip(parameters, momentumBuffers).map { ("\($0.name).momentum_buffer", $1) })
  }

  public func step(gradients: [Tensor?]) {
    withoutGradient {
      let (indices, gradients) = aligned(gradients, to: parameters)
      guard !indices.isEmpty else { return }
      Self.fusedOperator.run(
        indices.map { parameters[$0].tensor }, gradients, momentum == 0 ? [] : indices.map { momentumBuffers[$0] },
        weightDecay, momentum, learningRate, 0.0, nesterov, false, false)
    }
  }
}
