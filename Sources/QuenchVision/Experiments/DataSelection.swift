import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import Synchronization

/// Which images an experiment is about.
public struct DataSelection: InlineGroup, Hashable, Sendable {
  /// Which images a limit takes.
  public enum Order: String, CaseIterable, Codable, Sendable {
    /// Drawn by the seed, evenly over the classes.
    case balanced
    /// The first ones of the data set.
    case first
  }

  public var data = DataName.fashionMNIST
  /// The folder that holds the data set's files; nil: the usual places.
  public var dataDir: String?
  /// How many test images to use; nil: all.
  public var limit: Int?
  /// How many training images to use; nil: all.
  public var trainLimit: Int?
  public var limitOrder = Order.balanced
  /// Leave out pictures that cannot be decoded, and say how many, or else stop at the first.
  public var skipCorrupt = true
  public var pictures = PictureSettings()

  public init() {}

  /// - Throws: `InputError` for a value out of its range.
  public func validate() throws(InputError) {
    try requireSetting(limit ?? 1 >= 1, "limit", "at least 1", limit ?? 0)
    try requireSetting(trainLimit ?? 1 >= 1, "train-limit", "at least 1", trainLimit ?? 0)
    try pictures.validate()
  }

  /// Reads a split of the data set onto `device`, cut to the limit that holds for it.
  /// - Parameters:
  ///   - split: Training or test images.
  ///   - wanted: What a network takes: pictures come to its size, and classes are known by its names.
  ///   - device: Where the images go.
  ///   - seed: Of the experiment, by which a limit's images are drawn.
  ///   - console: Told what was left out and how images were drawn.
  /// - Throws: `InputError` if the data set is missing or damaged.
  public func load(
    _ split: DataSplit, for wanted: WantedPictures? = nil, on device: Device, seed: UInt64, _ console: RunConsole
  ) throws(InputError) -> ImageDataset {
    var options = DataOptions()
    options.skipCorrupt = skipCorrupt
    let fit = pictures.fit(for: data == .folder ? wanted : nil, channels: options.channels)
    if data == .folder || data == .tinyImageNet {
      options.channels = fit?.channels ?? pictures.channels ?? options.channels
      if let fit { options.size = .fitted(fit) }
    }
    // Synthetic images are made, not read: as many as are asked for.
    if let trainLimit { options.synthetic.trainCount = trainLimit }
    if let limit { options.synthetic.testCount = limit }
    let line = Mutex<ProgressLine?>(nil)
    let style = console.progress
    options.progress = { done, total in
      line.withLock { line in
        if line == nil { line = ProgressLine("Decoding", total: total, unit: "pictures", style: style) }
        line?.update(done)
      }
    }
    let directory = dataDir.map { URL(filePath: $0, directoryHint: .isDirectory) }
    var dataset = try Datasets.load(data, directory: directory, split: split, options: options)
    line.withLock { $0?.finish() }
    if data != .folder, data != .tinyImageNet, pictures.isSaid {
      dataset = try dataset.fitted(
        to: pictures.fit(for: nil, channels: dataset.channels)
          ?? PictureFit(
            channels: pictures.channels ?? dataset.channels, height: dataset.height, width: dataset.width))
    }
    for note in dataset.notes { console.note("note: \(note)") }
    if !dataset.skipped.isEmpty {
      let count = NumberText.count(dataset.skipped.count, "corrupt picture")
      console.note("note: \(count) left out, the first: \(dataset.skipped[0])")
    }
    if let count = split == .test ? limit : trainLimit, count < dataset.count {
      let whole = dataset.count
      switch limitOrder {
      case .balanced: dataset = dataset.sample(count, seed: Generator.derive(seed, "limit \(split.rawValue)"))
      case .first: dataset = dataset.prefix(count)
      }
      console.note("note: \(selection(of: whole, dataset, split))")
    }
    if let note = dataset.coverage { console.note("note: of the \(split.rawValue) images, \(note)") }
    if let wanted {
      let matching = try dataset.matching(wanted.classNames, count: wanted.classes)
      if let note = matching.note { console.note("note: \(note)") }
      dataset = matching.dataset
    }
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

extension ImageDataset {
  /// What is to be said where not every class has images; nil where each has.
  public var coverage: String? { Wording.coverage(of: classCounts, classNames) }

  /// `[channels, height, width]`
  public var imageShape: [Int] { [channels, height, width] }

  /// The network of the name `model` for these images, which it normalizes by their statistics unless its weights say
  /// otherwise.
  /// - Throws: `InputError` if the images are too small for it.
  public func network(named model: ModelName) throws(InputError) -> NamedNetwork {
    var network: NamedNetwork
    do { network = try NamedNetwork(model, input: imageShape) } catch {
      throw InputError("the images of \(name) do not suit the model", at: model.rawValue, found: "\(imageShape)")
    }
    network.assumed = Normalization(statistics)
    network.assumedFrom = name
    return network
  }

  /// The architecture `model` for these images and classes, which it normalizes by their statistics.
  /// - Throws: `InputError` if the images are too small for it.
  public func architecture(of model: ModelName) throws(InputError) -> Architecture {
    var network = try network(named: model)
    network.classes = classNames.count
    return try network.architecture()
  }
}
