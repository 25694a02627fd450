import QuenchSupport
import QuenchTorch
import QuenchVision

/// How much a set of coupled channels matters to a network: what a ranking over all its groups goes by.
public enum GroupImportance: String, CaseIterable, Codable, Sendable {
  /// The L2 norm of all weights of the set's filters and planes (Fang et al. 2023, section 3.3).
  case magnitude
  /// How far the loss changes without the set, to first order: Σ over its filters and planes of |Σ θ·∂ℓ/∂θ|
  /// (Molchanov et al. 2019, equation 8).
  case taylor
  /// |γ| of the set's batch norms (Liu et al. 2017); sets without one stay.
  case batchNormScale = "bn-scale"

  /// Whether images are needed.
  public var needsImages: Bool { self == .taylor }

  /// The importance of every set, in the order of ``ChannelGroups/coupled``, each relative to the mean of its tier, so that
  /// sets of large and of small layers stand in one ranking; infinite for sets that nothing is known of.
  /// - Parameters:
  ///   - network: The network that the groups are of.
  ///   - groups: Its groups.
  ///   - batches: Training images; without effect but for ``taylor``.
  ///   - learned: Scores `[n]` in the order of the network's weights, whose norm is the ``magnitude`` in place of theirs.
  func scores(
    of network: Network, _ groups: ChannelGroups, on batches: [Batch], learned: Tensor? = nil
  ) -> [Double] {
    let totals = Tensor.zeros([groups.coupled.count], dtype: .float64)
    func add(_ value: Tensor, at sets: [Int]) {
      let known = sets.indices.filter { sets[$0] >= 0 }
      totals.addSlices(value.to(.cpu).to(.float64).selecting(Tensor(known)), at: Tensor(known.map { sets[$0] }))
    }
    func add(_ weights: Tensor, of layout: WeightLayout, _ summary: (Tensor, [Int]) -> Tensor) {
      for (layer, weight) in zip(layout.layers, layout.split(weights)) {
        for side in ChannelGroups.Side.allCases {
          guard let (dimension, sets) = groups.sets(ofWeight: layer.name, along: side) else { continue }
          add(summary(weight, weight.shape.indices.filter { $0 != dimension }), at: sets)
        }
      }
    }
    let layout = WeightLayout(network)
    withoutGradient {
      switch self {
      case .magnitude: add(learned ?? layout.weights(of: network), of: layout) { $0.square().sum($1) }
      case .taylor:
        let change = withGradient { network.firstOrderChanges(layout, on: batches) }
        add(change, of: layout) { $0.sum($1).abs() }
      case .batchNormScale:
        for name in network.graph.batchNormTensors(["weight"]) {
          guard let sets = groups.sets(ofTensor: name, along: 0),
            let entry = network.parameters.first(where: { $0.name == name })
          else { continue }
          add(entry.tensor.abs(), at: sets)
        }
      }
    }
    let raw = (self == .magnitude ? totals.sqrt() : totals).array(Double.self)
    return relative(raw, in: groups)
  }

  private func relative(_ raw: [Double], in groups: ChannelGroups) -> [Double] {
    var scores = [Double](repeating: .infinity, count: raw.count)
    for tier in groups.groups.flatMap(\.tiers) {
      guard self != .batchNormScale || tier.contains(where: { !groups.coupled[$0].norms.isEmpty }) else { continue }
      let mean = tier.reduce(0) { $0 + raw[$1] } / Double(tier.count)
      for set in tier { scores[set] = mean > 0 ? raw[set] / mean : 0 }
    }
    return scores
  }
}
