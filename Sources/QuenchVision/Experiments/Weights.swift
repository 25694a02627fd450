import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch

extension ModelFile {
  /// Reads a file of weights that is to classify the images of `dataset`.
  /// - Parameters:
  ///   - path: The file.
  ///   - model: The architecture, for files that do not say theirs.
  ///   - pixels: What pixels are normalized by, in place of what the file says.
  ///   - dataset: The images.
  ///   - device: Where the network goes.
  ///   - console: Told how the file was read.
  /// - Throws: `InputError` if the file is damaged, or if the network takes other images or knows other classes.
  public init(
    path: String, model: ModelName?, pixels: PixelNormalization = .init(), for dataset: ImageDataset,
    on device: Device, _ console: RunConsole
  ) throws(InputError) {
    let named = try model.map { model throws(InputError) in try dataset.network(named: model) }
    try self.init(contentsOf: URL(filePath: path), named: named, normalization: pixels.value, device: device)
    tell(console, at: path)
    if network.architecture.accepts(imageShape: dataset.imageShape) {
      try network.adapt(to: dataset.imageShape)
    }
    let found = network.architecture
    guard found.inputShape == dataset.imageShape else {
      let theirs = dataset.imageShape.map(String.init).joined(separator: " x ")
      guard !found.isImported else {
        throw InputError(
          "the network takes \(found.inputText) images, the data have \(theirs)", at: path,
          remedy: "resize the images with `image-size`, or export the network for images of this size")
      }
      throw InputError(
        "the network takes images of another size than those of \(dataset.name)", at: path,
        expected: "\(dataset.imageShape)", found: "\(found.inputShape)",
        remedy: "name the data set that it was trained on with `data`, or resize the images with `image-size`")
    }
    guard found.outputShape == [dataset.classNames.count] else {
      throw InputError(
        "the network has another number of classes than \(dataset.name)", at: path,
        expected: "\(dataset.classNames.count)", found: found.outputShape.map(String.init).joined(separator: " x "),
        remedy: "name the data set that it was trained on with `data`")
    }
    classNames = try pixels.labels(for: dataset.classNames.count) ?? classNames
    if classNames.isEmpty { classNames = dataset.classNames }
  }

  /// Says how the file was read, where there is something to say.
  public func tell(_ console: RunConsole, at path: String) {
    for text in notes { console.note("note: \(path): \(text)") }
  }
}

extension StateDictionary {
  /// The tensors of a file of weights for `architecture`.
  /// - Throws: `InputError` if the file is damaged, holds NaN or infinity, or far more than such a network has.
  public static func weights(at path: String, for architecture: Architecture) throws(InputError) -> StateDictionary
  {
    let state = try load(URL(filePath: path), expecting: architecture.parameterCount)
    try state.validateFinite(at: path)
    return state
  }
}

extension Experiment {
  /// What computes, where tensors do.
  public func tensorVersions(on device: String, _ precision: Precision) -> Record {
    let device = (try? Device(parsing: device)) ?? .cpu
    return versions(on: device, precision.versions(on: device))
  }

  /// What computes answers, where tensors do.
  public func tensorVersions(on device: String, answersIn precision: InferencePrecision) -> Record {
    let device = (try? Device(parsing: device)) ?? .cpu
    return versions(on: device, precision.versions(on: device))
  }

  private func versions(on device: Device, _ precisions: Record) -> Record {
    let versions: Record = [
      "quench": .string(Release.version), "libtorch": .string(LibTorch.version),
      "cpu": .string(LibTorch.cpuCapability), "device": .string("\(device)"), "threads": .int(LibTorch.threads)
    ]
    return versions.merging(precisions)
  }
}

extension RunContext {
  /// Where tensors are computed.
  /// - Throws: `InputError` if there is no such device.
  public func tensorDevice() throws(InputError) -> Device { try Device(parsing: lab.device) }

  /// The ranks that do the work together.
  public var world: World { lab.ranks as? World ?? .alone }

  /// A session of `task` in the run's folder.
  public func session(_ task: String, in folder: RunFolder) -> TrainingSession {
    var session = TrainingSession(folder: folder)
    session.task = task
    session.world = world
    session.resumes = isResumed
    session.checkpointInterval = lab.checkpointInterval
    session.writesTensorBoard = lab.writesTensorBoard
    session.progress = console.progress
    session.warn = console.note
    return session
  }
}
