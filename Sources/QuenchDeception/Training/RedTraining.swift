import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// How a denoiser is trained: Adam with a step schedule.
public struct RedRecipe: InlineGroup, Hashable, Sendable {
  enum CodingKeys: String, CodingKey {
    case objective, epochs, batchSize, learningRate, weightDecay, milestones, validationShare
    case noise = "sigma"
    case onlySuccessful
  }

  public var objective = RedObjective.classDiscriminative
  public var epochs = 30
  public var batchSize = 32
  /// 1e-3 for short runs from scratch; the released code has 1e-4 over 300 epochs.
  public var learningRate = 1e-3
  public var weightDecay = 1e-4
  /// Where the learning rate is divided by ten: 140 and 280 of 300 epochs.
  public var milestones = [140.0 / 300, 280.0 / 300]
  /// The share of each cell's sources that is kept for choosing the best epoch.
  public var validationShare = 0.1
  /// σ of denoised smoothing as published (Salman et al. 2020): if above 0, the denoiser learns from the clean images with
  /// Gaussian noise of this standard deviation, pixels in [0, 1], in place of the adversarial ones.
  public var noise = 0.0
  /// Train on the pairs whose attack succeeded only.
  public var onlySuccessful = true

  public init() {}

  /// - Throws: `InputError` for a hyper-parameter out of its range.
  func validate() throws(InputError) {
    try requireSetting(epochs > 0, "epochs", "at least 1", epochs)
    try requireSetting(batchSize > 1, "batch-size", "at least 2", batchSize)
    try requireSetting(learningRate > 0 && learningRate.isFinite, "learning-rate", "above 0", learningRate)
    try requireSetting(weightDecay >= 0 && weightDecay.isFinite, "weight-decay", "0 or more", weightDecay)
    try requireSetting(milestones.allSatisfy((0...1).contains), "milestones", "from 0 to 1", milestones)
    try requireSetting((0..<1).contains(validationShare), "validation-share", "from 0 to below 1", validationShare)
    try requireSetting(noise >= 0 && noise.isFinite, "sigma", "0 or more", noise)
    try requireSetting(objective.benign >= 0, "gamma", "0 or more", objective.benign)
    try requireSetting(objective.adversarial >= 0, "lambda", "0 or more", objective.adversarial)
  }
}

/// Trains a denoiser on pairs of adversarial and clean images, and keeps the weights of the best epoch: the highest
/// PA_benign on held-out pairs, averaged over cells.
public final class RedTraining: Learner {
  public let network: Network
  public let recipe: RedRecipe
  private let surrogates: [Surrogate]
  private let precision: Precision
  private let optimizer: Adam
  private let seed: UInt64
  private let world: World
  private let clean: Tensor
  private let adversarial: Tensor
  /// Held-out pairs.
  public let validation: [PairCell]
  private let best: Network
  /// The best validation figure so far; -1 before the first.
  private let score = Tensor.full([1], -1)
  private var order: (epoch: Int, batches: [Rows])?

  /// A classifier whose answers are aligned, in the forms in which training needs it.
  private struct Surrogate {
    let victim: Victim
    /// Its answers without gradients, in the training's precision.
    let answers: InferencePlan
    /// The training pairs that are its own.
    let rows: [Int]
  }

  /// Pairs of a batch, and which surrogate is theirs.
  private struct Rows {
    let surrogate: Int
    let rows: [Int]
  }

