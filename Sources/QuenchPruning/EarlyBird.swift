import QuenchReporting
import QuenchSupport
import QuenchTorch

/// Early-Bird tickets (You et al. 2020, Algorithm 1): which channels matter is settled long before training ends.
/// While the network trains with an L1 penalty on batch norm's γ, each epoch ranks channels by |γ|; once the mask
/// has stopped moving, the ticket is drawn.
///
/// The released code cuts at the ⌊p·total⌋-th smallest |γ|, which takes one channel more than asked, and may empty
/// a layer; here the count is exact and each batch norm keeps a channel.
public struct EarlyBird: Hashable, InlineGroup, Sendable {
  /// Of the channels of all batch norms together.
  public var keepRatio: KeepRatio
  /// Of Σ|γ| in the loss.
  public var penalty = 1e-4
  /// How many masks, the newest included, must agree.
  public var window = 5
  /// How far the newest mask may be from each of the others, as a fraction of the channels.
  public var tolerance = 0.1

  private enum CodingKeys: String, CodingKey {
    case keepRatio = "keep"
    case penalty, window, tolerance
  }

  public init(keepRatio: KeepRatio) { self.keepRatio = keepRatio }

  /// 1 for the channels of largest |γ| over all batch norms, else 0: `[channels]`, batch norm after batch norm.
  /// - Throws: `InputError` if a γ is not a finite number.
  public func channelMask(of network: Network) throws(InputError) -> Tensor {
    let magnitudes = Self.gammas(of: network).map { $0.detached().abs() }
    guard !magnitudes.isEmpty else {
      throw InputError("Early-Bird needs batch norm", at: network.architecture.name, found: "none")
    }
    let total = try Tensor.concatenated(magnitudes).checkedRanking(of: "Early-Bird").count
    let ranking = Tensor.concatenated(
      magnitudes.map { $0.scattered(0, $0.argmax(0, keepDimension: true), .infinity) })
    return Mask.topK(ranking, keeping: max(magnitudes.count, keepRatio.kept(of: total)))
  }

  /// Adds the penalty's subgradient λ·sign(γ) to the gradients that a backward pass left in `network`.
  public func addPenalty(toGradientsOf network: Network) {
    withoutGradient {
      for gamma in Self.gammas(of: network) {
        let subgradient = gamma.sign() * penalty
        gamma.gradient = gamma.gradient.map { $0 + subgradient } ?? subgradient
      }
    }
  }

  private static func gammas(of network: Network) -> [Tensor] {
    network.batchNorms.map(\.gamma.tensor)
  }
}

extension Network {
  /// The batch norms that learn a scale γ for each channel, in the order of these, with their nodes' positions.
  var batchNorms: [(node: Int, gamma: Entry)] {
    let names = Dictionary(graph.held.map { ($0.value, $0.name) }) { first, _ in first }
    let nodes = graph.nodes.indices.filter { graph.nodes[$0].target.contains("batch_norm") }
    let ofName = Dictionary(
      nodes.compactMap { node in graph.nodes[node].value("weight").flatMap { names[$0] }.map { ($0, node) } }
    ) { first, _ in first }
    return parameters.compactMap { entry in ofName[entry.name].map { ($0, entry) } }
  }
}

/// Watches the masks of ``EarlyBird`` epoch by epoch.
public struct EarlyBirdDetector {
  public let method: EarlyBird
  /// The last masks, oldest first, at most ``EarlyBird/window``: what has to be saved to go on later.
  public private(set) var masks: [Tensor]

  public init(_ method: EarlyBird, masks: [Tensor] = []) {
    self.method = method
    self.masks = masks
  }

  /// Takes in the mask of one more epoch.
  public mutating func append(_ mask: Tensor) {
    masks = (masks + [mask]).suffix(method.window)
  }

  /// Normalised Hamming distances of the newest mask to those before, oldest first.
  public var distances: [Double] {
    guard let newest = masks.last else { return [] }
    return masks.dropLast().map { Mask.hammingDistance($0, newest) }
  }

  /// Whether the ticket is drawn: the window is full and its masks are close to the newest.
  public var hasEmerged: Bool {
    masks.count == method.window && distances.allSatisfy { $0 <= method.tolerance }
  }
}
