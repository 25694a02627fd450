import QuenchReporting
import QuenchSupport
import QuenchTorch

/// Which images a network learns from and is measured on, and what every training depends on beside its recipe.
public struct LearningSettings: InlineGroup, Hashable, Sendable {
  public var selection = DataSelection()
  /// How many images are taken out of the training file, to validate on after every epoch; nil: none.
  public var holdOut: Int?
  /// Of every random choice.
  public var seed = 1
  public var precision = Precision.automatic

  public init() {}

  /// The seed as generators take it.
  public var seedBits: UInt64 { UInt64(bitPattern: Int64(seed)) }

  /// - Throws: `InputError` for a value out of its range.
  public func validate() throws(InputError) {
    try selection.validate()
    try requireSetting(holdOut ?? 1 >= 1, "hold-out", "at least 1", holdOut ?? 0)
  }

  /// Reads training, held-out and test images onto `device`.
  /// - Throws: `InputError` if the data set is missing or damaged.
  public func load(
    for wanted: WantedPictures? = nil, on device: Device, _ console: RunConsole
  ) throws(InputError) -> LearningData {
    try LearningData(selection, for: wanted, holdOut: holdOut, seed: seedBits, on: device, console)
  }
}

/// The images that a network learns from and is measured on.
public struct LearningData {
  public private(set) var train: ImageDataset
  /// Images of the training file that nothing is learned from; the test file decides nothing.
  public private(set) var heldOut: ImageDataset?
  public private(set) var test: ImageDataset
  /// The fingerprints of both files.
  public let inputs: Record

  /// - Throws: `InputError` if the data set is missing or damaged, or its two splits do not fit together.
  public init(
    _ selection: DataSelection, for wanted: WantedPictures? = nil, holdOut: Int? = nil, seed: UInt64,
    on device: Device, _ console: RunConsole
  ) throws(InputError) {
    let whole = try selection.load(.train, for: wanted, on: device, seed: seed, console)
    test = try selection.load(.test, for: wanted, on: device, seed: seed, console)
    inputs = ["training images": .string(whole.fingerprint), "test images": .string(test.fingerprint)]
    if let holdOut {
      let parts = try whole.split(heldOut: holdOut, seed: Generator.derive(seed, "hold-out"))
      (train, heldOut) = (parts.train, parts.heldOut)
    } else {
      (train, heldOut) = (whole, nil)
    }
    guard train.imageShape == test.imageShape, train.classNames == test.classNames else {
      throw InputError(
        "training and test images do not fit together", at: selection.data.rawValue,
        expected: "\(train.imageShape) in \(train.classNames.count) classes",
        found: "\(test.imageShape) in \(test.classNames.count)")
    }
  }

  /// The same images, the work on which the ranks of a world share.
  /// - Parameters:
  ///   - world: The ranks.
  ///   - batchSize: Of the training.
  /// - Throws: `InputError` if a batch has fewer images than there are ranks.
  public func shared(in world: World, batchSize: Int) throws(InputError) -> LearningData {
    try requireSetting(
      world.size <= min(batchSize, train.count), "batch-size", "an image at least for each of \(world.size) ranks",
      min(batchSize, train.count))
    var shared = self
    for data in [\LearningData.train, \.test] { shared[keyPath: data].world = world }
    shared.heldOut?.world = world
    return shared
  }

  /// The network's accuracy on the held-out images, for a row of metrics; nil where there are none.
  /// - Throws: `InputError` if the network answers NaN or infinity to any of them.
  public func validationAccuracy(of network: Network, _ precision: Precision) throws(InputError) -> Double? {
    guard let heldOut else { return nil }
    let plan = InferencePlan(network, dtype: precision.inference)
    return try heldOut.accuracy(of: plan.callAsFunction).fraction
  }

  /// ``validationAccuracy(of:_:)`` as what a row of metrics gains; empty where nothing is held out.
  public func validation(of network: Network, _ precision: Precision) throws(InputError) -> Record {
    try validationAccuracy(of: network, precision).map { ["validation_accuracy": .double($0)] } ?? [:]
  }

  /// How many training images each epoch leaves out, since they do not fill a batch; nil where none.
  public func leftOutPerEpoch(batchSize: Int) -> Int? {
    let loader = BatchLoader.training(train, batchSize: batchSize, augmentation: nil, seed: 0)
    return loader.leftOutPerEpoch > 0 ? loader.leftOutPerEpoch : nil
  }

  /// Pictures that could not be decoded.
  public var skippedCount: Int { train.skipped.count + test.skipped.count }
}
