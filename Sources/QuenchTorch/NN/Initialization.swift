/// How a network's weights are drawn before training.
public struct Initialization: Hashable, Codable, Sendable {
  public enum Rule: String, Hashable, Codable, Sendable {
    /// Normal, variance 2 / fan-in.
    case kaimingFanIn
    /// Normal, variance 2 / fan-out.
    case kaimingFanOut
    /// PyTorch's default: uniform within ±1 / √fan-in.
    case uniform
    /// Normal, standard deviation 0.01.
    case smallNormal
  }

  public var convolution = Rule.uniform
  public var linear = Rule.uniform

  public init(convolution: Rule = .uniform, linear: Rule = .uniform) {
    self.convolution = convolution
    self.linear = linear
  }
}

extension Initialization {
  /// The first value of a tensor that `argument` of `node` reads.
  /// - Parameters:
  ///   - weightShape: That of the node's weight.
  ///   - shape: That of the tensor.
  func draw(
    _ node: OperatorGraph.Node, _ argument: String, _ weightShape: [Int], _ shape: [Int], using generator: Generator
  ) -> Tensor {
    let rule: Rule
    let receptive = weightShape.dropFirst(2).reduce(1, *)
    var (fanIn, fanOut) = (0, 0)
    switch node.target {
    case "aten::conv2d":
      rule = convolution
      fanIn = weightShape[1] * receptive
      fanOut = weightShape[0] / (node.integer("groups") ?? 1) * receptive
    case "aten::conv_transpose2d.input":
      // PyTorch takes the fan-in of the weight as it lies, [inputs, outputs, ...].
      rule = convolution
      fanIn = weightShape[1] * receptive
      fanOut = weightShape[0] * receptive
    case "aten::linear":
      rule = linear
      (fanIn, fanOut) = (weightShape[1], weightShape[0])
    default: return Tensor.full(shape, argument == "weight" ? 1 : 0)
    }
    let bound = 1 / Double(fanIn).squareRoot()
    guard argument == "weight" else {
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
