import Reporting
import Support
import Torch
import Vision

/// A small network that tells which attack made a perturbation.
public struct FamilyClassifier {
  /// What it looks at.
  public enum Input: String, CaseIterable, Codable, Sendable {
    /// The true perturbation: the upper bound.
    case delta
    /// The estimate x' - D(x'), all that an analyst has.
    case estimate
    /// The image itself: the baseline.
    case image
  }

  public let network: Network
  /// In label order.
  public let families: [RedAttack]
  private let plan: InferencePlan

  public init(_ network: Network, families: [RedAttack]) {
    self.network = network
    self.families = families
    plan = InferencePlan(network, dtype: .float32)
  }

  /// Perturbations are as small as a few 255ths: stretched so that 16/255 is 1.
  private static let stretch = 255.0 / 16

  static func features(_ input: Input, clean: Tensor, attacked: Tensor, denoise: (Tensor) -> Tensor) -> Tensor {
    switch input {
    case .delta: (attacked - clean) * stretch
    case .estimate: (attacked - denoise(attacked)) * stretch
    case .image: attacked
    }
  }

  /// Probabilities of each family, `[N, families]`, for estimated perturbations `[N, C, H, W]` in pixel units.
  public func probabilities(_ estimates: Tensor) -> Tensor { plan(estimates * Self.stretch).softmax(1) }

  /// Features and labels of the successful pairs of `cells`.
  private static func dataset(
    _ cells: [PairCell], _ families: [RedAttack], _ input: Input, _ denoise: (Tensor) -> Tensor
  ) -> (images: Tensor, labels: Tensor)? {
    var (images, labels): ([Tensor], [Tensor]) = ([], [])
    for cell in cells.map(\.successful) where cell.count > 0 {
      guard let label = families.firstIndex(of: cell.key.attack) else { continue }
      for (x, xA) in zip(cell.clean.split(500), cell.adversarial.split(500)) {
        images.append(
          features(input, clean: PairCell.pixels(x), attacked: PairCell.pixels(xA), denoise: denoise))
      }
      labels.append(Tensor.full([cell.count], Double(label), dtype: .int64))
    }
    return images.isEmpty ? nil : (.concatenated(images), .concatenated(labels))
  }

  /// Trains one on the successful pairs of `cells`.
  /// - Throws: `InputError` if these are of fewer than two attacks.
  public static func train(
    on cells: [PairCell], input: Input, denoise: (Tensor) -> Tensor, epochs: Int = 5, seed: UInt64
  ) throws -> FamilyClassifier {
    let families = RedAttack.allCases.filter { family in
      cells.contains { $0.key.attack == family && $0.success.nonzeroCount() > 0 }
    }
    guard families.count > 1, let (images, labels) = dataset(cells, families, input, denoise) else {
      throw InputError("attack families cannot be told apart", expected: "successful pairs of 2 attacks or more")
    }
    let shape = Array(images.shape.dropFirst())
    let dataset = ImageDataset.features(images, labels: labels, classNames: families.map(\.rawValue))
    var recipe = TrainingRecipe()
    (recipe.epochs, recipe.batchSize, recipe.augmentation) = (epochs, min(64, max(2, images.size(0) / 4)), nil)
    let network = Network(.smallCNN(input: shape, classes: families.count), seed: seed)
    _ = try TrainingSession().run(ClassifierTraining(network, on: dataset, recipe: recipe, seed: seed))
    network.isTraining = false
    return FamilyClassifier(network, families: families)
  }

  /// Families of the test pairs (rows) by the family that they were taken for (columns).
  public func confusion(on cells: [PairCell], input: Input, denoise: (Tensor) -> Tensor) -> [[Int]] {
    var counts = Array(repeating: [Int](repeating: 0, count: families.count), count: families.count)
    guard let (images, labels) = Self.dataset(cells, families, input, denoise) else { return counts }
    let answers = Tensor.concatenated(images.split(500).map { plan($0).argmax(1) })
    for (label, answer) in zip(labels.array(Int64.self), answers.array(Int64.self)) {
      counts[Int(label)][Int(answer)] += 1
    }
    return counts
  }
}

extension ImageDataset {
  /// A data set of features instead of pixels.
  static func features(_ images: Tensor, labels: Tensor, classNames: [String]) -> ImageDataset {
    let shape = [1] + images.shape.dropFirst()
    let block = PixelBlock(shape: shape, pixels: .init(count: shape.reduce(1, *)), labels: [0])
    var dataset = ImageDataset(
      name: "features", block: block, classNames: classNames, statistics: .init(mean: [], standardDeviation: []),
      fingerprint: "")
    (dataset.images, dataset.labels) = (images, labels)
    return dataset
  }
}
