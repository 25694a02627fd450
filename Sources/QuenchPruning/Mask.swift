import Foundation
import QuenchSupport
import QuenchTorch

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

  /// Zeroes the network's pruned weights and, of groups, what their batch norms and biases add.
  public func apply(to network: Network) {
    withoutGradient {
      for (parameter, factor) in Array(zip(layout.parameters, layers)) + silencing(of: network) {
        let weight = network.parameters[parameter].tensor
        weight *= factor
      }
    }
  }

  /// Factors of the batch norms and biases that are pruned along with groups.
  func silencing(of network: Network) -> [(parameter: Int, factor: Tensor)] {
    layout.coupling?.silencing(values, of: network) ?? []
  }

  /// The same mask over more layers, of which those that it does not cover stay whole.
  /// - Returns: nil if `layout` lacks a layer of the mask.
  public func extended(to layout: WeightLayout) -> Mask? {
    let known = Dictionary(uniqueKeysWithValues: zip(self.layout.layers, layers))
    guard self.layout.layers.allSatisfy(layout.layers.contains) else { return nil }
    let all = layout.layers.map { known[$0] ?? .ones($0.shape, dtype: values.dtype, device: values.device) }
    return Mask(layout: layout, values: layout.joined(all))
  }

  /// What a checkpoint calls ``values``.
  static let stateKey = "mask"

  /// The mask of a checkpoint.
  /// - Throws: `InputError` if there is none, or one of another length.
  init(layout: WeightLayout, in state: StateDictionary, from location: String) throws(InputError) {
    guard let values = state[Mask.stateKey], values.shape == [layout.count] else {
      throw InputError(
        "this is not a checkpoint of this pruning", at: location, expected: "a mask, [\(layout.count)]",
        found: state[Mask.stateKey]?.summary ?? "none")
    }
    self.init(layout: layout, values: values)
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

  /// Reads a mask for `network`: of all its prunable weights, or of some.
  /// - Throws: `InputError` if the file holds anything but 0/1 tensors in the shapes of prunable weights.
  public init(contentsOf url: URL, for network: Network) throws(InputError) {
    let state = try StateDictionary.load(url, expecting: network.architecture.parameterCount)
    let all = WeightLayout(network).layers
    if let stranger = state.keys.first(where: { name in !all.contains { $0.name == name } }) {
      throw InputError(
        "the mask is of another architecture", at: url.path, expected: "weights of \(network.architecture.name)",
        found: "an unknown tensor '\(stranger)'")
    }
    let layout = WeightLayout(layers: all.filter { state[$0.name] != nil })
    guard layout.count > 0 else { throw InputError("the mask is empty", at: url.path) }
    var layers: [Tensor] = []
    for layer in layout.layers {
      guard let mask = state[layer.name], mask.shape == layer.shape, mask.dtype == .bool else {
        throw InputError(
          "the mask is of another architecture", at: "\(url.path), \(layer.name)",
          expected: "\(layer.shape) bool", found: state[layer.name]?.summary ?? "no such tensor")
      }
      layers.append(mask.to(.float32))
    }
    self.init(layout: layout, values: layout.joined(layers))
  }
}
