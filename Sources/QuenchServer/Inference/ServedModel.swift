import Foundation
import QuenchReporting
import QuenchSmoothing
import QuenchSupport
import QuenchTorch
import QuenchVision

/// A model to serve: a classifier, or a defense and the votes of noisy copies in front of a model that is only asked.
public struct ServedModel: Sendable {
  /// Where the answers come from.
  public enum Source: Sendable {
    /// A classifier's file.
    case weights(String)
    /// Somebody's model.
    case endpoint(RemoteModel, concurrency: Int)
  }

  /// A defense in front of the model.
  public struct Shield: Sendable {
    /// A run of `quench defend train`.
    public var folder: String
    /// How votes are counted.
    public var certify: Certify
    /// The book of what the model behind is asked; nil: nobody counts.
    public var ledger: URL?
    /// The most images that it may be asked about in all, by the ledger.
    public var budget: Int?
    /// Answers that are kept for images that come again: nobody gets another draw of the noise for one of them.
    public var keptAnswers = 1000
    /// Whether pixels are cut off at 0 and 1 before the model sees them.
    public var clips: Bool

    public init(folder: String, certify: Certify, clips: Bool = false) {
      self.folder = folder
      self.certify = certify
      self.clips = clips
    }
  }

  /// A classifier in 8-bit integers.
  public struct Integers: Sendable {
    /// What the ranges are measured on.
    public var images: Calibration
    /// Told how many layers are int8, and how images were drawn.
    public var note: @Sendable (String) -> Void

    public init(images: Calibration, note: @escaping @Sendable (String) -> Void) {
      self.images = images
      self.note = note
    }
  }

  /// In URLs.
  public var name: String
  public var source: Source
  /// Nil: the classifier alone.
  public var shield: Shield?
  /// Nil: in float32. Only a classifier alone is computed in integers.
  public var calibration: Integers?
  /// The most images in a request, and in a batch.
  public var batchSize: Int
  /// How an endpoint's failures are met.
  public var patience = MeteredBlackBox.Patience()

  public init(name: String, source: Source, shield: Shield? = nil, batchSize: Int) {
    self.name = name
    self.source = source
    self.shield = shield
    self.batchSize = batchSize
  }

  /// Why the model behind could not answer now; nil: it could.
  public func problem() async -> String? {
    guard case .endpoint(let model, _) = source else { return nil }
    return await model.problem()
  }

  /// Loads it, on the thread that shall run it.
  /// - Throws: `InputError` if a file is missing or damaged, or the parts do not fit together.
  public func load() throws -> ModelThread.Model {
    switch (source, shield) {
    case (.weights(let path), nil): try classifier(path)
    case (.weights(let path), let shield?):
      try shielded(
        shield,
        LocalBlackBox(
          ModelFile(contentsOf: URL(filePath: path)).network, version: Self.version(of: path), batchSize: batchSize)
      )
    case (.endpoint(let model, let concurrency), let shield?):
      try shielded(shield, RemoteBlackBox(model, concurrency: concurrency))
    case (.endpoint(let model, _), nil):
      throw InputError("an endpoint serves itself", at: model.version, remedy: "put a defense in front of it")
    }
  }

  private func classifier(_ path: String) throws(InputError) -> ModelThread.Model {
    let network = try ModelFile(contentsOf: URL(filePath: path)).network
    var version = try Self.version(of: path)
    let plan: InferencePlan
    if let calibration {
      let pixels = try calibration.images.pixels(for: network, nil, RunConsole(note: calibration.note))
      plan = try InferencePlan(network, batchSize: batchSize, calibration: pixels)
      version += "-\(plan.dtype)"
      calibration.note(PlanPrecision(of: plan).text)
    } else {
      plan = InferencePlan(network, batchSize: batchSize, dtype: .float32)
    }
    let description = InferenceModel(
      name: name, version: version, inputShape: network.architecture.inputShape,
      outputs: [.init(name: "logits", datatype: .float32, shape: network.architecture.outputShape)],
      largestBatch: batchSize)
    return ModelThread.Model(description) { images, _ in [("logits", plan(images))] }
  }

