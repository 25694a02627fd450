/// Adam (Kingma and Ba 2015), and with `decoupledWeightDecay` AdamW (Loshchilov and Hutter 2019), by PyTorch's
/// rules.
public final class Adam: Optimizer {
  private static let adamOperator = Operator("aten::_fused_adam_")
  private static let adamWOperator = Operator("aten::_fused_adamw_")

  public var learningRate: Double
  /// The decay rates of the means of the gradient (β₁) and of its square (β₂).
  public let betas: (first: Double, second: Double)
  /// Added to the root of the squared gradient's mean.
  public let epsilon: Double
  public let weightDecay: Double
  /// Whether weight decay shrinks the parameter itself (AdamW) instead of adding to the gradient.
  public let decoupledWeightDecay: Bool
  public let parameters: [NamedTensor]
  private let means: [Tensor]
  private let squares: [Tensor]
  /// Steps taken so far, one scalar a parameter.
  private let steps: [Tensor]

  public init(
    parameters: [NamedTensor], learningRate: Double, betas: (first: Double, second: Double) = (0.9, 0.999),
    epsilon: Double = 1e-8, weightDecay: Double = 0, decoupledWeightDecay: Bool = false
  ) {
    self.parameters = parameters
    self.learningRate = learningRate
    self.betas = betas
    self.epsilon = epsilon
    self.weightDecay = weightDecay
    self.decoupledWeightDecay = decoupledWeightDecay
    means = buffers(for: parameters)
    squares = buffers(for: parameters)
    steps = parameters.map { Tensor.zeros([], device: $0.tensor.device) }
  }

  public var state: StateDictionary {
    var state = StateDictionary()
    for (index, (name, _)) in parameters.enumerated() {
      state["\(name).exp_avg"] = means[index]
      state["\(name).exp_avg_sq"] = squares[index]
      state["\(name).step"] = steps[index]
    }
    return state
  }

  public func step(gradients: [Tensor?]) {
    withoutGradient {
      let (indices, gradients) = aligned(gradients, to: parameters)
      guard !indices.isEmpty else { return }
      let steps = indices.map { self.steps[$0] }
      Foreach.add(1, to: steps)
      let rule = decoupledWeightDecay ? Self.adamWOperator : Self.adamOperator
      rule.run(
        indices.map { parameters[$0].tensor }, gradients, indices.map { means[$0] }, indices.map { squares[$0] },
        [Tensor](), steps, learningRate, betas.first, betas.second, weightDecay, epsilon, false, false)
    }
  }
}
