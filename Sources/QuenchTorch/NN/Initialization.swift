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