  /// - Parameters:
  ///   - network: The denoiser.
  ///   - cells: What it learns from, a share of each held out.
  ///   - surrogates: The classifiers whose answers are aligned. Pairs are aligned by the one that has their victim's name,
  ///     and by the first where none has; a batch has pairs of one surrogate only.
  ///   - recipe: What is minimised, and how.
  ///   - seed: Of the order of pairs, the transformations and the noise.
  ///   - precision: Of the passes.
  ///   - world: The ranks that learn together.
  /// - Throws: `InputError` if no pair is left to train on, a batch has fewer pairs than there are ranks, or a surrogate
  ///   takes other images.
  public init(
    _ network: Network, on cells: [PairCell], surrogates: [Victim], recipe: RedRecipe, seed: UInt64,
    precision: Precision = .automatic, world: World = .alone
  ) throws(InputError) {
    precondition(!surrogates.isEmpty, "no surrogate")
    self.network = network
    self.recipe = recipe
    self.precision = precision
    self.seed = seed
    self.world = world
    let (training, validation) = Self.split(cells, recipe)
    guard let first = training.first, training.contains(where: { $0.count > 0 }) else {
      throw InputError(
        "no pair is left to train on", expected: "attacks that succeed", found: "\(cells.count) cells",
        remedy: "build data from stronger attacks")
    }
    let pairs = training.filter { $0.count > 0 }
    clean = .concatenated(pairs.map(\.clean))
    adversarial = .concatenated(pairs.map(\.adversarial))
    for surrogate in surrogates
    where surrogate.network.architecture.inputShape != Array(first.clean.shape.dropFirst()) {
      throw InputError("the surrogate takes other images than the data's", at: surrogate.name)
    }
    let owners = pairs.flatMap { [Int](repeating: Self.surrogate(of: $0, among: surrogates), count: $0.count) }
    self.surrogates = surrogates.enumerated().map { index, victim in
      Surrogate(
        victim: victim, answers: InferencePlan(victim.network, dtype: precision.inference),
        rows: owners.indices.filter { owners[$0] == index })
    }
    self.validation = validation.filter { $0.count > 0 }
    optimizer = Adam(
      parameters: network.parameters.map { ($0.name, $0.tensor) }, learningRate: recipe.learningRate,
      weightDecay: recipe.weightDecay)
    best = network.copy()
    network.world = world
    let fewest = self.surrogates.map(\.rows.count).filter { $0 > 0 }.min() ?? 0
    try requireSetting(
      world.size <= min(recipe.batchSize, fewest), "batch-size", "a pair at least for each of \(world.size) ranks",
      min(recipe.batchSize, fewest))
  }

  /// Splits each cell's pairs by source image, so that no source is in both parts.
  private static func split(_ cells: [PairCell], _ recipe: RedRecipe) -> (train: [PairCell], held: [PairCell]) {
    let sources = Set(cells.flatMap { $0.indices.array(Int64.self) }).sorted()
    let limit = sources.isEmpty ? 0 : sources[Int(Double(sources.count - 1) * (1 - recipe.validationShare))]
    let chosen = recipe.onlySuccessful ? cells.map(\.successful) : cells
    return (
      chosen.map { $0.filtered($0.indices .<= Double(limit)) },
      chosen.map { $0.filtered($0.indices .> Double(limit)) }
    )
  }

  /// Which surrogate aligns a cell's pairs.
  private static func surrogate(of cell: PairCell, among surrogates: [Victim]) -> Int {
    surrogates.firstIndex { $0.name == cell.key.victim } ?? 0
  }

  public var epochs: Int { recipe.epochs }
  public var pairs: Int { clean.size(0) }
  public var stepsPerEpoch: Int { surrogates.reduce(0) { $0 + batches(of: $1) } }
  public var imagesPerStep: Int { min(recipe.batchSize, pairs) }
  public var learningRate: Double { optimizer.learningRate }
  /// The validation PA_benign of the best epoch; nil before the first.
  public var bestScore: Double? { score.item() < 0 ? nil : score.item() }
  /// The denoiser of the best epoch.
  public var bestNetwork: Network { best }

  public func step(at position: LoaderPosition) -> StepResult {
    let batch = batch(at: position)
    let surrogate = surrogates[batch.surrogate]
    let rows = Tensor(batch.rows).to(network.device)
    let x = PairCell.pixels(clean.selecting(rows))
    let xA =
      recipe.noise > 0
      ? x.noisy(recipe.noise, seed: seed, at: position) : PairCell.pixels(adversarial.selecting(rows))
    optimizer.learningRate =
      recipe.learningRate * factor(.step(milestones: recipe.milestones, factor: 0.1), at: position)
    network.isTraining = true
    let value = loss(x, xA, moves(at: position, x), surrogate)
    optimizer.zeroGradients()
    value.loss.backward()
    optimizer.step()
    let logits = value.logits ?? surrogate.answers(x[BatchPart(of: x.size(0), in: world).rows])
    return StepResult(loss: value.loss, logits: logits, labels: value.targets ?? logits.argmax(1))
  }

  /// The objective on a batch, in the training's precision.
  private func loss(
    _ x: Tensor, _ xA: Tensor, _ moves: [Transformation.Move], _ surrogate: Surrogate
  ) -> RedObjective.Value {
    withAutocast(precision.autocast(on: network.device), on: network.device) {
      recipe.objective(
        clean: x, adversarial: xA, moves: moves, denoise: { network($0) },
        surrogate: { surrogate.victim.network($0) }, answers: { surrogate.answers($0) }, in: world)
    }
  }

