import QuenchReporting
import QuenchTorch

/// Weights that PyTorch keeps as something else, from which it computes them before each pass.
enum Parametrization: CaseIterable {
  /// `torch.nn.utils.prune`: what is left of the weight, and a mask.
  case mask
  /// Weight norm (Salimans and Kingma 2016), both of PyTorch's ways to keep it: lengths and directions.
  case weightNorm, weightNormParametrized
  /// Spectral norm (Miyato et al. 2018), both ways: the weight, and its first singular vectors.
  case spectralNorm, spectralNormParametrized

  /// What stands for the weight's name, each with what follows it; the first is there in no other case.
  fileprivate var parts: [String] {
    switch self {
    case .mask: ["_mask", "_orig"]
    case .weightNorm: ["_g", "_v"]
    case .weightNormParametrized: [".original0", ".original1"]
    case .spectralNorm: ["_u", "_v", "_orig"]
    case .spectralNormParametrized: [".0._u", ".0._v", ".original"]
    }
  }

  /// Whether the parts lie below `parametrizations` instead of beside the other tensors of a layer.
  private var isNested: Bool {
    switch self {
    case .mask, .weightNorm, .spectralNorm: false
    case .weightNormParametrized, .spectralNormParametrized: true
    }
  }

  /// The name of the weight of which `name` is the first part.
  fileprivate func weight(of name: String) -> String? {
    guard name.hasSuffix(parts[0]) else { return nil }
    let stem = String(name.dropLast(parts[0].count))
    guard isNested else { return stem }
    guard let range = stem.ranges(of: "parametrizations.").last else { return nil }
    return stem.replacingCharacters(in: range, with: "")
  }

  /// What `name`, a first part, begins with.
  fileprivate func stem(of name: String) -> String { String(name.dropLast(parts[0].count)) }

  /// The weight, of its parts in their order; nil where their shapes do not fit together.
  fileprivate func weight(_ parts: [Tensor]) -> Tensor? {
    switch self {
    case .mask:
      let (mask, weight) = (parts[0], parts[1])
      return mask.shape == weight.shape ? weight * mask.to(weight.dtype) : nil
    case .weightNorm, .weightNormParametrized:
      let (length, direction) = (parts[0], parts[1])
      guard length.rank == direction.rank, zip(length.shape, direction.shape).allSatisfy({ $0 == 1 || $0 == $1 })
      else { return nil }
      let over = length.shape.indices.filter { length.shape[$0] == 1 }
      let norm = (direction * direction).sum(over, keepDimensions: true).sqrt()
      return direction * (length / norm)
    case .spectralNorm, .spectralNormParametrized:
      let (left, right, weight) = (parts[0], parts[1], parts[2])
      guard weight.rank >= 2, left.count == weight.size(0), right.count == weight.count / weight.size(0) else {
        return nil
      }
      let matrix = weight.reshaped([left.count, right.count])
      let largest = (left.reshaped([left.count, 1]) * matrix * right.reshaped([1, right.count])).sum()
      return weight / largest
    }
  }

  fileprivate func note(_ count: Int) -> String {
    let weights = NumberText.count(count, "weight")
    return switch self {
    case .mask: "\(weights) multiplied by the masks of torch.nn.utils.prune that lie beside them"
    case .weightNorm, .weightNormParametrized: "\(weights) computed of lengths and directions (weight norm)"
    case .spectralNorm, .spectralNormParametrized:
      "\(weights) divided by the largest singular value (spectral norm)"
    }
  }
}

extension StateDictionary {
  /// Puts the weights that parametrizations compute in the place of their parts.
  /// - Returns: What was done, to be told.
  mutating func undoParametrizations() -> [String] {
    var notes: [String] = []
    for kind in Parametrization.allCases {
      var weights: [String: Tensor] = [:]
      var taken: Set<String> = []
      for name in keys {
        guard let weight = kind.weight(of: name) else { continue }
        let names = kind.parts.map { kind.stem(of: name) + $0 }
        let tensors = names.compactMap { self[$0] }
        guard tensors.count == names.count, tensors.allSatisfy({ $0.count > 0 }), self[weight] == nil,
          tensors.last?.dtype.isFloatingPoint == true, let value = kind.weight(tensors)
        else { continue }
        weights[weight] = value
        taken.formUnion(names)
      }
      guard !weights.isEmpty else { continue }
      self = StateDictionary(filter { !taken.contains($0.name) })
      for (name, tensor) in weights.sorted(by: { $0.key < $1.key }) { self[name] = tensor }
      notes.append(kind.note(weights.count))
    }
    return notes
  }
}
