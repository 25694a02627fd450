import Foundation
import Support
import Torch
import Vision

/// A file of weights that the user names, checked against the images that it shall classify.
enum WeightsFile {
  /// The tensors alone of a file of weights for `architecture`.
  /// - Throws: `InputError` if the file is damaged, holds NaN or far more than such a network has.
  static func state(_ path: String, for architecture: Architecture) throws(InputError) -> StateDictionary {
    let state = try StateDictionary.load(URL(filePath: path), expecting: architecture.parameterCount)
    try state.validateFinite(at: path)
    return state
  }

  /// - Parameters:
  ///   - model: The architecture, for files that do not say theirs.
  ///   - output: Where it is told how the file was read.
  /// - Throws: `InputError` if the file is damaged, or if the network takes other images or knows other classes.
  static func load(
    _ path: String, model: ClassifierName?, for dataset: ImageDataset, on device: Device, _ output: OutputOptions
  ) throws(InputError) -> ModelFile {
    let architecture: Architecture? =
      if let model { try dataset.architecture(of: model.model) } else { nil }
    let file = try ModelFile(contentsOf: URL(filePath: path), architecture: architecture, device: device)
    output.tell(file, at: path)
    let found = file.network.architecture
    guard found.inputShape == dataset.imageShape else {
      throw InputError(
        "the network takes images of another size than those of \(dataset.name)", at: path,
        expected: "\(dataset.imageShape)", found: "\(found.inputShape)",
        remedy: "name the data set that it was trained on with --data")
    }
    guard found.outputShape == [dataset.classNames.count] else {
      throw InputError(
        "the network has another number of classes than \(dataset.name)", at: path,
        expected: "\(dataset.classNames.count)", found: found.outputShape.map(String.init).joined(separator: " x "),
        remedy: "name the data set that it was trained on with --data")
    }
    return file
  }
}
