import QuenchSupport
import QuenchTorch
import QuenchVision

/// Trains a classifier on adversarial images of itself.
public final class AdversarialTraining: Learner {
  public enum Method: String, CaseIterable, Codable, Sendable {
    /// One FGSM step from a random point (Wong, Rice and Kolter 2020, algorithm 3).
    case fgsmRS = "fgsm-rs"
    /// PGD (Madry et al. 2018).
    case pgd
  }

  /// How the adversarial images are made.
  public struct Settings: Hashable, Codable, Sendable {
    public var method = Method.fgsmRS
    /// In pixel units.
    public var epsilon = 8.0 / 255
    /// Nil: 10/8 of the budget for FGSM-RS, a quarter of it for PGD.
    public var stepSize: Double?
    /// Steps of PGD.
    public var steps = 7
    /// A fall of the five-step PGD accuracy on a training batch by more than this, from epoch to epoch, is catastrophic
    /// overfitting: training ends with the weights before it.
    public var largestFall = 0.2

    public init() {}

    var step: Double { stepSize ?? epsilon * (method == .fgsmRS ? 1.25 : 0.25) }
  }

  public let network: Network
  public let recipe: TrainingRecipe
  public let settings: Settings
  public let loader: BatchLoader
  private let precision: Precision
  private let optimizer: SGD
  private let seed: UInt64
  /// The weights of the last epoch that was sound.
  private let sound: Network
  /// The PGD accuracy of that epoch, and the epoch (from 1) after which it collapsed; 0: it did not.
  private let record = Tensor.zeros([2])

  public init(
    _ network: Network, on dataset: ImageDataset, recipe: TrainingRecipe, settings: Settings, seed: UInt64,
    precision: Precision = .automatic
  ) {
    self.network = network
    self.recipe = recipe
    self.settings = settings
    self.precision = precision
    self.seed = seed
    loader = .training(
      dataset, batchSize: recipe.batchSize, augmentation: recipe.augmentation ? Augmentation() : nil,
      seed: Generator.derive(seed, "data-order"))
    optimizer = SGD(network, recipe)
    sound = network.copy()
  }

  public var epochs: Int { recipe.epochs }
  public var stepsPerEpoch: Int { loader.batchesPerEpoch }
  public var imagesPerStep: Int { min(recipe.batchSize, loader.dataset.count) }
  public var learningRate: Double { optimizer.learningRate }

  /// The epoch, from 1, after which robustness collapsed; nil: it did not.
  public var collapsedAfterEpoch: Int? {
    let epoch = Int(record[1].item())
    return epoch > 0 ? epoch : nil
  }

  public func step(at position: LoaderPosition) -> StepResult {
    let batch = loader.batch(at: position)
    network.isTraining = collapsedAfterEpoch == nil
    let perturbed = perturb(batch, at: position)
    let logits = forward(perturbed)
    let loss = logits.inFullPrecision().crossEntropy(batch.labels, labelSmoothing: recipe.labelSmoothing)
    guard collapsedAfterEpoch == nil else { return StepResult(loss: loss, logits: logits, labels: batch.labels) }
    optimizer.learningRate = recipe.learningRate * factor(recipe.learningRateSchedule, at: position)
    optimizer.zeroGradients()
    loss.backward()
    if let clipNorm = recipe.clipNorm { optimizer.clipGradients(maxNorm: clipNorm) }
    optimizer.step()
    if position.batch == stepsPerEpoch - 1 { check(batch, after: position.epoch + 1) }
    return StepResult(loss: loss, logits: logits, labels: batch.labels)
  }

  private func forward(_ images: Tensor) -> Tensor {
    withAutocast(precision.autocast(on: network.device), on: network.device) { network(images) }
  }

  /// Images that the network as it is now takes for something else, or nearly so.
  private func perturb(_ batch: Batch, at position: LoaderPosition) -> Tensor {
    let epsilon = settings.epsilon
    let place = UInt64(position.epoch * stepsPerEpoch + position.batch)
    let generator = Generator(
      seed: Generator.derive(seed, "adversary-\(place)"), device: network.device)
    var delta = batch.part.drawn(like: batch.images) { $0.fillUniform(-epsilon, epsilon, using: generator) }
    for _ in 0..<(settings.method == .fgsmRS ? 1 : settings.steps) {
      let leaf = (batch.images + delta).clamped(to: 0...1).detached().requiringGrad()
      let logits = withAutocast(precision.autocast(on: network.device), on: network.device) {
        network(leaf, updatingStatistics: false)
      }
      let gradient = grad(
        of: logits.inFullPrecision().crossEntropy(batch.labels), withRespectTo: [leaf])[0]
      delta = (delta + gradient.sign() * settings.step).clamped(to: -epsilon...epsilon)
    }
    return (batch.images + delta).clamped(to: 0...1)
  }

  /// Looks for catastrophic overfitting: robustness against PGD that is gone from one epoch to the next.
  private func check(_ batch: Batch, after epoch: Int) {
    var attack = PGD()
    attack.budget = settings.epsilon
    attack.steps = 5
    attack.stopsAtSuccess = true
    let model = AttackedModel(network)
    let samples = Samples(
      images: batch.images, labels: batch.labels, indices: Array(batch.part.rows), seed: seed)
    let logits = model.score(attack.perturb(samples, on: model))
    let right = (logits.argmax(1) .== batch.labels).nonzeroCount()
    let accuracy = network.world.sum([Double(right)])[0] / Double(batch.part.count)
    if accuracy < record[0].item() - settings.largestFall {
      network.takeWeights(of: sound)
      record[1].fill(with: Double(epoch))
    } else {
      sound.takeWeights(of: network)
      record[0].fill(with: accuracy)
    }
  }

  public var state: StateDictionary {
    var state = network.state
    state.add(optimizer.state, prefix: "optimizer.")
    state.add(sound.state, prefix: "sound.")
    state["robustness"] = record
    return state
  }

  public func restore(_ state: StateDictionary, from location: String) throws(InputError) {
    let (own, others) = state.partitioned(byPrefix: "optimizer.")
    var (kept, rest) = others.partitioned(byPrefix: "sound.")
    guard let stored = rest["robustness"], stored.shape == record.shape else {
      throw InputError("the checkpoint is not of adversarial training", at: location)
    }
    rest["robustness"] = nil
    try optimizer.restore(own, from: location)
    try sound.load(kept, from: location)
    kept = rest
    try network.load(kept, from: location)
    record.copy(from: stored)
  }
}
