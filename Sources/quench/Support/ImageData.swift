import Foundation
import Reporting
import Support
import Synchronization
import Torch
import Vision

extension DataOptions {
  /// Reads a split of the data set onto `device`, cut to the limit that holds for it.
  /// - Parameter seed: Of the run, by which a limit's images are drawn.
  func load(
    _ split: DataSplit, on device: Device, seed: UInt64, _ output: OutputOptions
  ) throws(InputError) -> ImageDataset {
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
      let count = NumberText.count(dataset.skipped.count, "corrupt picture")
      output.note("note: \(count) left out, the first: \(dataset.skipped[0])")
    }
    if let count = split == .test ? limit : trainLimit, count < dataset.count {
      let whole = dataset.count
      switch limitOrder {
      case .balanced: dataset = dataset.sample(count, seed: Generator.derive(seed, "limit \(split.rawValue)"))
      case .first: dataset = dataset.prefix(count)
      }
      output.note("note: \(selection(of: whole, dataset, split))")
    }
    if let note = dataset.coverage { output.note("note: of the \(split.rawValue) images, \(note)") }
    return dataset.to(device)
  }

  /// What a limit has left of a split of `whole` images.
  private func selection(of whole: Int, _ dataset: ImageDataset, _ split: DataSplit) -> String {
    let count = NumberText.fixed(Double(dataset.count), decimals: 0)
    let images = "\(count) of \(NumberText.count(whole, "\(split.rawValue) image"))"
    return switch limitOrder {
    case .balanced: "\(images), drawn evenly over the classes by the seed"
    case .first: "the first \(images)"
    }
  }
}

extension LearningOptions {
  /// Tells of training images that each epoch leaves out since they do not fill a batch.
  /// - Returns: Their count for the run's summary; empty where there are none.
  func leftOut(of dataset: ImageDataset, batchSize: Int) -> Record {
    let loader = BatchLoader.training(dataset, batchSize: batchSize, augmentation: nil, seed: 0)
    guard loader.leftOutPerEpoch > 0 else { return [:] }
    run.output.note("note: \(Wording.leftOut(loader.leftOutPerEpoch, of: dataset.count))")
    return ["left_out_per_epoch": .int(loader.leftOutPerEpoch)]
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
    let whole = try options.load(.train, on: device, seed: seed, output)
    test = try options.load(.test, on: device, seed: seed, output)
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
  /// - Throws: `InputError` if the network answers NaN or infinity to any of them.
  func validation(of network: Network, _ precision: Precision) throws(InputError) -> Record {
    guard let heldOut else { return [:] }
    let plan = InferencePlan(network, dtype: precision.inference)
    return ["validation_accuracy": .double(try heldOut.accuracy(of: plan.callAsFunction).fraction)]
  }
}

extension ImageDataset {
  /// What is to be said where not every class has images; nil where each has.
  var coverage: String? { Wording.coverage(of: classCounts, classNames) }

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
