import QuenchTorch

/// What an attack maximises, one value a sample. Aimed samples use the targeted form.
public enum AttackLoss: String, CaseIterable, Codable, Sendable {
  /// Cross-entropy to the label; aimed: its negative to the target.
  case crossEntropy = "ce"
  /// The difference of logits ratio (Croce and Hein 2020, equations 6 and 7): invariant to shift and scale.
  case dlr
  /// The largest other logit minus the label's; aimed: the target's minus the largest other one.
  case margin

  /// Classes that the loss needs: the third and, aimed, the fourth largest logit.
  func fewestClasses(aimed: Bool) -> Int { self == .dlr ? (aimed ? 4 : 3) : 2 }

  /// `[N]` for logits `[N, classes]`.
  func callAsFunction(_ logits: Tensor, _ samples: Samples) -> Tensor {
    if let targets = samples.targets { return targeted(logits, samples.labels, targets) }
    return untargeted(logits, samples.labels)
  }

  func untargeted(_ logits: Tensor, _ labels: Tensor) -> Tensor {
    switch self {
    case .crossEntropy: return logits.crossEntropy(labels, reduction: .none)
    case .margin: return -logits.margin(labels)
    case .dlr:
      let order = logits.sorted(1, descending: true).values
      let spread = order[TensorIndex.all, 0] - order[TensorIndex.all, 2] + 1e-12
      return -logits.margin(labels) / spread
    }
  }

  func targeted(_ logits: Tensor, _ labels: Tensor, _ targets: Tensor) -> Tensor {
    switch self {
    case .crossEntropy: return -logits.crossEntropy(targets, reduction: .none)
    case .margin: return logits.margin(targets)
    case .dlr:
      let order = logits.sorted(1, descending: true).values
      let lower = (order[TensorIndex.all, 2] + order[TensorIndex.all, 3]) * 0.5
      let gap = logits.picked(labels) - logits.picked(targets)
      return -gap / (order[TensorIndex.all, 0] - lower + 1e-12)
    }
  }
}

extension Tensor {
  /// The entry of each row of `[N, classes]` that `classes`, int64 `[N]`, names.
  func picked(_ classes: Tensor) -> Tensor { gathered(1, classes.unsqueezed(1)).squeezed(1) }

  /// The logit of each sample's class minus the largest other: `[N]`. The class itself is masked with -∞, never by a
  /// product with 0, which would win where all others are negative.
  func margin(_ classes: Tensor) -> Tensor {
    let column = classes.unsqueezed(1)
    return picked(classes) - scattered(1, column, -Double.infinity).maxWithIndex(1).values
  }

  /// The positions where a bool vector holds, int64 `[n]`.
  func positions() -> Tensor { nonzero().reshaped([-1]) }

  /// Overwrites the rows at `positions` with `values`, in place.
  func setRows(_ values: Tensor, at positions: Tensor) { put(values, at: [positions]) }
}
