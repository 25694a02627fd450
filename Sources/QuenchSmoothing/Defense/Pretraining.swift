import QuenchSupport
import QuenchTorch
import QuenchVision

/// Stage 1 and warm starts: teaches a chain of networks to give back the clean image, by the mean squared error. With
/// an encoder and a decoder it is the autoencoder's training (without noise, or behind a denoiser), with a denoiser the
/// denoiser's, with a reconstructor and a ``Measurement`` the reconstructor's.
public final class Pretraining: Learner {
  private let chain: [(name: String, network: Network)]
  private let recipe: DefenseRecipe
  private let noise: Double
  private let measurement: Measurement?
  private let denoiser: Network?
  private let seed: UInt64
  private let precision: Precision
  private let loader: BatchLoader
  private let trained: TrainedParts

  /// - Parameters:
  ///   - chain: From images to images.
  ///   - dataset: Images; their labels are not looked at.
  ///   - recipe: How.
  ///   - noise: σ of the noise on the chain's input; 0: none.
  ///   - measurement: What the chain is shown of an image; nil: the image.
  ///   - denoiser: A trained one between the noise and the chain; nil: none.
  ///   - seed: Of order and noise.
  ///   - precision: The element type of layers.
  public init(
    _ chain: [(name: String, network: Network)], on dataset: ImageDataset, recipe: DefenseRecipe, noise: Double,
    measurement: Measurement? = nil, denoiser: Network? = nil, seed: UInt64, precision: Precision = .automatic
  ) {
    self.chain = chain
    self.recipe = recipe
    self.noise = noise
    self.measurement = measurement
    self.denoiser = denoiser
    self.seed = seed
    self.precision = precision
    loader = .training(
      dataset, batchSize: recipe.batchSize, augmentation: recipe.augmentation ? Augmentation() : nil,
      seed: Generator.derive(seed, "data-order"))
    trained = TrainedParts(chain, recipe)
  }

  public var epochs: Int { recipe.epochs }
  public var stepsPerEpoch: Int { loader.batchesPerEpoch }
  public var imagesPerStep: Int { min(recipe.batchSize, loader.dataset.count) }
  public var learningRate: Double { trained.optimizer.learningRate }

  public func step(at position: LoaderPosition) throws -> StepResult {
    let batch = loader.batch(at: position)
    let images = batch.images
    let input = input(batch, seed: seed)
    let loss = try trained.training {
      let output = withAutocast(precision.autocast(on: images.device), on: images.device) {
        chain.reduce(input) { $1.network($0) }
      }
      return output.inFullPrecision().meanSquaredError(images)
    }
    trained.optimizer.zeroGradients()
    loss.backward()
    trained.optimizer.step(at: position, of: stepsPerEpoch)
    return StepResult(loss: loss, correct: nil, images: images.size(0))
  }

  private func input(_ batch: Batch, seed: UInt64) -> Tensor {
    let shown = measurement?(batch.images) ?? batch.images
    let noisy = noise > 0 ? shown.noisy(noise, seed: seed, at: batch.position, part: batch.part) : shown
    return denoiser.map { denoiser in withoutGradient { denoiser(noisy) } } ?? noisy
  }

  /// The mean squared error on a data set's images as they are, with the noise that is trained for.
  public func error(on dataset: ImageDataset) -> Double {
    sum(over: dataset) { $0.meanSquaredError($1.images).item() * Double($1.count) } / Double(dataset.count)
  }

  /// How often `classifier` (images to logits) is right about what the chain gives back of a data set's images, with the
  /// noise that is trained for.
  public func accuracy(of classifier: (Tensor) -> Tensor, on dataset: ImageDataset) -> Accuracy {
    let correct = sum(over: dataset) { Double((classifier($0).argmax(1) .== $1.labels).nonzeroCount()) }
    return Accuracy(correct: Int(correct), count: dataset.count)
  }

  /// The sum over a data set's batches, of which each rank computes some.
  /// - Parameter figure: Of what the chain gives back, and the batch.
  private func sum(over dataset: ImageDataset, _ figure: (Tensor, Batch) -> Double) -> Double {
    let (world, loader) = (dataset.world, BatchLoader.evaluation(dataset, batchSize: 500))
    var figures = [Double](repeating: 0, count: loader.batchesPerEpoch)
    withoutGradient {
      for index in stride(from: world.rank, to: figures.count, by: world.size) {
        let batch = loader.batch(at: LoaderPosition(batch: index))
        let input = input(batch, seed: Generator.derive(seed, "test"))
        figures[index] = figure(chain.reduce(input) { $1.network($0) }, batch)
      }
    }
    return world.sum(figures).reduce(0, +)
  }

  public var state: StateDictionary { trained.state }

  public func restore(_ state: StateDictionary, from location: String) throws(InputError) {
    try trained.restore(state, from: location)
  }
}
