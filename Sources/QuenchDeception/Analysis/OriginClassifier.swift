import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// A small network that tells where a perturbation comes from.
public struct OriginClassifier {
  /// What it tells.
  public enum Trait: String, CaseIterable, Codable, Sendable {
    case attack
    /// How strong the attack was.
    case level
    /// The classifier that it was made on.
    case victim

    func label(of key: PairCell.Key) -> String {
      switch self {
      case .attack: key.attack.rawValue
      case .level: key.level.rawValue
      case .victim: key.victim
      }
    }
  }

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
  public let trait: Trait
  /// What it tells apart, in label order.
  public let classes: [String]
  private let plan: InferencePlan

  public init(_ network: Network, _ trait: Trait = .attack, classes: [String]) {
    self.network = network
    self.trait = trait
    self.classes = classes
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

  /// Probabilities of each class, `[N, classes]`, for estimated perturbations `[N, C, H, W]` in pixel units.
  public func probabilities(_ estimates: Tensor) -> Tensor { plan(estimates * Self.stretch).softmax(1) }

  /// Features and labels of the successful pairs of `cells`: those of attacks that are trained on, so that a level means
  /// the same budget throughout.
  private static func dataset(
    _ cells: [PairCell], _ trait: Trait, _ classes: [String], _ input: Input, _ denoise: (Tensor) -> Tensor
  ) -> (images: Tensor, labels: Tensor)? {
    var (images, labels): ([Tensor], [Tensor]) = ([], [])
    for cell in cells.map(\.successful) where cell.count > 0 && RedAttack.seen.contains(cell.key.attack) {
      guard let label = classes.firstIndex(of: trait.label(of: cell.key)) else { continue }
      for (x, xA) in zip(cell.clean.split(500), cell.adversarial.split(500)) {
        images.append(
          features(input, clean: PairCell.pixels(x), attacked: PairCell.pixels(xA), denoise: denoise))
      }
      labels.append(Tensor.full([cell.count], Double(label), dtype: .int64, device: cell.clean.device))
    }
    return images.isEmpty ? nil : (.concatenated(images), .concatenated(labels))
  }

  /// What the successful pairs of `cells` can be told apart by, in a fixed order.
  public static func classes(_ trait: Trait, in cells: [PairCell]) -> [String] {
    let found = Set(cells.filter { $0.success.nonzeroCount() > 0 }.map { trait.label(of: $0.key) })
    switch trait {
    case .attack: return RedAttack.allCases.map(\.rawValue).filter(found.contains)
    case .level: return RedLevel.allCases.map(\.rawValue).filter(found.contains)
    case .victim: return found.sorted()
    }
  }

  /// Trains one on the successful pairs of `cells`.
  /// - Throws: `InputError` if these are all of one class.
  public static func train(
    on cells: [PairCell], telling trait: Trait = .attack, input: Input, denoise: (Tensor) -> Tensor,
    epochs: Int = 5, seed: UInt64
  ) throws -> OriginClassifier {
    let classes = classes(trait, in: cells)
    guard classes.count > 1, let (images, labels) = dataset(cells, trait, classes, input, denoise) else {
      throw InputError(
        "nothing can be told apart: all pairs are of one \(trait.rawValue)",
        expected: "successful pairs of 2 or more",
        found: classes.joined(separator: ", "))
    }
    let shape = Array(images.shape.dropFirst())
    let dataset = ImageDataset.features(images, labels: labels, classNames: classes)
    var recipe = TrainingRecipe()
    (recipe.epochs, recipe.batchSize) = (epochs, min(64, max(2, images.size(0) / 4)))
    (recipe.warmUp, recipe.augmentation) = (1, false)
    let network = Network(.smallCNN(input: shape, classes: classes.count), seed: seed, device: images.device)
    var session = TrainingSession()
    session.divergenceRemedy = "check the denoiser: nothing is learned from perturbations that are no numbers"
    _ = try session.run(ClassifierTraining(network, on: dataset, recipe: recipe, seed: seed))
    network.isTraining = false
    return OriginClassifier(network, trait, classes: classes)
  }

  /// The share of the test pairs that it takes for what they are.
  public func accuracy(on cells: [PairCell], input: Input, denoise: (Tensor) -> Tensor) -> Accuracy {
    Accuracy(confusion: confusion(on: cells, input: input, denoise: denoise))
  }

  /// Classes of the test pairs (rows) by the class that they were taken for (columns).
  public func confusion(on cells: [PairCell], input: Input, denoise: (Tensor) -> Tensor) -> [[Int]] {
    var counts = Array(repeating: [Int](repeating: 0, count: classes.count), count: classes.count)
    guard let (images, labels) = Self.dataset(cells, trait, classes, input, denoise) else { return counts }
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

extension Accuracy {
  /// Of counts by class (rows) and answer (columns).
  public init(confusion counts: [[Int]]) {
    self.init(
      correct: counts.indices.reduce(0) { $0 + counts[$1][$1] }, count: counts.reduce(0) { $0 + $1.reduce(0, +) })
  }
}