  private static func version(of file: String) throws(InputError) -> String {
    String(try Fingerprint.sha256(ofFile: URL(filePath: file)).prefix(12))
  }

  private func shielded(_ shield: Shield, _ model: any BlackBox) throws -> ModelThread.Model {
    let defense = try Defense(contentsOf: URL(filePath: shield.folder))
    if case .endpoint(let model, _) = source { try model.check(images: defense.inputShape) }
    let box = shield.clips ? ClippedBlackBox(model) : model
    let plan = DefensePlan(defense, batchSize: batchSize)
    let ledger = try shield.ledger.map { try QueryLedger(at: $0, model: box.version, budget: shield.budget) }
    let metered = MeteredBlackBox(box, ledger: ledger, batchSize: batchSize, patience: patience)
    let denoiser = try Self.version(
      of: URL(filePath: shield.folder).appending(path: Defense.denoiserFileName).path)
    let description = InferenceModel(
      name: name, version: "\(box.version)+\(denoiser)", inputShape: defense.inputShape,
      outputs: [
        .init(name: "votes", datatype: .float32, shape: [box.classes]),
        .init(name: "label", datatype: .int64, shape: []), .init(name: "radius", datatype: .float32, shape: []),
        .init(name: "abstained", datatype: .bool, shape: [])
      ], largestBatch: batchSize)
    let copies = metered.batchSize * box.concurrency
    let kept = AnswerCache<Certify.Attempt>(limit: shield.keptAnswers)
    return ModelThread.Model(description) { images, isAwaited in
      let hashes = (0..<images.size(0)).map { Fingerprint.sha256(images[$0].contiguous().data()) }
      var attempts = hashes.map { kept[$0] }
      // Noise that nobody can know beforehand: an attacker who did could aim at it.
      var run = CertificationRun(shield.certify, seed: .random(in: 0 ... .max))
      run.batchSize = copies
      try run(
        attempts.indices.filter { attempts[$0] == nil },
        source: { NoiseStream.Source(images[$0], index: $0) },
        classify: { copies in
          guard isAwaited() else { throw CancellationError() }
          return box.feedback.scores(
            try metered.answer(spread: copies, for: .certification) { plan($0) }, classes: box.classes)
        },
        each: { result in
          attempts[result.index] = result.attempt
          kept[hashes[result.index]] = result.attempt
        })
      return Self.outputs(attempts.compactMap(\.self), classes: box.classes)
    }
  }

  /// What a defended model answers: the share of the copies that voted for the label, at the label's place; the label,
  /// -1 where it abstains; the radius, rounded down; whether it abstains.
  private static func outputs(
    _ attempts: [Certify.Attempt], classes: Int
  ) -> [(name: String, tensor: Tensor)] {
    let certificates = attempts.map(\.certificate)
    let votes = attempts.flatMap { attempt in
      let share = Float(attempt.successes) / Float(max(attempt.trials, 1))
      return (0..<classes).map { $0 == attempt.selected ? share : 0 }
    }
    return [
      ("votes", Tensor(votes, shape: [attempts.count, classes])),
      ("label", Tensor(certificates.map { $0.label ?? -1 })),
      ("radius", Tensor(certificates.map { $0.radius > 0 ? Float($0.radius).nextDown : 0 })),
      ("abstained", Tensor(certificates.map { $0 == .abstained }))
    ]
  }
}

/// The latest answers, by what was asked.
final class AnswerCache<Answer> {
  private let limit: Int
  private var answers: [String: Answer] = [:]
  /// The oldest first.
  private var order: [String] = []

  init(limit: Int) { self.limit = limit }

  subscript(question: String) -> Answer? {
    get { answers[question] }
    set {
      guard limit > 0, let newValue else { return }
      if answers.updateValue(newValue, forKey: question) == nil { order.append(question) }
      if order.count > limit { answers[order.removeFirst()] = nil }
    }
  }
}
