import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Gradient signal preservation (GraSP; Wang, Zhang and Grosse 2020, section 4 and Algorithm 1): keeps the weights
/// whose removal would weaken the flow of gradients most. To first order removing a weight changes ‖g‖² by 2S with
/// S = -θ⊙Hg, H being the Hessian and g the gradient of the loss; those of largest S go.
///
/// As in the authors' code the linear layers are drawn anew for the scoring, on a copy, and batch norm uses the
/// batch's statistics. There one half of the images holds the first half of the classes; here both halves hold all
/// classes.
public struct GraSP: PruningCriterion {
  public static let name = "grasp"

  /// T: logits are divided by it.
  public var temperature = 200.0
  /// Images drawn of each class; they are gone through in two halves.
  public var samplesPerClass = 10
  /// Scores the network with linear layers drawn anew, normal with variance 2 / (fan-in + fan-out).
  public var redrawsLinear = true

  public init() {}
  public init(_ target: PruningTarget) {}

  private enum CodingKeys: String, CodingKey {
    case temperature, samplesPerClass
    case redrawsLinear = "redrawLinear"
  }

  public func validate() throws(InputError) {
    try requireSetting(temperature > 0 && temperature.isFinite, "temperature", "above 0", temperature)
    try requireSetting(samplesPerClass >= 1, "samples-per-class", "at least 1", samplesPerClass)
  }

  public func ranking(
    of network: Network, layout: WeightLayout, on dataset: ImageDataset, seed: UInt64
  ) throws(InputError) -> Tensor {
    try require(temperature > 0, "temperature", "a number above 0", found: temperature)
    try require(samplesPerClass >= 2, "samplesPerClass", "2 or more", found: samplesPerClass)
    let sample = try dataset.sample(
      perClass: samplesPerClass, seed: Generator.derive(seed, "criterion-images"))
    guard network.hasSecondDerivatives else {
      throw InputError(
        "GraSP needs second derivatives, which LibTorch does not have of an operator of this network",
        at: network.architecture.name, remedy: "take another criterion, such as snip or synflow")
    }
    let copy = network.copy()
    if redrawsLinear { redrawLinearLayers(of: copy, using: Generator(seed: seed, for: "criterion-linear")) }
    return try scores(of: copy, layout: layout, on: sample.split(into: 2)).checkedRanking(of: "GraSP")
  }

  /// θ⊙Hg = -S, `[n]`, larger is more important: that of the sum of the mean cross-entropies on `batches`.
  public func scores(of network: Network, layout: WeightLayout, on batches: [Batch]) -> Tensor {
    let losses = batches.map {
      network.crossEntropy(on: $0, replacing: layout.parameters, temperature: temperature)
    }
    let product = Self.hessianGradientProduct(of: losses, at: network.leaves(layout.parameters))
    return layout.weights(of: network) * layout.joined(product)
  }

  /// Hg of the sum of `losses` without forming H: the derivative of ḡ·g, where ḡ is g taken as a constant.
  ///
  /// - Parameters:
  ///   - losses: Scalars as twice differentiable functions of the weights; the graph of one is held at a time.
  ///   - weights: Leaves of autograd.
  /// - Returns: A tensor for each of `weights`.
  public static func hessianGradientProduct(
    of losses: [([Tensor]) -> Tensor], at weights: [Tensor]
  ) -> [Tensor] {
    let gradient = weights.map { $0.detached().zerosLike() }
    for loss in losses {
      for (sum, part) in zip(gradient, grad(of: loss(weights), withRespectTo: weights)) { sum += part }
    }
    let product = gradient.map { $0.zerosLike() }
    for loss in losses {
      let part = grad(of: loss(weights), withRespectTo: weights, createGraph: true)
      let alignment = zip(gradient, part).map { ($0 * $1).sum() }
      for (sum, part) in zip(product, grad(of: Tensor.stacked(alignment).sum(), withRespectTo: weights)) {
        sum += part
      }
    }
    return product
  }

  private func redrawLinearLayers(of network: Network, using generator: Generator) {
    withoutGradient {
      for entry in network.linearWeights.map({ network.parameters[$0] }) {
        let deviation = (2 / Double(entry.tensor.size(0) + entry.tensor.size(1))).squareRoot()
        entry.tensor.copy(
          from: .normal(entry.tensor.shape, standardDeviation: deviation, using: generator))
      }
    }
  }
}
