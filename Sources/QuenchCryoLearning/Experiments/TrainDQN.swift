import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The training of a deep Q network on a measured survey.
public struct TrainDQN: Experiment {
  public static let kind = "cryo-train"

  public var source = SurveySelection()
  public var rules = CollectionRules()
  /// The settings that a file or a command begins from; a program sets ``method``.
  public var preset = DQN.Preset.readme
  public var method = DQN(.readme)
  /// Names of tiles to leave out of the training and to choose the epoch by; if empty, by the survey learned from.
  public var validationTile: [String] = []
  public var seed = 1

  public static let weightsFileName = "q-network.safetensors"

  public init() {}

  public static func defaults(for settings: Record) throws(InputError) -> Record {
    var training = TrainDQN()
    if let preset = settings["preset"] { training.preset = try preset.decode(name: "preset") }
    training.method = DQN(training.preset)
    return try Value(encoding: training).record ?? [:]
  }

  public struct Outcome: Codable, Sendable {
    /// The epoch whose network was kept, and what its episodes earned on average: on the tiles that were held out, or
    /// else on the training survey.
    public var bestEpoch: Int
    public var bestReward: Double
    public var epochs: Int
    public var updates: Int
    public var seconds: Double
    public var secondsPerEpoch: Double
    public var parameters: Int
    public var peakMemoryMb: Double
    /// Holes to learn from.
    public var holes: Int
    /// Holes of the tiles held out; nil where none are.
    public var validationHoles: Int?
    /// Minutes of an episode on them.
    public var validationMinutes: Double?
    public var seed: Int
  }

  public func versions(on device: String) -> Record { tensorVersions(on: device, .float32) }

  public func checked() throws(InputError) -> TrainDQN {
    try source.validate()
    try source.requirePredictions()
    try method.validate()
    _ = try rules.rules(budget: method.budget)
    return self
  }

  public func run(in context: RunContext) throws -> Outcome {
    let whole = try source.load(context.console).survey
    let parts = try validationTile.isEmpty ? nil : whole.holdingOut(validationTile)
    let (survey, heldOut) = (parts?.rest ?? whole, parts?.tiles)
    let training = try DQNTraining(
      method, on: survey, validatedOn: heldOut, rules: rules.rules(budget: method.budget),
      seed: UInt64(bitPattern: Int64(seed)), device: context.tensorDevice())
    let folder = try context.open(inputs: Fingerprint.inputs(source.files))
    var session = context.session("Training", in: folder)
    session.unit = "steps"
    session.divergenceRemedy = "use a lower learning rate"
    session.atEpochEnd = { _, _ in
      let (reward, good) = try training.validate()
      return ["validation_reward": .double(reward), "validation_good": .double(good)]
    }
    let cost = try session.run(training)
    try training.best.write(to: folder.artefact(Self.weightsFileName))
    return Outcome(
      bestEpoch: training.bestEpoch, bestReward: training.bestReward, epochs: method.epochs,
      updates: training.updates, seconds: cost.seconds, secondsPerEpoch: cost.seconds / Double(method.epochs),
      parameters: training.best.parameterCount, peakMemoryMb: Double(ProcessMemory.peakBytes) / 1e6,
      holes: survey.count, validationHoles: heldOut?.count,
      validationMinutes: heldOut.map { _ in training.validationMinutes }, seed: seed)
  }

  private var validationText: String {
    validationTile.isEmpty
      ? "on the training survey" : "on the held-out tiles \(validationTile.joined(separator: ", "))"
  }
}

extension Survey {
  /// The survey without the tiles of these names, and those tiles.
  /// - Throws: `InputError` if there is no such tile, or no other one.
  fileprivate func holdingOut(_ names: [String]) throws(InputError) -> (rest: Survey, tiles: Survey) {
    let known = tiles.map(\.name)
    if let stranger = names.first(where: { !known.contains($0) }) {
      throw InputError(
        "there is no tile of this name in the survey", at: "validation-tile",
        expected: known.sorted().joined(separator: ", "), found: "'\(stranger)'")
    }
    let heldOut = tiles.filter { names.contains($0.name) }
    guard heldOut.count < tiles.count else {
      throw InputError(
        "every tile is held out", at: "validation-tile", remedy: "leave at least one tile to learn from")
    }
    return try splitting(off: heldOut)
  }
}

// MARK: - Text and page

extension TrainDQN {
  public static func text(of run: PerformedRun<TrainDQN>) -> String {
    guard let outcome = run.outcome else { return "" }
    return """
      best epoch     \(outcome.bestEpoch) of \(outcome.epochs), mean reward \(NumberText.plain(outcome.bestReward)) \
      \(run.experiment.validationText)
      training       \(Wording.duration(outcome.seconds)), \
      \(NumberText.plain(outcome.secondsPerEpoch, digits: 3)) s an epoch, \
      peak \(Wording.count(outcome.peakMemoryMb)) MB
      weights        \(run.folder.artefact(weightsFileName).relativePath)
      report         \(run.folder.report.relativePath)
      """
  }

  public static func report(of run: PerformedRun<TrainDQN>) -> Report {
    func points(_ key: String) -> [LineChart.Point] {
      run.metrics.compactMap { row in
        guard let epoch = row["epoch"]?.number, let value = row[key]?.number else { return nil }
        return LineChart.Point(epoch, value)
      }
    }
    let epoch = Axis("Epoch", unit: nil)
    let method = run.experiment.method
    let good = LineChart(
      "Good micrographs of test episodes", x: epoch, y: Axis("Good micrographs", unit: nil),
      series: [
        .init(
          run.experiment.validationTile.isEmpty ? "training survey" : "held-out tiles", points("validation_good"))
      ],
      caption: "Mean over \(NumberText.count(method.validationEpisodes, "episode")) of "
        + "\(NumberText.plain(run.outcome?.validationMinutes ?? method.budget)) minutes \(run.experiment.validationText), "
        + "acting greedily.")
    let loss = LineChart(
      "Loss", x: epoch, y: Axis("Mean squared error", unit: nil), series: [.init("updates", points("loss"))])
    var sections: [Report.Section] = .caution(of: run)
    sections.append(.init("Learning", [.figure(good), .figure(loss)]))
    return Report(
      title: "cryoRL, preset \(run.experiment.preset.rawValue)",
      summary:
        "A deep Q network was trained on `\(run.experiment.source.survey)`; the network of the epoch whose episodes "
        + "\(run.experiment.validationText) earned most was kept.",
      keyFigures: [
        .init(
          "Best epoch", run.outcome.map { "\($0.bestEpoch)" } ?? "–", detail: "of \(run.experiment.method.epochs)"),
        .init("Best mean reward", run.outcome.map { NumberText.plain($0.bestReward) } ?? "–"),
        .init("Time an epoch", Wording.duration(run.outcome?.secondsPerEpoch)),
        .init("Peak memory", "\(Wording.count(run.outcome?.peakMemoryMb)) MB")
      ],
      sections: sections, record: run.record)
  }
}
