import QuenchSupport
import QuenchTorch
import QuenchVision

/// The methods of Zhang et al. 2022 and what they are compared with, as compositions of the same parts.
public enum DefenseMethod: String, CaseIterable, Codable, Sendable {
  /// Denoised smoothing with gradients of the model (Salman et al. 2020).
  case foDS = "fo-ds"
  /// The same through an autoencoder.
  case foAEDS = "fo-ae-ds"
  /// Denoised smoothing from queries alone.
  case zoDS = "zo-ds"
  /// The same through an autoencoder, whose code has far fewer coordinates than the image.
  case zoAEDS = "zo-ae-ds"

  public var usesAutoencoder: Bool { self == .foAEDS || self == .zoAEDS }
  public var usesQueriesOnly: Bool { self == .zoDS || self == .zoAEDS }

  public var summary: String {
    switch self {
    case .foDS: "denoiser, trained with gradients of the model"
    case .foAEDS: "denoiser and encoder, trained with gradients of the model"
    case .zoDS: "denoiser, trained from queries over all pixels"
    case .zoAEDS: "denoiser and encoder, trained from queries over the code"
    }
  }
}

/// Stage 2: teaches a ``Defense`` to keep, under noise, the answers that a model gives to clean images (the stability
/// loss: cross-entropy against the model's own class, or the squared difference to the image that it answers).
///
/// How the loss's slope at the codes is come by is the one difference between the first-order and the zeroth-order
/// methods; what lies before the codes is differentiated as usual.
public final class DefenseTraining: Learner {
  /// Where the slope at the codes comes from.
  public enum Slope {
    /// A network whose weights are at hand, frozen, and what its output is: exact.
    case network(Network, Feedback)
    /// Queries alone.
    case queries(MeteredBlackBox, GradientEstimator)
  }

  public let defense: Defense
  public let recipe: DefenseRecipe
  private let slope: Slope
  private let seed: UInt64
  private let precision: Precision
  private let loader: BatchLoader
  private let trained: TrainedParts
  /// Images that the model was asked about, kept answers included: part of the state.
  private let asked = Tensor.zeros([], dtype: .int64)
  /// Seconds in which a black box was waited for, of all in this process.
  public private(set) var seconds = (waiting: 0.0, all: 0.0)
  /// What speaks against the model's answers, of all in this process.
  public private(set) var tally = AnswerTally()
  /// Told what makes the result doubtful, each thing once.
  public var onFinding: (String) -> Void = { _ in }

  public init(
    _ defense: Defense, of slope: Slope, on dataset: ImageDataset, recipe: DefenseRecipe, seed: UInt64,
    precision: Precision = .automatic
  ) {
    self.defense = defense
    self.slope = slope
    self.recipe = recipe
    self.seed = seed
    self.precision = precision
    loader = .training(
      dataset, batchSize: recipe.batchSize, augmentation: recipe.augmentation ? Augmentation() : nil,
      seed: Generator.derive(seed, "data-order"))
    trained = TrainedParts(defense.trained, recipe)
    defense.autoencoder?.decoder.setTrainable(false)
    if case .network(let network, _) = slope { network.setTrainable(false) }
  }

  public var epochs: Int { recipe.epochs }
  public var stepsPerEpoch: Int { loader.batchesPerEpoch }
  public var imagesPerStep: Int { min(recipe.batchSize, loader.dataset.count) }
  public var learningRate: Double { trained.optimizer.learningRate }
  /// Images that the model was asked about.
  public var queries: Int { asked.integerItem() }

  /// The most images that the whole training asks about.
  public var mostQueries: Int {
    guard case .queries(_, let estimator) = slope else { return 0 }
    return epochs * stepsPerEpoch * imagesPerStep * (1 + estimator.queries(dimension: defense.codeSize))
  }

  public func step(at position: LoaderPosition) throws -> StepResult {
    let start = ContinuousClock.now
    defer { seconds.all += (ContinuousClock.now - start) / .seconds(1) }
    let batch = loader.batch(at: position)
    let images = batch.images
    let noisy = images.noisy(recipe.sigma, seed: seed, at: position, part: batch.part)
    let device = images.device
    let result = try trained.training {
      let codes = withAutocast(precision.autocast(on: device), on: device) { defense.codes(noisy) }
      trained.optimizer.zeroGradients()
      switch slope {
      case .network(let network, let feedback):
        let targets = withoutGradient { feedback.targets(network(images)) }
        let answers = withAutocast(precision.autocast(on: device), on: device) { network(defense.images(codes)) }
          .inFullPrecision()
        let loss = feedback.losses(answers, against: targets).mean()
        loss.backward()
        return StepResult(
          loss: loss, correct: withoutGradient { feedback.agreements(answers, with: targets) },
          images: images.size(0))
      case .queries(let model, let estimator):
        let estimate = try shared(estimatedSlope(estimator, of: model, at: codes, batch), of: batch.part, model)
        // A scalar whose gradient is that of the mean loss: the slope at the codes is a constant in it.
        let surrogate = (estimate.slope * codes).sum() * estimate.weight
        surrogate.backward()
        var result = StepResult(
          loss: estimate.losses.sum() * estimate.weight, correct: estimate.correct, images: images.size(0))
        if estimator.isOfDifferences { result.shares["zero_differences"] = estimate.zeroDifferences }
        return result
      }
    }
    trained.optimizer.step(at: position, of: stepsPerEpoch)
    return result
  }

