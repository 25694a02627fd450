import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Which network is attacked on which images, and how that is evaluated, whichever attack it is.
public struct AttackedNetwork: InlineGroup, Hashable, Sendable {
  /// The file of weights.
  public var weights = ""
  /// The network that the weights belong to, where their file does not say.
  public var model: ModelName?
  public var pixels = PixelNormalization()
  /// Images that are attacked at once.
  public var batchSize = 250
  /// The clean accuracy that is expected, in [0, 1]; a difference of a point is a finding.
  public var expectedAccuracy: Double?
  /// Keep the broken images as PNG files of 8 bits.
  public var savePictures = false
  /// Keep the broken images as they were found, in NumPy's files.
  public var saveArrays = false
  /// Search only among images of 8 bits.
  public var eightBit = false
  /// End with a short attack on margins of logits, where no attack follows these.
  public var probe = true
  public var selection = DataSelection()
  /// Of every random choice.
  public var seed = 1
  /// What attacks compute in, gradients and answers each in what is fastest for it unless it is told; every image that
  /// counts as broken is judged in float32.
  public var precision = Precision.automatic

  public init() {}

  /// - Throws: `InputError` for a setting out of its range, and for one that attacks have no use for.
  public func checked() throws(InputError) -> AttackedNetwork {
    try requireSetting(!weights.isEmpty, "weights", "a file", "nothing")
    try requireSetting(batchSize > 0, "batch-size", "at least 1", batchSize)
    try requireSetting(
      (0...1).contains(expectedAccuracy ?? 1), "expected-accuracy", "0 to 1", expectedAccuracy ?? 0)
    try selection.validate()
    _ = try pixels.value
    guard selection.trainLimit == nil else {
      throw InputError(
        "an attack uses no training images", at: "train-limit", remedy: "limit is for those that it attacks")
    }
    return self
  }

  /// Attacks the network in the run's folder.
  /// - Parameters:
  ///   - context: Of the run.
  ///   - name: The attack's, for the outcome.
  ///   - parameters: Its hyper-parameters, for the outcome.
  ///   - from: A file of other weights that the attack is made with.
  ///   - make: The evaluator for the model, images to be attacked and the device that they are on.
  /// - Returns: What came of it.
  /// - Throws: `InputError` if the images or the weights cannot be used, `Interrupted` if the user asked to leave.
  func attack(
    in context: RunContext, as name: String, parameters: Record? = nil, from: String? = nil,
    _ make: (AttackedModel, ImageDataset, Device) throws -> AttackEvaluator
  ) throws -> AttackOutcome {
    let device = try context.tensorDevice()
    let seed = UInt64(bitPattern: Int64(seed))
    let wanted = try WantedPictures(weights, model: model, pixels: pixels, selection)
    let test = try selection.load(.test, for: wanted, on: device, seed: seed, context.console)
    let network = try ModelFile(path: weights, model: model, pixels: pixels, for: test, on: device, context.console)
      .network
    let target = AttackedModel(network, precision: precision)
    var evaluator = try make(target, test, device)
    (evaluator.seed, evaluator.batchSize, evaluator.expectedCleanAccuracy) = (seed, batchSize, expectedAccuracy)
    (evaluator.staysOnGrid, evaluator.probes) = (eightBit, probe)
    evaluator.world = context.world
    (evaluator.progress, evaluator.warn) = (context.console.progress, context.console.note)
    let files = try Fingerprint.inputs(["weights": weights, "from": from])
    let images: Record = ["test images": .string(test.fingerprint)]
    let folder = try context.open(inputs: images.merging(files))
    if savePictures || saveArrays {
      let broken = BrokenPictures(
        pictures: savePictures ? folder.artefact("pictures") : nil,
        arrays: saveArrays ? folder.artefact("arrays") : nil, classNames: test.classNames,
        sortsByBudget: (evaluator.epsilons?.count ?? 1) > 1)
      evaluator.keepBroken = broken.write
    }
    let report = try evaluator.run(on: target, AttackData(test), in: folder, resumes: context.isResumed)
    for finding in report.findings { context.console.note("note: \(finding.message)") }
    return AttackOutcome(report, attack: name, parameters: parameters)
  }
}

/// An experiment that attacks a network.
public protocol AttackExperiment: Experiment where Outcome == AttackOutcome {
  var target: AttackedNetwork { get }
  /// What the attack is called on pages.
  var attackTitle: String { get }
}

extension AttackExperiment {
  public static var isShared: Bool { true }
  public func versions(on device: String) -> Record { tensorVersions(on: device, target.precision) }
}
