import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The certification of a model that can only be asked, with a defense in front of it.
public struct EvaluateDefense: Experiment {
  public static let kind = "defend-evaluate"
  public static let revisable = BlackBoxSettings.revisable.union(LedgerSettings.revisable).union(["batch-size"])

  public var box = BlackBoxSettings()
  /// The folder of a run of ``TrainDefense``; nil: the model alone.
  public var defense: String?
  public var certification = CertificationSettings()
  public var selection = DataSelection()
  /// Of the noise, and of the images that a limit draws.
  public var seed = 1
  public var precision = Precision.automatic
  public var ledger = LedgerSettings()

  public init() {}

  public struct Outcome: Codable, Sendable {
    public var model: String
    public var data: String
    public var figures: CertificationFigures
    public var costs: QueryCosts
  }

  public func versions(on device: String) -> Record { tensorVersions(on: device, precision) }

  public func checked() throws(InputError) -> EvaluateDefense {
    try box.validate()
    try ledger.validate()
    try selection.validate()
    var experiment = self
    experiment.certification = try certification.checked()
    return experiment
  }

  public func run(in context: RunContext) throws -> Outcome {
    let device = try context.tensorDevice()
    let seedBits = UInt64(bitPattern: Int64(seed))
    let batchSize = certification.batchSize
    let test = try selection.load(.test, on: device, seed: seedBits, context.console)
    let loaded = try defense.map { try Defense.load($0, for: test, on: device) }
    let dtype = precision.inference ?? InferencePlan.fastest(on: device)
    let model = try box.blackBox(for: test, dtype: dtype, batchSize: batchSize, on: device, in: context.lab)
    let plan = loaded.map { DefensePlan($0, batchSize: batchSize, dtype: dtype) }
    let denoiser = defense.map { "\($0)/\(Defense.denoiserFileName)" }
    var inputs = try Fingerprint.inputs(["weights": box.weights, "denoiser": denoiser])
    inputs["test images"] = .string(test.fingerprint)
    if let defense, let finding = Defense.finding(onSigma: certification.sigma, in: URL(filePath: defense)) {
      context.console.note("note: \(finding)")
    }
    let folder = try context.open(inputs: inputs)
    // What is computed here depends on the element type; what a model elsewhere computes in is its own affair.
    var version = model.version
    if let denoiser = inputs["denoiser"]?.string { version += "+\(denoiser.prefix(12))" }
    if !box.isForeign || loaded != nil { version += "-\(dtype)" }

    let metered = try ledger.meter(model, box, in: folder)
    if box.isForeign, !context.isResumed {
      let probe = try BlackBoxProbe(metered, on: BlackBoxProbe.sample(of: test))
      for finding in probe.findings(model.feedback, classes: test.classNames) {
        context.console.note("note: \(finding)")
      }
    }
    let certifying = DatasetCertification(
      settings: certification, data: test, seed: seedBits, version: version,
      batchSize: model.concurrency > 1 ? metered.batchSize * model.concurrency : batchSize)
    let figures = try certifying.certify(in: folder, of: context) { noisy in
      model.feedback.scores(
        try metered.answer(spread: noisy, for: .certification) { plan?($0) ?? $0 }, classes: model.classes)
    }
    return Outcome(
      model: loaded == nil ? "the model alone" : "a defended model", data: selection.data.rawValue,
      figures: figures, costs: try QueryCosts(metered.ledger, price: ledger.price))
  }

  public static func text(of run: PerformedRun<EvaluateDefense>) -> String {
    run.outcome.map {
      CertificationPage.text($0.figures, in: run.folder) + "\nqueries        " + $0.costs.text
    } ?? ""
  }

  public static func report(of run: PerformedRun<EvaluateDefense>) -> Report {
    CertificationPage.make(
      run, model: run.outcome?.model, run.experiment.certification, on: run.experiment.selection,
      run.outcome?.figures, run.outcome.map { [$0.costs.keyFigure] } ?? [])
  }
}

extension Defense {
  /// The defense in a run's folder.
  /// - Throws: `InputError` if it is damaged or takes other images than the data set's.
  static func load(_ path: String, for dataset: ImageDataset, on device: Device) throws(InputError) -> Defense {
    let defense = try Defense(contentsOf: URL(filePath: path), device: device)
    guard defense.inputShape == dataset.imageShape else {
      throw InputError(
        "the defense takes other images than those of \(dataset.name)", at: path,
        expected: "\(dataset.imageShape)", found: "\(defense.inputShape)")
    }
    return defense
  }
}
