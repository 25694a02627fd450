import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The certification of a classifier's answers under noise, on a data set's test images.
public struct CertifyClassifier: Experiment {
  public static let kind = "certify"
  public static let isShared = true
  public static let revisable: Set<String> = ["batch-size"]

  /// The file of weights.
  public var weights = ""
  /// The network that the weights belong to, where their file does not say.
  public var model: ModelName?
  public var pixels = PixelNormalization()
  public var certification = CertificationSettings()
  public var selection = DataSelection()
  /// Of the noise, and of the images that a limit draws.
  public var seed = 1
  public var precision = InferencePrecision.automatic
  /// How many training images int8's ranges are measured on, with the noise of the certificates.
  public var calibrationImages = Calibration.standardImages

  public init() {}

  public struct Outcome: Codable, Sendable {
    public var model: String
    public var data: String
    public var figures: CertificationFigures
    /// The certificates are of the network in this precision.
    public var computed: PlanPrecision?
  }

  public func versions(on device: String) -> Record { tensorVersions(on: device, answersIn: precision) }

  public func checked() throws(InputError) -> CertifyClassifier {
    try requireSetting(!weights.isEmpty, "weights", "a file", "nothing")
    try selection.validate()
    try Calibration.check(images: calibrationImages)
    _ = try pixels.value
    var experiment = self
    experiment.certification = try certification.checked()
    return experiment
  }

  public func run(in context: RunContext) throws -> Outcome {
    let device = try context.tensorDevice()
    let seedBits = UInt64(bitPattern: Int64(seed))
    let wanted = try WantedPictures(weights, model: model, pixels: pixels, selection)
    let test = try selection.load(.test, for: wanted, on: device, seed: seedBits, context.console)
    let network = try ModelFile(path: weights, model: model, pixels: pixels, for: test, on: device, context.console)
      .network
    let fingerprint = try Fingerprint.sha256(ofFile: URL(filePath: weights))
    var inputs: Record = ["test images": .string(test.fingerprint), "weights": .string(fingerprint)]
    let plan = try precision.plan(of: network, batchSize: certification.batchSize) { () throws(InputError) in
      let pixels = try Calibration(selection, images: calibrationImages, seed: seed)
        .pixels(for: network, wanted, context.console)
      inputs["calibration images"] = .string(Fingerprint.sha256(pixels.contiguous().data()))
      let noise = Generator(seed: seedBits, for: "calibration")
      return pixels + Tensor.normal(pixels.shape, using: noise).to(device) * certification.sigma
    }
    let folder = try context.open(inputs: inputs)
    if let finding = Certify.finding(onSigma: certification.sigma, ofWeights: URL(filePath: weights)) {
      context.console.note("note: \(finding)")
    }
    let certifying = DatasetCertification(
      settings: certification, data: test, seed: seedBits, version: "\(fingerprint.prefix(12))-\(plan.dtype)",
      batchSize: certification.batchSize)
    return Outcome(
      model: network.architecture.name, data: selection.data.rawValue,
      figures: try certifying.certify(in: folder, of: context) { plan($0) },
      computed: PlanPrecision(of: plan))
  }
}

/// Certifies the images of a data set that have no row in the run's table yet.
struct DatasetCertification {
  let settings: CertificationSettings
  let data: ImageDataset
  let seed: UInt64
  /// What tells the classifier from others.
  let version: String
  /// Noisy copies that are asked about at once.
  var batchSize: Int

  /// - Parameters:
  ///   - folder: Of the run.
  ///   - context: Of the run.
  ///   - classify: Logits or probabilities `[N, classes]` for pixels `[N, C, H, W]`.
  /// - Returns: The figures over all rows.
  /// - Throws: `InputError` if the table is another run's or damaged; `Interrupted`; what `classify` throws.
  func certify(
    in folder: RunFolder, of context: RunContext, _ classify: (Tensor) throws -> Tensor
  ) throws -> CertificationFigures {
    let console = context.console
    let certify = try settings.certify()
    for radius in settings.reportedRadii where radius >= certify.largestRadius {
      console.note(
        "note: \(certify.estimation) noisy copies cannot show a radius of \(radius): the largest is "
          + NumberText.plain(certify.largestRadius))
    }
    let indices = settings.shard.indices(of: data.count)
    let file = folder.artefact(CertifiedTable.fileName)
    let table = try CertifiedTable(at: file, resumes: context.isResumed)
    guard table.rows.map(\.index) == Array(indices.prefix(table.rows.count)) else {
      throw InputError(
        "the rows are not those of this run's images", at: file.path, remedy: "start the run in another folder")
    }
    if let found = table.rows.last?.version, found != version {
      console.note("note: the rows so far are certificates of \(found), those from here on of \(version)")
    }
    let labels = data.labels.array(Int64.self).map { Int($0) }
    let radius = certify.radii?.first ?? 0
    var line = ProgressLine(
      "Certifying", total: indices.count, unit: "images", startingAt: table.rows.count, style: console.progress)
    var run = CertificationRun(certify, seed: seed)
    run.batchSize = batchSize
    run.device = data.images.device
    var turns = RowsInTurns(context.world, of: indices.dropFirst(table.rows.count)) { row in
      try table.append(row)
      line.update(
        table.rows.count,
        note: "certified at \(Certify.name(of: radius)): "
          + Wording.accuracy(table.rows.certifiedAccuracy(at: radius).fraction))
    }
    do {
      try run(turns.own, of: data, classify: classify) { result in
        try turns.add(CertifiedRow(result, label: labels[result.index], seed: seed, version: version))
      }
    } catch is Interrupted { try turns.handIn(isInterrupted: true) }
    try turns.finish()
    line.finish()
    let figures = CertificationFigures(table.rows, certify, settings.reportedRadii, version: version)
    if figures.noAnswer > 0 {
      console.note(
        "note: \(figures.noAnswer) noisy copies of \(table.rows.count { $0.unanswered ?? 0 > 0 }) images got NaN or "
          + "infinity for an answer: they count as another class")
    }
    return figures
  }
}
