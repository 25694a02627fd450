import QuenchSupport
import QuenchTorch
import QuenchVision

/// The linear autoencoder with the smallest mean squared error: the code is an image's coordinates along the first
/// principal components of the training images (Baldi and Hornik 1989), found by subspace iteration from a random basis
/// (Halko, Martinsson and Tropp 2011, algorithm 4.4). An epoch is one pass over the images and one iteration, which
/// needs memory for the basis alone, whatever the size of the images.
public final class PrincipalComponents: Learner {
  /// Directions beside those asked for, which the iteration converges faster with.
  private static let oversampling = 32
  private static let qrOperator = Operator("aten::linalg_qr")
  private static let eighOperator = Operator("aten::linalg_eigh")

  public let epochs: Int
  /// Numbers in a code.
  public let components: Int
  /// The components so far as networks.
  public let autoencoder: Defense.Autoencoder
  private let loader: BatchLoader
  /// Q, orthonormal columns, `[n, components + oversampling]`, those of most variance first.
  private let basis: Tensor
  /// `[n]`: 0 in the first epoch, where the images are not known yet.
  private let mean: Tensor
  /// Of this epoch so far: (X - mean)ᵀ(X - mean)Q, `[n, components + oversampling]`, and Σx, `[n]`.
  private let product: Tensor
  private let sum: Tensor

  /// - Parameters:
  ///   - components: Numbers in a code, from 1 to those of an image.
  ///   - dataset: Images `[C, H, W]`, pixels in [0, 1]; their labels are not looked at.
  ///   - recipe: Its epochs, batch size and augmentation.
  ///   - seed: Of the order of the images and the first basis.
  /// - Throws: `InputError` if the images have fewer numbers than a code is to have.
  public init(_ components: Int, of dataset: ImageDataset, recipe: DefenseRecipe, seed: UInt64) throws(InputError) {
    let size = dataset.imageShape.reduce(1, *)
    try requireSetting(
      (1...size).contains(components), "components", "1 to \(size), the numbers of an image", components)
    (self.components, epochs) = (components, recipe.epochs)
    loader = .training(
      dataset, batchSize: recipe.batchSize, augmentation: recipe.augmentation ? Augmentation() : nil,
      seed: Generator.derive(seed, "data-order"))
    let networks = Self.networks(components, dataset.imageShape)
    autoencoder = Defense.Autoencoder(
      encoder: Network(networks.encoder, seed: seed, device: dataset.images.device),
      decoder: Network(networks.decoder, seed: seed, device: dataset.images.device))
    let (columns, device) = (min(size, components + Self.oversampling), dataset.images.device)
    basis = .orthogonal([size, columns], using: Generator(seed: seed, for: "components")).to(device)
    (mean, sum) = (.zeros([size], device: device), .zeros([size], device: device))
    product = .zeros([size, columns], device: device)
  }

  public var stepsPerEpoch: Int { loader.batchesPerEpoch }
  public var imagesPerStep: Int { min(loader.batchSize, loader.dataset.count) }
  /// Nothing descends a gradient here.
  public var learningRate: Double { 0 }

  public func step(at position: LoaderPosition) -> StepResult {
    let batch = loader.batch(at: position)
    return withoutGradient {
      let pixels = batch.images.flattened(from: 1)
      let centered = pixels - mean
      let coordinates = centered.matmul(basis)
      product += centered.transposed(0, 1).matmul(coordinates)
      sum += pixels.sum([0])
      let kept = coordinates[TensorIndex.all, ..<components]
      let loss = (centered.square().sum() - kept.square().sum()) / Double(centered.count)
      if position.batch == stepsPerEpoch - 1 { iterate() }
      return StepResult(loss: loss, correct: nil, images: pixels.size(0))
    }
  }

  /// Q ← the orthonormal basis of CQ, with its columns turned to the eigenvectors of QᵀCQ, for the covariance C.
  private func iterate() {
    let world = loader.world
    let product = world.sum(product)
    let within = basis.transposed(0, 1).matmul(product)
    let ascending = Self.eighOperator.tuple((within + within.transposed(0, 1)) / 2, "L")[1]
    basis.copy(from: Self.qrOperator.tuple(product.matmul(ascending.flipped([1])), "reduced")[0])
    mean.copy(from: world.sum(sum) / Double(stepsPerEpoch * imagesPerStep))
    self.product.fill(with: 0)
    sum.fill(with: 0)
    place()
  }

  /// Writes the components into the networks.
  private func place() {
    let directions = basis[TensorIndex.all, ..<components]
    let (encoder, decoder) = (autoencoder.encoder.parameters, autoencoder.decoder.parameters)
    for (parameter, value) in zip(
      encoder + decoder, [directions.transposed(0, 1), -mean.matmul(directions), directions, mean])
    { parameter.tensor.copy(from: value) }
  }

  public var state: StateDictionary {
    StateDictionary([("basis", basis), ("mean", mean), ("product", product), ("sum", sum)])
  }

  public func restore(_ state: StateDictionary, from location: String) throws(InputError) {
    for (name, tensor) in self.state {
      guard let stored = state[name], stored.shape == tensor.shape else {
        throw InputError(
          "this is not a checkpoint of these principal components", at: location,
          expected: "\(name) \(tensor.shape)")
      }
      tensor.copy(from: stored)
    }
    withoutGradient(place)
  }
}

extension PrincipalComponents {
  /// Images `[channels, height, width]` to codes `[components, 1, 1]` and back; what is decoded is cut off at 0 and 1,
  /// where pixels end.
  private static func networks(_ components: Int, _ image: [Int]) -> (encoder: Architecture, decoder: Architecture)
  {
    /// Numbers in `input` to as many as `output` has.
    func linear(_ net: inout ArchitectureBuilder, to output: [Int]) -> ArchitectureBuilder.Value {
      let flat = net.append("flatten", .flatten, net.input)
      let numbers = net.linear("components", flat, output.reduce(1, *))
      return net.call(
        "reshape", "aten::reshape", ["self": numbers.operand, "shape": .integers([-1] + output)], shape: output)
    }
    let code = [components, 1, 1]
    var (encoder, decoder) = (ArchitectureBuilder(input: image), ArchitectureBuilder(input: code))
    _ = linear(&encoder, to: code)
    let pixels = linear(&decoder, to: image)
    _ = decoder.call(
      "clamp", "aten::clamp", ["self": pixels.operand, "min": .real(0), "max": .real(1)], shape: image)
    return (encoder.build("pca-\(components)-encoder"), decoder.build("pca-\(components)-decoder"))
  }
}
