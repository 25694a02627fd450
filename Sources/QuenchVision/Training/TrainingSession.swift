import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch

/// Runs a ``Learner`` to its end: metrics, checkpoints, resuming, progress, early leave.
public struct TrainingSession {
  /// Where metrics and checkpoints go; nil: nowhere.
  public var folder: RunFolder?
  /// Continue from the folder's last checkpoint, if there is one.
  public var resumes = false
  /// Seconds between checkpoints inside an epoch; one is written at the end of every epoch in any case.
  public var checkpointInterval = 60.0
  public var progress = ProgressLine.Style.quiet
  public var writesTensorBoard = false
  /// What the progress line calls the work.
  public var task = "Training"
  /// What the progress line counts, in the plural.
  public var unit = "images"
  /// What to do where the loss becomes no number, by flags that the command has.
  public var divergenceRemedy = "lower `learning-rate`"
  /// Called at the end of every epoch with how many are done and the seconds that they took, for instance for the
  /// accuracy on held-out images; its figures go into the epoch's row. After a kill it may be called again for the
  /// last epoch.
  public var atEpochEnd: (_ epochs: Int, _ seconds: Double) throws -> Record = { _, _ in [:] }

  /// The ranks that learn together. Rank 0 writes; all go on from the files that their folder holds.
  public var world = World.alone

  /// Told what is amiss with the files of a run that is resumed, and does not stop it.
  public var warn: (String) -> Void = { _ in }

  public init(folder: RunFolder? = nil) { self.folder = folder }

  /// What a finished session cost.
  public struct Outcome: Hashable, Sendable {
    /// Seconds of training over all of the run's processes, validation and checkpoints included.
    public var seconds: Double
    public var imagesPerSecond: Double
  }

  /// Trains to the end.
  /// - Throws: `InputError` if the loss is no number, a file cannot be written or a checkpoint does not fit;
  ///   `Interrupted` when the user asked to leave and a checkpoint was written.
  public func run(_ learner: some Learner) throws -> Outcome {
    let checkpoint = folder.map { Checkpoint(files: Checkpoints(in: $0)) }
    var point = Checkpoint.Point()
    if resumes, let folder, let checkpoint {
      if let stored = try checkpoint.restore(learner, warn: warn) {
        point = stored
      } else if folder.hasMetrics {
        warn("note: \(folder.checkpoints.path) holds no checkpoint: the run starts from the beginning")
      }
    }
    let written = world.rank == 0 ? folder : nil
    let total = learner.epochs * learner.stepsPerEpoch
    let metrics = try written.map { try MetricStream(at: $0.metrics, after: point.step, warn: warn) }
    let events =
      try writesTensorBoard ? written.map { try TensorBoardWriter(in: $0.events, after: point.step) } : nil
    var line = ProgressLine(
      task, total: learner.images(in: total), unit: unit, startingAt: learner.images(in: point.step),
      style: progress)
    let window = max(1, learner.stepsPerEpoch / 20)
    var clock = ContinuousClock.now
    var lastCheckpoint = clock

    while point.step < total {
      let position = LoaderPosition(
        epoch: point.step / learner.stepsPerEpoch, batch: point.step % learner.stepsPerEpoch)
      let figures: StepFigures
      // An imported network's dropout follows from step and rank alone, so that a resumed run goes on as it would have.
      let draws = world.rank == 0 ? "operators" : "operators of rank \(world.rank)"
      Generator.seedOperators(Generator.derive(UInt64(point.step), draws))
      do { figures = try world.step { StepFigures(try learner.step(at: position), in: world) } } catch {
        // What was learned so far is not lost with the step that failed.
        try? written.flatMap { _ in checkpoint }?.write(learner, at: point)
        throw error is Interrupted ? Interrupted(folder: folder?.url) : error
      }
      point.add(figures)
      let endsEpoch = point.step % learner.stepsPerEpoch == 0
      if point.step % window == 0 || endsEpoch {
        guard point.loss.isFinite else { throw diverged(at: position) }
        var row = point.row(learner)
        point.startWindow()
        if endsEpoch {
          let seconds = point.seconds + (ContinuousClock.now - clock) / .seconds(1)
          try requireAgreement(learner)
          row.merge(try atEpochEnd(point.step / learner.stepsPerEpoch, seconds))
        }
        try metrics?.append(row)
        for (key, value) in row where key != "step" {
          if let number = value.number { try events?.scalar(key, number, step: point.step) }
        }
        line.update(
          learner.images(in: point.step),
          note: "loss \(NumberText.fixed(row["loss"]?.number ?? 0, decimals: 3))")
      }
      let now = ContinuousClock.now
      point.seconds += (now - clock) / .seconds(1)
      clock = now
      let isInterrupted = figures.isInterrupted
      if endsEpoch || isInterrupted || (now - lastCheckpoint) / .seconds(1) > checkpointInterval {
        guard point.loss.isFinite else { throw diverged(at: position) }
        try metrics?.synchronize()  // before what counts on its rows
        if written != nil { try checkpoint?.write(learner, at: point) }
        lastCheckpoint = .now
      }
      if isInterrupted && point.step < total { throw Interrupted(folder: folder?.url) }
    }
    line.finish()
    return Outcome(
      seconds: point.seconds, imagesPerSecond: Double(learner.images(in: total)) / max(point.seconds, 1e-9))
  }