  private func moves(at position: LoaderPosition, _ images: Tensor) -> [Transformation.Move] {
    var random = SplitMix64(seed, 1, UInt64(position.epoch), UInt64(position.batch))
    return recipe.objective.transformations.map {
      $0.draw(height: images.size(2), width: images.size(3), batch: images.size(0), using: &random)
    }
  }

  private func batches(of surrogate: Surrogate) -> Int {
    surrogate.rows.isEmpty ? 0 : max(1, surrogate.rows.count / recipe.batchSize)
  }

  private func batch(at position: LoaderPosition) -> Rows {
    if let order, order.epoch == position.epoch { return order.batches[position.batch] }
    let batches = shuffled(epoch: position.epoch)
    order = (position.epoch, batches)
    return batches[position.batch]
  }

  /// An epoch's batches; those of each surrogate are spread evenly over it.
  private func shuffled(epoch: Int) -> [Rows] {
    var random = SplitMix64(seed, 0, UInt64(epoch))
    let placed = surrogates.enumerated().flatMap { index, surrogate in
      let rows = surrogate.rows.shuffled(using: &random)
      let count = batches(of: surrogate)
      return (0..<count).map { batch in
        let start = batch * recipe.batchSize
        let own = rows[start..<min(rows.count, start + recipe.batchSize)]
        return (place: (Double(batch) + 0.5) / Double(count), rows: Rows(surrogate: index, rows: Array(own)))
      }
    }
    return placed.sorted { ($0.place, $0.rows.surrogate) < ($1.place, $1.rows.surrogate) }.map(\.rows)
  }

  /// PA_benign and PA_adv of held-out pairs, averaged over cells.
  public struct Validation: Hashable, Sendable {
    public var benign: Double
    public var adversarial: Double
  }

  /// Measures the held-out pairs, with their surrogates' answers, and keeps the weights if they are the best so far.
  /// - Returns: Nil where no pairs were held out: the last weights then are the best.
  public func validate() -> Validation? {
    guard !validation.isEmpty else {
      best.takeWeights(of: network)
      return nil
    }
    let denoise = Self.frozen(network)
    let judged = judgedValidation
    // The ranks deal the cells out among themselves.
    var alignments = [Double](repeating: 0, count: 2 * validation.count)
    for index in stride(from: world.rank, to: validation.count, by: world.size) {
      let (cell, judge) = judged[index]
      var figures = PairFigures()
      for (x, xA) in zip(cell.clean.split(500), cell.adversarial.split(500)) {
        let attacked = PairCell.pixels(xA)
        figures.add(
          clean: PairCell.pixels(x), attacked: attacked, denoised: denoise(attacked)
        ) { judge.logits($0) }
      }
      alignments[index] = figures.benignAlignment.fraction
      alignments[validation.count + index] = figures.adversarialAlignment.fraction
    }
    alignments = world.sum(alignments)
    let benign = PairFigures.mean(Array(alignments[..<validation.count]))
    if benign > score.item() {
      score.fill(with: benign)
      best.takeWeights(of: network)
    }
    return Validation(
      benign: benign, adversarial: PairFigures.mean(Array(alignments[validation.count...])))
  }

  /// The held-out pairs, each cell with the surrogate that judges it.
  var judgedValidation: [(pairs: PairCell, victim: Victim)] {
    let victims = surrogates.map(\.victim)
    return validation.map { ($0, victims[Self.surrogate(of: $0, among: victims)]) }
  }

  /// D in evaluation mode, without gradients; unclamped.
  public static func frozen(_ network: Network) -> (Tensor) -> Tensor {
    let copy = network.foldingBatchNorm()
    return { images in withoutGradient { copy(images) } }
  }

  public var state: StateDictionary {
    var state = network.state
    state.add(optimizer.state, prefix: "optimizer.")
    state.add(best.state, prefix: "best.")
    state["best_score"] = score
    return state
  }

  public func restore(_ state: StateDictionary, from location: String) throws(InputError) {
    let (own, others) = state.partitioned(byPrefix: "optimizer.")
    var (kept, rest) = others.partitioned(byPrefix: "best.")
    guard let stored = rest["best_score"], stored.shape == score.shape else {
      throw InputError("the checkpoint is not of a denoiser's training", at: location)
    }
    rest["best_score"] = nil
    try optimizer.restore(own, from: location)
    try best.load(kept, from: location)
    kept = rest
    try network.load(kept, from: location)
    score.copy(from: stored)
  }
}
