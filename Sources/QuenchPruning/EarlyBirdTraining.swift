import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Early-Bird training: search for the ticket while the network trains, then train what it keeps to the end.
public struct EarlyBirdPruning: PruningMethod {
  public static let name = "early-bird"
  public static let startsTrained = false

  /// Of filters; its ratio is that of the channels, and nothing else of it can be set.
  public var target: PruningTarget {
    get {
      var target = PruningTarget(keepRatio: method.keepRatio)
      target.granularity = .filter
      return target
    }
    set { method.keepRatio = newValue.keepRatio }
  }
  public var method: EarlyBird
  /// How the network trains, the search included.
  public var recipe = TrainingRecipe()
  /// The epoch after which the ticket is drawn even if masks still move, below the recipe's; nil: half of these.
  public var latestEpoch: Int?

  public init(keepRatio: KeepRatio) {
    method = EarlyBird(keepRatio: keepRatio)
  }

  /// - Parameter target: Its keep ratio is that of the filters.
  public init(_ target: PruningTarget) { self.init(keepRatio: target.keepRatio) }

  public var batchSize: Int { recipe.batchSize }

  public func validate() throws(InputError) {
    try recipe.validate()
    try requireSetting(recipe.epochs > 1, "epochs", "at least 2, to train the ticket", recipe.epochs)
    try requireSetting(
      (1..<recipe.epochs).contains(latestEpoch ?? 1), "latest-epoch", "at least 1 and below epochs",
      latestEpoch ?? 0)
    try requireSetting(method.penalty >= 0 && method.penalty.isFinite, "penalty", "0 or more", method.penalty)
  }

  var lastSearchEpoch: Int { latestEpoch ?? recipe.epochs / 2 }

  /// - Throws: `InputError` if the recipe leaves no epoch to train the ticket, or the network's batch norms do not
  ///   follow convolutions.
  public func training(
    _ network: Network, on dataset: ImageDataset, seed: UInt64, precision: Precision = .automatic,
    distillation: Distillation? = nil
  ) throws -> any PruningLearner {
    try EarlyBirdTraining(self, network, on: dataset, seed: seed, precision: precision, distillation: distillation)
  }
}

/// ``EarlyBirdPruning`` at work. Pruned filters and their batch norms are held at zero, so that they can be cut.
public final class EarlyBirdTraining: PruningLearner {
  public let method: EarlyBirdPruning
  public private(set) var mask: Mask
  /// The epoch after which the ticket was drawn; nil: not yet.
  public private(set) var ticketEpoch: Int?
  /// Weights that the ticket keeps, counted from its channels.
  public private(set) var keptCount: Int
  /// For each batch norm, in the order of the channels, the weight of the convolution before it.
  private let filters: [String]
  private let groups: ChannelGroups
  private let training: ClassifierTraining
  private let ticket: Ticket
  private var detector: EarlyBirdDetector

  private static func filters(of network: Network) throws(InputError) -> [String] {
    let graph = network.graph
    let (producers, names) = (
      graph.producers, Dictionary(graph.held.map { ($0.value, $0.name) }) { first, _ in first }
    )
    var filters: [String] = []
    for (position, _) in network.batchNorms {
      let node = graph.nodes[position]
      let before = node.value("input").flatMap { producers[$0.index] }.map { graph.nodes[$0] }
      guard let before, before.target.hasPrefix("aten::conv"), !before.target.hasPrefix("aten::conv_transpose"),
        let weight = before.value("weight").flatMap({ names[$0] })
      else {
        throw InputError(
          "Early-Bird prunes filters by the batch norm behind them",
          at: "\(network.architecture.name), \(node.name)",
          expected: "a batch norm that follows a convolution",
          found: "one that follows \(before?.name ?? "the images")")
      }
      filters.append(weight)
    }
    return filters
  }

  /// What the training holds at zero: shared with its constraint.
  private final class Ticket {
    var apply: (() -> Void)?
  }

