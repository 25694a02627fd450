import Torch

extension Network {
  /// What the outputs of each node stay within in evaluation mode, by the sums of its weights' sizes, for pixels within
  /// ±`pixels`: no finite number where these run over, or a statistic of batch norm is none.
  ///
  /// Within finite bounds there is neither an infinity nor NaN.
  func outputBounds(pixels: Double) -> [Double] {
    var bounds: [Double] = []
    for (position, node) in architecture.nodes.enumerated() {
      let inputs = node.inputs.map { bounds[$0] }
      let weights = parameters.filter { $0.node == position }.map { $0.tensor.to(.float32).abs() }
      func affine(_ dimensions: [Int]) -> Double {
        weights[0].sum(dimensions).max().item() * inputs[0] + (weights.count > 1 ? weights[1].max().item() : 0)
      }
      let bound: Double
      switch node.layer {
      case .input:
        let deviation = architecture.standardDeviation.min() ?? 1
        bound = (pixels + (architecture.mean.map(abs).max() ?? 0)) / deviation
      case .conv2d: bound = affine([1, 2, 3])
      case .convTranspose2d: bound = affine([0, 2, 3])
      case .linear: bound = affine([1])
      case .batchNorm(let norm):
        let statistics = buffers.filter { $0.node == position }.map { $0.tensor.to(.float32) }
        let scale = weights[0] / (statistics[1] + norm.epsilon).sqrt()
        bound = ((statistics[0].abs() + inputs[0]) * scale + weights[1]).max().item()
      case .sigmoid, .tanh: bound = 1
      case .add, .subtract: bound = inputs[0] + inputs[1]
      case .relu, .maxPool, .averagePool, .adaptiveAveragePool, .flatten, .zeroPadShortcut: bound = inputs[0]
      }
      bounds.append(bound)
    }
    return bounds
  }
}
