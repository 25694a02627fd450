import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Iterative synaptic flow pruning (SynFlow; Tanaka et al. 2020, Algorithm 1): needs no data and leaves no layer
/// empty as long as there is a choice.
///
/// With R the sum of the outputs for an image of ones and all parameters replaced by their magnitudes, a weight's
/// score is |θ ∂R/∂θ|: the sum over all paths through it. After round i of n the fraction ρ^(i/n) of all weights is
/// left, and the scores are computed again.
public struct SynFlow: PruningCriterion {
  public static let name = "synflow"

  /// ρ, what the last round leaves.
  public var keepRatio: KeepRatio
  /// n.
  public var rounds = 100

  public init(keepRatio: KeepRatio) { self.keepRatio = keepRatio }
  public init(_ target: PruningTarget) { self.init(keepRatio: target.keepRatio) }

  private enum CodingKeys: String, CodingKey {
    case keepRatio = "keep"
    case rounds
  }

  public func validate() throws(InputError) { try requireSetting(rounds >= 1, "rounds", "at least 1", rounds) }

  /// ρ^(i/n), the fraction of weights left after round i, from 1.
  public func density(after round: Int) -> Double { pow(keepRatio.value, Double(round) / Double(rounds)) }

  /// The last round's score of each weight that all rounds left, and of every other minus the number of rounds since
  /// it went: the best κ are SynFlow's mask, and the best at an earlier round's density are what that round left.
  ///
  /// Neither the images nor the seed play a part.
  public func ranking(
    of network: Network, layout: WeightLayout, on dataset: ImageDataset, seed: UInt64
  ) throws(InputError) -> Tensor {
    try ranking(of: network, layout: layout)
  }

  /// As ``ranking(of:layout:on:seed:)``: no images are needed.
  public func ranking(of network: Network, layout: WeightLayout) throws(InputError) -> Tensor {
    try require(rounds >= 1, "rounds", "1 or more", found: rounds)
    let circuit = Self.circuit(of: network)
    let magnitudes = layout.weights(of: circuit)
    let roundsGone = magnitudes.zerosLike()
    var scores = magnitudes
    for round in 1...rounds {
      let kept = try KeepRatio(density(after: round)).kept(of: layout.count)
      let left = magnitudes * (roundsGone .== 0)
      scores = try Self.flow(through: circuit, layout: layout, weights: left).scores
        .checkedRanking(of: "SynFlow, round \(round)")
      roundsGone += 1 - Mask.topK(scores - roundsGone, keeping: kept)
    }
    return scores * (roundsGone .== 0) - roundsGone
  }

  /// The scores at once.
  /// - Parameters:
  ///   - network: Stays as it is.
  ///   - layout: Its prunable weights.
  ///   - mask: 0 or 1 for each weight, `[n]`; nil: all are there.
  /// - Returns: |θ ∂R/∂θ|, `[n]` in float64, and R.
  public static func scores(
    of network: Network, layout: WeightLayout, mask: Tensor? = nil
  ) -> (scores: Tensor, flow: Double) {
    let circuit = circuit(of: network)
    let magnitudes = layout.weights(of: circuit)
    return flow(through: circuit, layout: layout, weights: mask.map { magnitudes * $0 } ?? magnitudes)
  }

  /// The network that flow is measured in: magnitudes for parameters, in float64 since products over depth overflow
  /// float32; batch norm as at the start, with mean 0, variance 1 and no bias; pixels not normalised.
  private static func circuit(of network: Network) -> Network {
    var architecture = network.architecture
    architecture.mean = []
    architecture.standardDeviation = []
    let circuit = Network(architecture, seed: 0, device: network.device)
    circuit.convert(to: .float64)
    circuit.setTrainable(false)
    let norms = circuit.batchNormNames
    for (own, original) in zip(circuit.parameters, network.parameters) {
      if own.name.hasSuffix("bias"), norms.contains(own.name) { continue }
      own.tensor.copy(from: original.tensor.detached().abs())
    }
    return circuit
  }

  private static func flow(
    through circuit: Network, layout: WeightLayout, weights: Tensor
  ) -> (scores: Tensor, flow: Double) {
    let leaves = layout.split(weights).map { $0.detached().requiringGrad() }
    let ones = Tensor.ones([1] + circuit.architecture.inputShape, dtype: .float64, device: circuit.device)
    let flow = circuit(ones, weights: circuit.weights(replacing: layout.parameters, with: leaves)).sum()
    let gradient = layout.joined(grad(of: flow, withRespectTo: leaves))
    return ((weights * gradient).abs(), flow.item())
  }
}