  /// - Throws: `InputError` if the network has a batch norm that does not follow a convolution.
  public init(
    _ method: EarlyBirdPruning, _ network: Network, on dataset: ImageDataset, seed: UInt64,
    precision: Precision = .automatic, distillation: Distillation? = nil
  ) throws(InputError) {
    guard (1..<max(1, method.recipe.epochs)).contains(method.lastSearchEpoch) else {
      throw InputError(
        "no epoch is left to train the ticket", at: "Early-Bird",
        expected: "the ticket at epoch 1 or later and before the last of \(method.recipe.epochs)",
        found: "epoch \(method.lastSearchEpoch)", remedy: "train for more epochs")
    }
    filters = try Self.filters(of: network)
    groups = try ChannelGroups(network.architecture)
    _ = try method.method.channelMask(of: network)
    let layout = try method.target.layout(of: network)
    let ticket = Ticket()
    let earlyBird = method.method
    self.method = method
    self.ticket = ticket
    mask = Mask(layout: layout, values: .ones([layout.count], device: network.device))
    keptCount = layout.count
    detector = EarlyBirdDetector(earlyBird)
    training = ClassifierTraining(
      network, on: dataset, recipe: method.recipe, seed: seed, precision: precision, distillation: distillation,
      penalty: { if ticket.apply == nil { earlyBird.addPenalty(toGradientsOf: network) } },
      constraint: { ticket.apply?() })
  }

  public var network: Network { training.network }
  public var epochs: Int { training.epochs }
  public var stepsPerEpoch: Int { training.stepsPerEpoch }
  public var imagesPerStep: Int { training.imagesPerStep }
  public var learningRate: Double { training.learningRate }

  public func step(at position: LoaderPosition) -> StepResult {
    if ticketEpoch == nil, position.batch == 0, position.epoch > 0 { search(after: position.epoch) }
    return training.step(at: position)
  }

  /// Takes in the mask after `epoch` epochs, and draws the ticket when it has emerged.
  private func search(after epoch: Int) {
    // A γ that is no number comes with a loss that is none, which ends the run.
    guard let channels = try? method.method.channelMask(of: network) else { return }
    detector.append(channels)
    guard detector.hasEmerged || epoch >= method.lastSearchEpoch else { return }
    ticketEpoch = epoch
    hold(channels)
  }

  /// Masks the filters of the channels at 0.
  private func hold(_ channels: Tensor) {
    let parts = channels.split(sizes: network.batchNorms.map(\.gamma.tensor.count))
    let kept = Dictionary(zip(filters, parts)) { first, _ in first }
    keptCount = 0
    let layers = mask.layout.layers.map { layer in
      let all = Tensor.ones(layer.shape, device: network.device)
      guard let filters = kept[layer.name] else {
        keptCount += layer.count
        return all
      }
      keptCount += Int(filters.sum().item()) * (layer.count / layer.shape[0])
      return all * filters.to(.float32).reshaped([-1] + layer.shape.dropFirst().map { _ in 1 })
    }
    hold(Mask(layout: mask.layout, values: mask.layout.joined(layers)))
  }

  private func hold(_ mask: Mask) {
    self.mask = mask
    let silence = SilentChannels(mask.extended(to: WeightLayout(network)) ?? mask, of: network, groups)
    ticket.apply = { [network] in
      mask.apply(to: network)
      silence.apply(to: network)
    }
    ticket.apply?()
  }

  public func finish() { ticket.apply?() }

  private static let prefix = "early-bird."

  public var state: StateDictionary {
    var state = training.state
    if !detector.masks.isEmpty {
      state[Self.prefix + "masks"] = .concatenated(detector.masks.map { $0.unsqueezed(0) })
    }
    if let ticketEpoch { state[Self.prefix + "ticket"] = Tensor([Int64(ticketEpoch)]) }
    return state
  }

  public func restore(_ state: StateDictionary, from location: String) throws(InputError) {
    let (own, rest) = state.partitioned(byPrefix: Self.prefix)
    try training.restore(rest, from: location)
    let channels = try method.method.channelMask(of: network).count
    let masks = own["masks"]?.split(sizes: [Int](repeating: 1, count: own["masks"]?.size(0) ?? 0)) ?? []
    guard masks.allSatisfy({ $0.count == channels }), masks.count <= method.method.window else {
      throw InputError(
        "this is not a checkpoint of this pruning", at: location,
        expected: "at most \(method.method.window) masks of \(channels) channels", found: own["masks"]?.summary)
    }
    detector = EarlyBirdDetector(method.method, masks: masks.map { $0.reshaped([-1]) })
    if let epoch = own["ticket"]?.array(Int64.self).first, let last = detector.masks.last {
      ticketEpoch = Int(epoch)
      hold(last)
    }
  }
}