  /// - Throws: `InputError` if the ranks have come to different weights: then no result is worth anything.
  private func requireAgreement(_ learner: some Learner) throws(InputError) {
    guard world.size > 1 else { return }
    let hasher = Fingerprint.Hasher()
    for (_, tensor) in learner.state { tensor.withUnsafeBytes { hasher.update($0) } }
    let fingerprints = world.gather(Data(hasher.finish().utf8))
    guard let stray = fingerprints.firstIndex(where: { $0 != fingerprints[0] }) else { return }
    throw InputError(
      "the ranks have come to different weights", at: "ranks 0 and \(stray)",
      remedy: "see that all run the same quench on the same kind of processor, or train with --standalone")
  }

  private func diverged(at position: LoaderPosition) -> InputError {
    InputError(
      "the loss is no longer a number", at: "epoch \(position.epoch + 1), step \(position.batch + 1)",
      remedy: divergenceRemedy)
  }
}

/// A learner's state and the point of the run that it belongs to.
struct Checkpoint {
  /// How far a run is.
  struct Point: Codable {
    /// Steps done.
    var step = 0
    /// Sums over the steps since the last row of metrics.
    var loss = 0.0
    /// Nil where there are no classes.
    var correct: Double?
    var images = 0
    var steps = 0
    var seconds = 0.0
    /// Nil where there are none.
    var shares: [String: StepResult.Share]?

    mutating func add(_ figures: StepFigures) {
      step += 1
      steps += 1
      images += figures.images
      loss += figures.loss
      correct = figures.correct.map { $0 + (correct ?? 0) }
      for (name, share) in figures.shares {
        let before = shares?[name] ?? .init(0, of: 0)
        shares = (shares ?? [:]).merging([name: .init(before.part + share.part, of: before.whole + share.whole)]) {
          $1
        }
      }
    }

    mutating func startWindow() { (loss, correct, images, steps, shares) = (0, nil, 0, 0, nil) }

    func row(_ learner: some Learner) -> Record {
      var row: Record = [
        "step": .int(step), "epoch": .double(Double(step) / Double(learner.stepsPerEpoch)),
        "loss": .double(loss / Double(max(steps, 1)))
      ]
      row["accuracy"] = correct.map { .double($0 / Double(max(images, 1))) }
      row["learning_rate"] = .double(learner.learningRate)
      for (name, share) in (shares ?? [:]).sorted(by: { $0.key < $1.key }) where share.whole > 0 {
        row[name] = .double(Double(share.part) / Double(share.whole))
      }
      return row
    }
  }

  private static let key = "quench.point"

  let files: Checkpoints

  func write(_ learner: some Learner, at point: Point) throws {
    let json = String(decoding: try JSONEncoder().encode(point), as: UTF8.self)
    try files.write(learner.state, metadata: [Checkpoint.key: json])
  }

  /// The point to continue from; nil where no checkpoint was written yet.
  func restore(_ learner: some Learner, warn: (String) -> Void) throws -> Point? {
    guard let content = try files.read(warn: warn) else { return nil }
    guard let json = content.metadata[Checkpoint.key],
      let point = try? JSONDecoder().decode(Point.self, from: Data(json.utf8))
    else {
      throw InputError(
        "this is not a checkpoint", at: content.url.path, remedy: "start the run in another folder")
    }
    try learner.restore(content.state, from: content.url.path)
    return point
  }
}
