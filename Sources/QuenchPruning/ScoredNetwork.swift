import QuenchSupport
import QuenchTorch
import QuenchVision

/// Where learned scores begin.
public enum ScoreStart: String, CaseIterable, Codable, Sendable {
  /// s = θ: the first mask is that of the magnitudes.
  case weights
  /// s = √(6 / fan-in) · θ / max |θ|, layer by layer (HYDRA, Sehwag et al. 2020): all layers span a similar range.
  case scaled

  func scores(_ weights: Tensor, _ layout: WeightLayout) -> Tensor {
    switch self {
    case .weights: weights.cloned()
    case .scaled:
      layout.joined(
        layout.split(weights).map { layer in
          let fanIn = Double(layer.shape.dropFirst().reduce(1, *))
          return layer * ((6 / fanIn).squareRoot() / max(layer.abs().max().item(), 1e-30))
        })
    }
  }
}

/// A network under learned scores: θ, s and m = T_κ(|s|), and its loss at z = m⊙θ.
final class ScoredNetwork {
  let network: Network
  let target: PruningTarget
  let layout: WeightLayout
  /// θ, `[n]`: weights under the mask stay as they are, so that they can come back.
  let weights: Tensor
  /// s, `[n]`.
  let scores: Tensor
  /// m, `[n]`.
  private(set) var mask: Mask
  private let precision: Precision
  private let distillation: Distillation?
  /// Batch norms and biases as they were before ``finish()`` silenced those of pruned groups.
  private var loud: [(parameter: Int, value: Tensor)] = []

  /// - Parameter sharesStorage: Whether scores and weights are one tensor, as in the released code of BiP.
  /// - Throws: `InputError` if the target does not fit the network.
  init(
    _ network: Network, _ target: PruningTarget, start: ScoreStart, sharesStorage: Bool = false,
    precision: Precision, distillation: Distillation?
  ) throws(InputError) {
    self.network = network
    self.target = target
    (self.precision, self.distillation) = (precision, distillation)
    let layout = try target.layout(of: network)
    let weights = layout.weights(of: network)
    let scores = sharesStorage ? weights : withoutGradient { start.scores(weights, layout) }
    mask = try target.checkedMask(scores.abs(), layout)
    (self.layout, self.weights, self.scores) = (layout, weights, scores)
  }

  /// Batch norm, biases and the weights that are not pruned.
  var others: [NamedTensor] {
    let pruned = Set(layout.parameters)
    return network.parameters.indices.filter { !pruned.contains($0) }
      .map { (network.parameters[$0].name, network.parameters[$0].tensor) }
  }

  /// One forward and backward pass at z = m⊙θ.
  ///
  /// - Parameter silencing: Whether the batch norms of pruned groups add nothing, as in the network that is left. A
  ///   channel without them has no gradient, so the scores need a pass with them to bring one back.
  /// - Returns: g, the gradient of the loss at z, `[n]`, and those with respect to `others`.
  func pass(
    _ batch: Batch, others: [Tensor] = [], silencing: Bool, updatingStatistics: Bool
  ) -> (result: StepResult, gradient: Tensor, others: [Tensor?]) {
    revive()
    let masked = layout.split(withoutGradient { mask.values * weights }).map { $0.detached().requiringGrad() }
    let silenced = silencing ? mask.silencing(of: network) : []
    network.isTraining = true
    let logits = withAutocast(precision.autocast(on: network.device), on: network.device) {
      network(
        batch.images,
        weights: network.weights(
          replacing: layout.parameters + silenced.map(\.parameter),
          with: masked + silenced.map { network.parameters[$0].tensor * $1 }),
        updatingStatistics: updatingStatistics)
    }
    let byLabels = logits.inFullPrecision().crossEntropy(batch.labels)
    let loss = distillation?.loss(byLabels, logits.inFullPrecision(), batch.images) ?? byLabels
    let found = gradients(of: [loss], withRespectTo: masked + others)
    let gradient = layout.joined(zip(masked, found).map { $1 ?? $0.zerosLike() })
    return (StepResult(loss: loss, logits: logits, labels: batch.labels), gradient, Array(found[masked.count...]))
  }

  /// m ← T_κ(|s|).
  /// - Parameter ratio: Another κ than the target's; nil: that.
  func project(keeping ratio: KeepRatio? = nil) {
    mask = (ratio.map(target.keeping) ?? target).mask(scores.abs(), layout)
  }

  /// Writes z = m⊙θ into the network; what follows a next ``pass(_:others:updatingStatistics:)`` is as without it.
  func finish() {
    revive()
    withoutGradient {
      loud = mask.silencing(of: network).map { parameter, factor in
        let tensor = network.parameters[parameter].tensor
        let value = tensor.cloned()
        tensor *= factor
        return (parameter, value)
      }
      for (parameter, weight) in zip(layout.parameters, layout.split(mask.values * weights)) {
        network.parameters[parameter].tensor.copy(from: weight)
      }
    }
  }

  /// Takes back what ``finish()`` did to batch norms and biases: a channel that comes back needs its own.
  private func revive() {
    withoutGradient { for (parameter, value) in loud { network.parameters[parameter].tensor.copy(from: value) } }
    loud = []
  }

  /// The network with θ, s and m, and what `optimizers` keep.
  func state(with optimizers: [SGD]) -> StateDictionary {
    revive()
    var state = StateDictionary()
    for optimizer in optimizers { state.add(optimizer.state, prefix: "optimizer.") }
    state.add(network.state, prefix: "network.")
    state["weights"] = weights
    state["scores"] = scores
    state[Mask.stateKey] = mask.values
    return state
  }

  func restore(_ state: StateDictionary, with optimizers: [SGD], from location: String) throws(InputError) {
    let (networkState, others) = state.partitioned(byPrefix: "network.")
    let (optimizerState, vectors) = others.partitioned(byPrefix: "optimizer.")
    guard let weights = vectors["weights"], let scores = vectors["scores"],
      [weights, scores].allSatisfy({ $0.shape == [layout.count] })
    else {
      throw InputError(
        "this is not a checkpoint of this pruning", at: location, expected: "weights and scores, [\(layout.count)]")
    }
    mask = try Mask(layout: layout, in: vectors, from: location)
    try network.load(networkState, from: location)
    for optimizer in optimizers {
      let names = Set(optimizer.state.map(\.name))
      try optimizer.restore(optimizerState.filter { names.contains($0.name) }, from: location)
    }
    withoutGradient {
      self.weights.copy(from: weights)
      self.scores.copy(from: scores)
    }
  }
}
