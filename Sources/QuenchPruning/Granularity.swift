import QuenchSupport
import QuenchTorch

/// What is dropped together.
public enum Granularity: Hashable, Sendable {
  /// Single weights of convolutions and linear layers.
  case weight
  /// Output filters of convolutions, the same fraction in each layer.
  case filter
  /// Input channels of convolutions, the same fraction in each layer. Where a network's input enters, its few planes
  /// all stay.
  case channel
  /// Output filters of convolutions, hidden units of linear layers and heads of attention, those that write the same
  /// channel together with its batch norm, as one: what is pruned can be cut, streams that residual blocks add to
  /// included. A channel's score is that of `groupScore`.
  case group
  /// Of every `group` weights in a row over the inputs, `kept` stay: 2 of 4 is what sparse tensor cores compute with.
  case pattern(kept: Int, group: Int)
}

extension Granularity: TextSetting {
  public static let meaning = "a granularity"
  public static let expected = "weight, filter, channel, group or a pattern such as 2:4"

  /// `weight`, `filter`, `channel`, `group` or a pattern such as `2:4`.
  public init?(_ description: String) {
    switch description {
    case "weight": self = .weight
    case "filter": self = .filter
    case "channel": self = .channel
    case "group": self = .group
    default:
      let numbers = description.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
      guard numbers.count == 2, let kept = numbers[0], let group = numbers[1], kept > 0, kept <= group,
        group <= 1024
      else { return nil }
      self = .pattern(kept: kept, group: group)
    }
  }

  public var description: String {
    switch self {
    case .weight: "weight"
    case .filter: "filter"
    case .channel: "channel"
    case .group: "group"
    case .pattern(let kept, let group): "\(kept):\(group)"
    }
  }

  /// Whether single weights are ranked together, over all layers or within each.
  public var isUnstructured: Bool { self == .weight }

  /// Whether a layer's weight of this shape can be pruned so.
  func fits(_ shape: [Int], readsImages: Bool) -> Bool {
    switch self {
    case .weight: true
    case .group: shape.count == 4 || shape.count == 2
    case .filter: shape.count == 4
    case .channel: shape.count == 4 && !readsImages
    case .pattern(_, let group): shape[1] % group == 0
    }
  }
}

/// The masks of one layer, by granularity.
struct LayerMask {
  let granularity: Granularity
  let keepRatio: KeepRatio

  /// How many of a layer's weights stay.
  func kept(of shape: [Int]) -> Int {
    let count = shape.reduce(1, *)
    return switch granularity {
    case .weight: keepRatio.kept(of: count)
    case .filter, .group: keepRatio.kept(of: shape[0]) * (count / shape[0])
    case .channel: keepRatio.kept(of: shape[1]) * (count / shape[1])
    case .pattern(let kept, let group): count / group * kept
    }
  }

  /// 0 or 1 for each element of `ranking`, a layer's weight in shape and larger where it matters more. Filters and
  /// channels are ranked by the Euclidean norm of their elements.
  func callAsFunction(_ ranking: Tensor) -> Tensor {
    switch granularity {
    case .weight:
      return Mask.topK(ranking.reshaped([-1]), keeping: keepRatio.kept(of: ranking.count)).viewed(ranking.shape)
    case .filter, .group: return slices(ranking, along: 0)
    case .channel: return slices(ranking, along: 1)
    case .pattern(let kept, let group): return patterns(ranking, kept, group)
    }
  }

  private func slices(_ ranking: Tensor, along dimension: Int) -> Tensor {
    let others = (0..<ranking.rank).filter { $0 != dimension }
    let norms = ranking.norm(2, others)
    let mask = Mask.topK(norms, keeping: keepRatio.kept(of: norms.count))
    let shape = (0..<ranking.rank).map { $0 == dimension ? norms.count : 1 }
    return mask.viewed(shape).expanded(ranking.shape).contiguous()
  }

  /// The inputs come last, so that a row's elements are those that one sum runs over.
  private func patterns(_ ranking: Tensor, _ kept: Int, _ group: Int) -> Tensor {
    let order = [0] + Array(2..<ranking.rank) + [1]
    let inputsLast = ranking.permuted(order)
    let rows = inputsLast.reshaped([-1, group])
    let dropped = rows.argsort(1)[0..., ..<(group - kept)]
    let mask = rows.onesLike()
    mask.scatter(1, dropped, 0)
    let inverse = [0, ranking.rank - 1] + Array(1..<(ranking.rank - 1))
    return mask.viewed(inputsLast.shape).permuted(inverse).contiguous()
  }
}
