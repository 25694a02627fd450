import Foundation
import Support
import Torch

/// Which prunable weights of a network stay: m ∈ {0, 1}ⁿ.
public struct Mask {
  public let layout: WeightLayout
  /// 0 or 1 for each weight, `[n]`.
  public let values: Tensor

  public init(layout: WeightLayout, values: Tensor) {
    self.layout = layout
    self.values = values
  }

  /// T_κ: keeps the `count` largest of `ranking`; of equal ones, those of higher index stay.
  /// - Parameters:
  ///   - ranking: `[n]`, larger is more important.
  ///   - count: κ, how many stay.
  /// - Returns: 0 or 1 for each element, in the ranking's type.
  public static func topK(_ ranking: Tensor, keeping count: Int) -> Tensor {
    let pruned = ranking.count - count
    guard pruned > 0 else { return ranking.onesLike() }
    let threshold = ranking.kthValue(pruned).values
    let mask = (ranking .> threshold).to(ranking.dtype)
    let missing = count - Int(mask.sum().item())
    guard missing > 0 else { return mask }
    let ties = (ranking .== threshold).nonzero().reshaped([-1])
    mask.scatter(0, ties[(ties.count - missing)...], 1)
    return mask
  }

  /// One mask tensor for each prunable tensor, in its shape.
  public var layers: [Tensor] { layout.split(values) }
  public var keptCount: Int { Int(values.sum().item()) }
  /// The fraction of weights that stay.
  public var keepRatio: Double { Double(keptCount) / Double(layout.count) }

  /// Kept and total weights of each layer.
  public var table: [(name: String, kept: Int, total: Int)] {
    zip(layout.names, layers).map { ($0, Int($1.sum().item()), $1.count) }
  }

  /// Zeroes the network's pruned weights.
  public func apply(to network: Network) {
    withoutGradient {
      for (parameter, mask) in zip(layout.parameters, layers) {
        let weight = network.parameters[parameter].tensor
        weight *= mask
      }
    }
  }

  /// Kept by both over kept by either: 1 for equal masks.
  public func intersectionOverUnion(with other: Mask) -> Double {
    let both = (values * other.values).sum().item()
    let either = values.maximum(other.values).sum().item()
    return either == 0 ? 1 : both / either
  }
}

// MARK: - Files

extension Mask {
  /// Writes one `bool` tensor a layer under the weight's name.
  public func write(to url: URL) throws(InputError) {
    try Safetensors.write(
      StateDictionary(zip(layout.names, layers.map { $0.to(.bool) })), metadata: ["quench.kind": "mask"], to: url)
  }

  /// Reads a mask for `network`.
  /// - Throws: `InputError` if the file does not hold exactly one 0/1 tensor for each prunable weight.
  public init(contentsOf url: URL, for network: Network) throws(InputError) {
    let state = try StateDictionary.load(url)
    let layout = WeightLayout(network)
    var layers: [Tensor] = []
    for (name, shape) in zip(layout.names, layout.shapes) {
      guard let mask = state[name], mask.shape == shape, mask.dtype == .bool else {
        throw InputError(
          "the mask is of another architecture", at: "\(url.path), \(name)", expected: "\(shape) bool",
          found: state[name]?.summary ?? "no such tensor")
      }
      layers.append(mask.to(.float32))
    }
    if let stranger = state.keys.first(where: { !layout.names.contains($0) }) {
      throw InputError(
        "the mask is of another architecture", at: url.path, found: "an unknown tensor '\(stranger)'")
    }
    self.init(layout: layout, values: layout.joined(layers))
  }
}
