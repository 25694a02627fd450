import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Iterative magnitude pruning with rewinding (Frankle & Carbin 2019; Frankle et al. 2020): lottery tickets.
///
///     repeat until the target is met:
///       drop a fifth of the weights that are left, the smallest
///       rewind what stays to an early point of the dense training
///       train to the end
///
/// Starts from the trained dense network, which is round 0.
public struct IMP: PruningMethod {
  public static let name = "imp"

  public var target: PruningTarget
  /// The fraction of the remaining weights that a round drops.
  public var fraction = 0.2
  /// How each round trains, with a fresh optimiser.
  public var recipe = TrainingRecipe()
  /// The file of the early point's weights and statistics; nil: the dense training is part of the run, and keeps them.
  public var rewindFile: String?
  /// The epoch of that dense training to rewind to.
  public var rewindEpoch = 1
  /// Keep ratios on the way at which a round must end as well: tickets that are wanted beside the last.
  public var stops: [KeepRatio] = []

  private enum CodingKeys: String, CodingKey {
    case target, fraction, recipe, rewindEpoch
    case rewindFile = "rewind"
    case stops = "stop"
  }

  public init(_ target: PruningTarget) { self.target = target }

  public var files: KeyValuePairs<String, String?> { ["rewind": rewindFile] }
  public var snapshotEpoch: Int? { rewindFile == nil ? rewindEpoch : nil }
  public var batchSize: Int { recipe.batchSize }

  public mutating func takeSnapshot(at path: String) { rewindFile = path }

  public func validate() throws(InputError) {
    try recipe.validate()
    try requireSetting(fraction > 0 && fraction < 1, "fraction", "above 0 and below 1", fraction)
    try requireSetting(rewindEpoch >= 0, "rewind-epoch", "0 or more", rewindEpoch)
  }

  /// The keep ratio after each round: each drops round(fraction · remaining) of `count` weights; where a round would
  /// end within a hundredth of a ratio that is asked for, or beyond, it ends there.
  public func schedule(count: Int) -> [KeepRatio] {
    var wanted = (stops + [target.keepRatio]).filter { $0.value >= target.keepRatio.value }
      .sorted { $0.value > $1.value }
    var remaining = count
    var schedule: [KeepRatio] = []
    while let next = wanted.first {
      let goal = next.kept(of: count)
      let left = remaining - Int((fraction * Double(remaining)).rounded())
      if Double(left) <= 1.01 * Double(goal) || left == remaining {
        remaining = goal
        schedule.append(next)
        wanted.removeFirst()
        wanted.removeAll { $0.kept(of: count) == goal }
      } else {
        remaining = left
        schedule.append(KeepRatio(keeping: left, of: count))
      }
    }
    return schedule
  }

  public func training(
    _ network: Network, on dataset: ImageDataset, seed: UInt64, precision: Precision = .automatic,
    distillation: Distillation? = nil
  ) throws -> any PruningLearner {
    try IMPTraining(self, network, on: dataset, seed: seed, precision: precision, distillation: distillation)
  }
}

/// The rounds of ``IMP``, one after the other as epochs of one run.
public final class IMPTraining: PruningLearner {
  public let method: IMP
  public let network: Network
  /// The keep ratio of each round.
  public let rounds: [KeepRatio]
  public private(set) var mask: Mask
  private let layout: WeightLayout
  private let early: Network
  private let makeTraining: (Int) -> ClassifierTraining
  private var round: (number: Int, training: ClassifierTraining)

  /// - Throws: `InputError` if the method's target or its early weights do not fit the network.
  public init(
    _ method: IMP, _ network: Network, on dataset: ImageDataset, seed: UInt64, precision: Precision = .automatic,
    distillation: Distillation? = nil
  ) throws(InputError) {
    self.method = method
    self.network = network
    layout = try method.target.layout(of: network)
    mask = try method.target.checkedMask(layout.weights(of: network).abs(), layout)
    rounds = method.schedule(count: layout.count)
    early = network.copy()
    guard let rewindFile = method.rewindFile else {
      throw InputError("there are no weights to rewind to", at: "rewind", remedy: "name their file")
    }
    try early.load(.weights(at: rewindFile, for: network.architecture), from: rewindFile)
    let makeTraining: (Int) -> ClassifierTraining = { number in
      ClassifierTraining(
        network, on: dataset, recipe: method.recipe, seed: Generator.derive(seed, "round \(number)"),
        precision: precision, distillation: distillation)
    }
    self.makeTraining = makeTraining
    round = (-1, makeTraining(0))
  }

  public var epochs: Int { rounds.count * method.recipe.epochs }
  public var stepsPerEpoch: Int { round.training.stepsPerEpoch }
  public var imagesPerStep: Int { round.training.imagesPerStep }
  public var learningRate: Double { round.training.learningRate }

  public func step(at position: LoaderPosition) -> StepResult {
    let (number, epoch) = position.epoch.quotientAndRemainder(dividingBy: method.recipe.epochs)
    if number != round.number { begin(number) }
    let result = round.training.step(at: LoaderPosition(epoch: epoch, batch: position.batch))
    mask.apply(to: network)
    return result
  }

  /// Draws the round's mask from what the round before trained, and rewinds what stays.
  private func begin(_ number: Int) {
    var target = method.target
    target.keepRatio = rounds[number]
    mask = target.mask(layout.weights(of: network).abs(), layout)
    network.takeWeights(of: early)
    mask.apply(to: network)
    round = (number, makeTraining(number))
  }

  public func finish() { mask.apply(to: network) }

  private static let roundKey = "round"

  public var state: StateDictionary {
    var state = round.training.state
    state[Mask.stateKey] = mask.values
    state[Self.roundKey] = Tensor([Int64(round.number)])
    return state
  }

  public func restore(_ state: StateDictionary, from location: String) throws(InputError) {
    guard let number = state[Self.roundKey]?.array(Int64.self).first, (-1..<rounds.count).contains(Int(number))
    else {
      throw InputError("this is not a checkpoint of this pruning", at: location, expected: "a round's number")
    }
    mask = try Mask(layout: layout, in: state, from: location)
    round = (Int(number), makeTraining(max(0, Int(number))))
    let own = [Mask.stateKey, Self.roundKey]
    try round.training.restore(StateDictionary(state.filter { !own.contains($0.name) }), from: location)
  }
}
