import Support
import Torch
import Vision

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
      dataset, batchSize: recipe.batchSize, augmentation: recipe.augmentation,
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
    let images = loader.batch(at: position).images
    let noisy = images.noisy(recipe.sigma, seed: seed, at: position)
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
        let (estimate, correct) = try estimate(estimator, of: model, at: codes, images, position)
        // A scalar whose gradient is that of the mean loss: the slope at the codes is a constant in it.
        let surrogate = (estimate.gradient * codes).sum() * (1 / Double(images.size(0)))
        surrogate.backward()
        return StepResult(loss: estimate.values.mean(), correct: correct, images: images.size(0))
      }
    }
    trained.optimizer.step(epoch: position.epoch)
    return result
  }

  /// The estimated slope of the stability loss at the codes, and how many of them keep the clean image's class.
  private func estimate(
    _ estimator: GradientEstimator, of model: MeteredBlackBox, at codes: Tensor, _ images: Tensor,
    _ position: LoaderPosition
  ) throws -> (GradientEstimator.Estimate, correct: Double?) {
    func ask(_ images: Tensor, _ purpose: QueryLedger.Purpose) throws -> Tensor {
      let start = ContinuousClock.now
      defer { seconds.waiting += (ContinuousClock.now - start) / .seconds(1) }
      return try withoutGradient { try model.answer(images, for: purpose) }
    }
    let feedback = model.model.feedback
    let targets = feedback.targets(try ask(images, .target))
    let generator = Generator(
      seed: seed, for: "directions \(position.epoch) \(position.batch)", device: images.device)
    var correct: Double?
    let estimate = try estimator(at: codes, batchSize: model.batchSize, using: generator) { codes, rows, purpose in
      let answers = try ask(codes.inFewSizes(defense.images), purpose)
      let expected = targets.selecting(rows)
      if purpose == .base {
        correct = feedback.agreements(answers, with: expected).map { $0 + (correct ?? 0) }
      }
      return feedback.losses(answers, against: expected)
    }
    withoutGradient { asked += images.size(0) + estimate.queries }
    return (estimate, correct)
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
      throw InputError("this is not the state of a defence's training", at: location)
    }
    asked.copy(from: tensor)
  }
}
