import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// What the model does that is defended.
public struct DefenseTask: InlineGroup, Hashable, Sendable {
  public enum Kind: String, CaseIterable, Codable, Sendable {
    case classification
    /// Of images from linear measurements of them.
    case reconstruction
  }

  public var kind = Kind.classification
  /// Numbers that are measured of an image, for ``Kind/reconstruction``.
  public var measurements = 576

  enum CodingKeys: String, CodingKey {
    case kind = "task"
    case measurements
  }

  public init() {}

  func validate() throws(InputError) {
    try requireSetting(measurements > 0, "measurements", "at least 1", measurements)
  }

  /// The measurement of a data set's images; nil: they are shown as they are.
  func measurement(of dataset: ImageDataset) -> Measurement? {
    guard kind == .reconstruction else { return nil }
    return Measurement(shape: dataset.imageShape, count: measurements, device: dataset.images.device)
  }
}

extension DefenseRecipe {
  /// The recipe of a run: short unless told otherwise, with Adam alone.
  public static var ofRuns: DefenseRecipe {
    var recipe = DefenseRecipe()
    (recipe.epochs, recipe.adamEpochs) = (20, nil)
    return recipe
  }

  /// The recipe with what follows from other settings filled in.
  /// - Throws: `InputError` for a value out of its range.
  func checked(for task: DefenseTask) throws(InputError) -> DefenseRecipe {
    try validate()
    var recipe = self
    recipe.adamEpochs = adamEpochs ?? epochs
    // Measured images are not cropped or mirrored: no measurement looks like that.
    if task.kind == .reconstruction { recipe.augmentation = false }
    return recipe
  }
}

extension ImageDataset {
  /// The data set as a defense sees it.
  func shown(by measurement: Measurement?) -> ImageDataset { measurement.map { measured(by: $0) } ?? self }
}

extension Network {
  /// A model that gives back images from measurements of them, as ``PretrainDefense`` makes one.
  /// - Throws: `InputError` if the file is damaged, or the model's images are not the data set's.
  static func reconstructor(
    at path: String, for dataset: ImageDataset, on device: Device
  ) throws(InputError) -> Network {
    let network = try ModelFile(contentsOf: URL(filePath: path), device: device).network
    let (input, output) = (network.architecture.inputShape, network.architecture.outputShape)
    guard input == dataset.imageShape, output == dataset.imageShape else {
      throw InputError(
        "the model is no reconstructor of \(dataset.name)", at: path,
        expected: "images \(dataset.imageShape) to images", found: "\(input) to \(output)",
        remedy: "name one that 'quench defend pretrain reconstructor' has trained")
    }
    return network
  }
}
