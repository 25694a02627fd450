import QuenchSupport
import QuenchTorch
import QuenchVision

/// Which wrong class a targeted attack aims at.
public enum TargetPicker: String, CaseIterable, Codable, Sendable {
  /// Drawn uniformly, following from the seed and the sample.
  case random
  /// The wrong class of the highest clean logit.
  case runnerUp = "runner-up"
  /// The class of the lowest clean logit.
  case leastLikely = "least-likely"
  /// The label plus 1, after the last class the first.
  case next

  /// Targets, int64 `[N]`.
  /// - Parameters:
  ///   - logits: Of the clean images, `[N, classes]`.
  ///   - labels: int64 `[N]`.
  ///   - indices: The samples' places in the data set.
  ///   - seed: The run's.
  func targets(_ logits: Tensor, labels: Tensor, indices: [Int], seed: UInt64) -> Tensor {
    let classes = logits.size(1)
    switch self {
    case .runnerUp: return logits.otherClasses(than: labels, count: 1).squeezed(1)
    case .leastLikely: return logits.otherClasses(than: labels, count: classes - 1)[TensorIndex.all, classes - 2]
    case .next: return shifted(labels, by: labels.onesLike(), classes)
    case .random:
      let key = Generator.derive(seed, "targets")
      let shifts = indices.map { index in
        var stream = SplitMix64(key, UInt64(bitPattern: Int64(index)))
        return 1 + Int(stream.next() % UInt64(classes - 1))
      }
      return shifted(labels, by: Tensor(shifts).to(labels.device), classes)
    }
  }

  private func shifted(_ labels: Tensor, by shifts: Tensor, _ classes: Int) -> Tensor {
    let sum = labels + shifts
    return (sum - Double(classes)).choosing(where: sum .>= Double(classes), otherwise: sum.to(.float32)).to(.int64)
  }
}
