import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch

/// The accuracy of a network on a data set's test images.
public struct Evaluate: Experiment {
  public static let kind = "evaluate"
  public static let isShared = true

  /// The file of weights.
  public var weights = ""
  /// The network that the weights belong to, where their file does not say.
  public var model: ModelName?
  public var pixels = PixelNormalization()
  /// Images that are classified at once.
  public var batchSize = 500
  public var selection = DataSelection()
  /// By which a limit draws images.
  public var seed = 1
  public var precision = InferencePrecision.automatic
  /// How many training images int8's ranges are measured on.
  public var calibrationImages = Calibration.standardImages

  public init() {}

  public struct Outcome: Codable, Sendable {
    public var model: String
    public var data: String
    public var accuracy: AccuracyFigure
    /// Test images.
    public var n: Int
    public var classes: Int
    /// Classes that have test images.
    public var classesTested: Int
    public var seconds: Double
    public var imagesPerSecond: Double
    public var peakMemoryMb: Double
    public var weights: String
    public var computed: PlanPrecision?
  }

  public func versions(on device: String) -> Record { tensorVersions(on: device, answersIn: precision) }

  public func checked() throws(InputError) -> Evaluate {
    try requireSetting(!weights.isEmpty, "weights", "a file", "nothing")
    try requireSetting(batchSize > 0, "batch-size", "at least 1", batchSize)
    try selection.validate()
    try Calibration.check(images: calibrationImages)
    _ = try pixels.value
    return self
  }

  public func run(in context: RunContext) throws -> Outcome {
    let device = try context.tensorDevice()
    let wanted = try WantedPictures(weights, model: model, pixels: pixels, selection)
    var test = try selection.load(
      .test, for: wanted, on: device, seed: UInt64(bitPattern: Int64(seed)), context.console)
    test.world = context.world
    let network = try ModelFile(path: weights, model: model, pixels: pixels, for: test, on: device, context.console)
      .network
    let folder = try context.open(
      inputs: Fingerprint.inputs(["weights": weights]).merging(["test images": .string(test.fingerprint)]))
    let plan = try precision.plan(of: network) { () throws(InputError) in
      try Calibration(selection, images: calibrationImages, seed: seed).pixels(
        for: network, wanted, context.console)
    }
    let evaluation = try Evaluation(
      of: plan, on: test, batchSize: batchSize, progress: context.console.progress)
    try evaluation.write(to: folder.artefact(Evaluation.fileName))
    return Outcome(
      model: network.architecture.name, data: selection.data.rawValue,
      accuracy: AccuracyFigure(evaluation.accuracy), n: evaluation.accuracy.count,
      classes: test.classNames.count, classesTested: test.classCounts.count { $0 > 0 },
      seconds: evaluation.seconds, imagesPerSecond: evaluation.imagesPerSecond,
      peakMemoryMb: Double(ProcessMemory.peakBytes) / 1e6, weights: weights,
      computed: PlanPrecision(of: plan))
  }

  public static func text(of run: PerformedRun<Evaluate>) -> String {
    guard let outcome = run.outcome else { return "" }
    let (classes, tested) = (outcome.classes, outcome.classesTested)
    return Wording.lines([
      "accuracy": "\(Wording.accuracy(outcome.accuracy.value)) of \(NumberText.count(outcome.n, "image")) "
        + "(95 %: \(outcome.accuracy.interval))",
      "classes": tested == classes ? "\(classes)" : "\(tested) of \(classes): the others have no test images",
      "speed": "\(Wording.count(outcome.imagesPerSecond)) images a second",
      "precision": outcome.computed?.text ?? "unknown"
    ])
  }

  public static func report(of run: PerformedRun<Evaluate>) -> Report {
    let (weights, data) = (run.experiment.weights, run.experiment.selection.data.rawValue)
    let figures = run.outcome.map { outcome in
      [
        outcome.accuracy.keyFigure("Test accuracy", of: outcome.n),
        Report.KeyFigure("Speed", Wording.count(outcome.imagesPerSecond), detail: "images a second")
      ]
    }
    return Report(
      title: "\(run.outcome?.model ?? "A network") on \(data)",
      summary: "The weights in `\(weights)` were tested on the images of `\(data)`.", keyFigures: figures ?? [],
      sections: TestSections.make(Evaluation(of: run), of: "`\(weights)`"), record: run.record)
  }
}
