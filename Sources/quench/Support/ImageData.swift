import Foundation
import Reporting
import Support
import Synchronization
import Torch
import Vision

extension DataOptions {
  /// Reads a split of the data set onto `device`, cut to the limit that holds for it.
  func load(_ split: DataSplit, on device: Device, _ output: OutputOptions) throws(InputError) -> ImageDataset {
    var options = Vision.DataOptions()
    options.skipCorrupt = skipCorrupt
    // Synthetic images are made, not read: as many as are asked for.
    if let trainLimit { options.synthetic.trainCount = trainLimit }
    if let limit { options.synthetic.testCount = limit }
    let line = Mutex<ProgressLine?>(nil)
    let style = output.progress
    options.progress = { done, total in
      line.withLock { line in
        if line == nil { line = ProgressLine("Decoding", total: total, unit: "pictures", style: style) }
        line?.update(done)
      }
    }
    let directory = dataDir.map { URL(filePath: $0, directoryHint: .isDirectory) }
    var dataset = try Datasets.load(data, directory: directory, split: split, options: options)
    line.withLock { $0?.finish() }
    for note in dataset.notes { output.note("note: \(note)") }
    if !dataset.skipped.isEmpty {
      output.note("note: \(dataset.skipped.count) corrupt pictures left out, the first: \(dataset.skipped[0])")
    }
    if let count = split == .test ? limit : trainLimit { dataset = dataset.prefix(count) }
    return dataset.to(device)
  }
}

/// The images that a network learns from and is measured on.
struct ImageData {
  let train: ImageDataset
  /// Images of the training file that nothing is learned from; the test file decides nothing.
  let heldOut: ImageDataset?
  let test: ImageDataset
  /// The fingerprints of both files.
  let inputs: Record

  init(_ options: DataOptions, holdOut: Int?, seed: UInt64, on device: Device, _ output: OutputOptions) throws {
    let whole = try options.load(.train, on: device, output)
    test = try options.load(.test, on: device, output)
    inputs = ["training images": .string(whole.fingerprint), "test images": .string(test.fingerprint)]
    if let holdOut {
      let parts = try whole.split(heldOut: holdOut, seed: Generator.derive(seed, "hold-out"))
      (train, heldOut) = (parts.train, parts.heldOut)
    } else {
      (train, heldOut) = (whole, nil)
    }
    guard train.imageShape == test.imageShape, train.classNames == test.classNames else {
      throw InputError(
        "training and test images do not fit together", at: options.data.rawValue,
        expected: "\(train.imageShape) in \(train.classNames.count) classes",
        found: "\(test.imageShape) in \(test.classNames.count)")
    }
  }

  /// The network's accuracy on the held-out images, for a row of metrics; empty where there are none.
  func validation(of network: Network, _ precision: Precision) -> Record {
    guard let heldOut else { return [:] }
    let plan = InferencePlan(network, dtype: precision.inference)
    return ["validation_accuracy": .double(heldOut.accuracy(of: plan.callAsFunction).fraction)]
  }
}

extension ImageDataset {
  /// `[channels, height, width]`
  var imageShape: [Int] { [channels, height, width] }

  /// The architecture `model` for these images, which it normalises by their statistics.
  /// - Throws: `InputError` if the images are too small for it.
  func architecture(of model: ModelName) throws(InputError) -> Architecture {
    let architecture = model.architecture(input: imageShape, classes: classNames.count).normalizing(
      mean: statistics.mean.map { Double($0) }, standardDeviation: statistics.standardDeviation.map { Double($0) })
    do { try architecture.validate(at: name) } catch {
      throw InputError("the images of \(name) do not suit the model", at: model.rawValue, found: "\(imageShape)")
    }
    return architecture
  }
}