  /// The stability loss as queries show it.
  private struct SlopeEstimate {
    /// `[N, codeSize]`; 0 for images that are left out.
    var slope: Tensor
    /// Of the images that are not left out.
    var losses: Tensor
    /// How many keep the clean image's class; nil where the model tells images.
    var correct: Double?
    /// Images that were asked about beside the batch's own.
    var queries: Int
    var zeroDifferences: StepResult.Share
    /// Of an image in the mean over all that are not left out, as a share of this rank's.
    var weight = 1.0
  }

  /// The estimate, when all ranks have theirs: they count together, and if the user asked one of them to leave, all do.
  private func shared(_ estimate: SlopeEstimate?, of part: BatchPart, _ model: MeteredBlackBox) throws
    -> SlopeEstimate
  {
    let world = loader.world
    let images = part.rows.count
    let (queries, zero) = (estimate?.queries ?? 0, estimate?.zeroDifferences ?? .init(0, of: 0))
    let all = world.sum(
      [estimate == nil ? 1 : 0, queries, estimate?.losses.count ?? 0, zero.whole, zero.part].map(Double.init)
    ).map { Int($0) }
    guard var estimate, all[0] == 0 else { throw Interrupted(folder: nil) }
    // Rank 0 keeps the book; what the others asked is entered when the step is done.
    if world.rank == 0, world.size > 1 {
      let others = part.count - images
      try model.ledger?.enter(others, for: .target)
      try model.ledger?.enter(others, for: .base)
      try model.ledger?.enter(all[1] - queries - others, for: .perturbation)
    }
    withoutGradient { asked += part.count + all[1] }
    try tally.add(differences: (all[3], all[4]), images: part.count, leftOut: part.count - all[2]).forEach(
      onFinding)
    estimate.weight = Double(part.count) / Double(images) / Double(all[2])
    return estimate
  }

  /// The estimated slope of the stability loss at the codes; nil where the user asked to leave. The clean images, the
  /// codes and those round them are asked about in one stream, so that the model's connections never idle.
  private func estimatedSlope(
    _ estimator: GradientEstimator, of model: MeteredBlackBox, at codes: Tensor, _ batch: Batch
  ) throws -> SlopeEstimate? {
    let (images, position) = (batch.images, batch.position)
    let (feedback, waited) = (model.model.feedback, model.secondsWaited)
    defer { seconds.waiting += model.secondsWaited - waited }
    let generator = Generator(
      seed: seed, for: "directions \(position.epoch) \(position.batch)", device: images.device)
    var clean = images.split(model.batchSize).map { MeteredBlackBox.Question($0, for: .target) }[...]
    var missing = clean.count
    var cleanAnswers: [Tensor] = []
    var targets = Tensor.zeros([0])
    var isTarget = Tensor.zeros([0])
    var correct: Double?
    func ask(_ probes: AnyIterator<GradientEstimator.Probe>, _ take: (Tensor) -> Void) throws {
      var open: [GradientEstimator.Probe] = []
      let questions = AnyIterator<MeteredBlackBox.Question> {
        if let question = clean.popFirst() { return question }
        return probes.next().map { probe in
          open.append(probe)
          return .init(probe.points.inFewSizes(self.defense.images), for: probe.purpose)
        }
      }
      try model.answer(questions) { answers in
        guard missing == 0 else {
          cleanAnswers.append(answers)
          missing -= 1
          if missing == 0 {
            let all = Tensor.concatenated(cleanAnswers)
            (targets, isTarget) = (feedback.targets(all), feedback.areFinite(all))
          }
          return
        }
        let probe = open.removeFirst()
        let expected = targets.selecting(probe.rows)
        if probe.purpose == .base {
          correct = feedback.agreements(answers, with: expected).map { $0 + (correct ?? 0) }
        }
        take(feedback.losses(answers, against: expected))
      }
    }
    let estimate: GradientEstimator.Estimate
    do {
      estimate = try estimator(
        at: codes, batchSize: model.batchSize, part: batch.part, using: generator, stream: ask)
    } catch is Interrupted { return nil }
    return withoutGradient {
      let isUsable = isTarget * estimate.values.isFinite() * estimate.gradient.isFinite().all(1)
      let usable = isUsable.nonzero().reshaped([-1])
      var found = SlopeEstimate(
        slope: estimate.gradient, losses: estimate.values, correct: correct, queries: estimate.queries,
        zeroDifferences: StepResult.Share(estimate.differences.zero, of: estimate.differences.all))
      guard usable.count < images.size(0) else { return found }
      found.slope = estimate.gradient.zerosLike()
      found.slope.put(estimate.gradient.selecting(usable), at: [usable])
      found.losses = estimate.values.selecting(usable)
      return found
    }
  }

  private static let askedKey = "asked"

  public var state: StateDictionary {
    var state = trained.state
    state[Self.askedKey] = asked
    return state
  }

  public func restore(_ state: StateDictionary, from location: String) throws(InputError) {
    try trained.restore(state, from: location)
    guard let tensor = state[Self.askedKey], tensor.shape == [] else {
      throw InputError("this is not the state of a defense's training", at: location)
    }
    asked.copy(from: tensor)
  }
}
