import ArgumentParser
import Reporting
import Smoothing
import Support
import Torch
import Vision

/// What the model does whose defence is built.
struct TaskOptions: ParsableArguments {
  enum Task: String, CaseIterable, ExpressibleByArgument {
    case classification, reconstruction
  }

  @Option(help: "classification, or reconstruction: of images from linear measurements of them.")
  var task = Task.classification

  @Option(help: ArgumentHelp("With --task reconstruction: numbers that are measured of an image.", valueName: "n"))
  var measurements = 576

  func validate() throws {
    guard measurements > 0 else { throw ValidationError("--measurements must be at least 1.") }
  }

  /// The measurement of a data set's images; nil: they are shown as they are.
  func measurement(of dataset: ImageDataset) -> Measurement? {
    guard task == .reconstruction else { return nil }
    return Measurement(shape: dataset.imageShape, count: measurements, device: dataset.images.device)
  }

  /// Measured images are not cropped or mirrored: no measurement looks like that.
  func recipe(_ recipe: DefenseRecipe) -> DefenseRecipe {
    var recipe = recipe
    if task == .reconstruction { recipe.augmentation = nil }
    return recipe
  }

  /// The settings under the names of their flags.
  var settings: Record {
    guard task == .reconstruction else { return [:] }
    return ["task": .string(task.rawValue), "measurements": .int(measurements), "augmentation": false]
  }
}

extension ImageDataset {
  /// The data set as a defence sees it.
  func shown(by measurement: Measurement?) -> ImageDataset { measurement.map { measured(by: $0) } ?? self }
}
