import CryoEM
import Foundation
import Reporting
import Support
import Torch
import Vision

/// One training of a Q network: what `quench cryo train` does.
struct DQNRun {
  static let weightsFileName = "q-network.safetensors"

  let method: DQN
  let survey: Survey
  let rules: AcquisitionRules
  let options: RunOptions
  /// Seconds between checkpoints inside an epoch.
  var checkpointInterval = 60.0

  /// Everything that the result depends on, under names like those of the flags.
  var settings: Record {
    var settings: Record = [
      "epochs": .int(method.epochs), "steps-per-epoch": .int(method.stepsPerEpoch),
      "learning-rate": .double(method.learningRate), "dueling": .bool(method.isDueling),
      "prioritized": .bool(method.priorityExponent != nil), "discount": .double(method.discount),
      "return-steps": .int(method.returnSteps), "batch-size": .int(method.batchSize),
      "replay-size": .int(method.replaySize), "environments": .int(method.environments),
      "target-interval": .int(method.targetInterval), "features": .string(method.features.kind.rawValue),
      "trains-on-predictions": .bool(method.features.usesPredictions),
      "smoothing": .double(method.features.smoothing),
      "dynamic-reward": .bool(method.rewards.isDynamic), "varies-budget": .bool(method.variesBudget)
    ]
    settings["rewards"] = .array(method.rewards.table.values.map { .double($0) })
    return settings
  }

  /// Trains to the end and writes the best network into `folder`.
  /// - Returns: The run's summary.
  func train(in folder: RunFolder, resumes: Bool) throws -> Record {
    Interruption.watch()
    let training = try DQNTraining(method, on: survey, rules: rules, seed: options.seedBits)
    let checkpoints = Checkpoints(in: folder)
    var (seconds, loss, updates) = (0.0, 0.0, 0)
    if resumes {
      if let content = try checkpoints.read(warn: options.output.note) {
        try training.restore(content.state, from: content.url.path)
        func number(_ key: String) -> Double { content.metadata[key].flatMap { Double($0) } ?? 0 }
        (seconds, loss, updates) = (number("seconds"), number("loss"), Int(number("updates")))
      } else if folder.hasMetrics {
        options.output.note(
          "note: \(folder.checkpoints.path) holds no checkpoint: the run starts from the beginning")
      }
    }
    let metrics = try MetricStream(at: folder.metrics, after: training.iteration, warn: options.output.note)
    var line = ProgressLine(
      "Training", total: training.totalIterations, unit: "iterations", startingAt: training.iteration,
      style: options.output.progress)
    func save() throws {
      try metrics.synchronize()  // before what counts on its rows
      try checkpoints.write(
        training.state, metadata: ["seconds": "\(seconds)", "loss": "\(loss)", "updates": "\(updates)"])
    }
    var clock = ContinuousClock.now
    var lastCheckpoint = clock
    while !training.isDone {
      if let value = try training.step() {
        guard value.isFinite else {
          throw InputError("the loss is no longer a number", remedy: "lower --learning-rate")
        }
        loss += value
        updates += 1
      }
      let endsEpoch = training.updates > 0 && training.updates % training.iterationsPerEpoch == 0
      if endsEpoch {
        let (reward, good) = try training.validate()
        let epoch = training.updates / training.iterationsPerEpoch
        try metrics.append([
          "step": .int(training.iteration), "epoch": .int(epoch), "loss": .double(loss / Double(max(updates, 1))),
          "validation_reward": .double(reward), "validation_good": .double(good)
        ])
        (loss, updates) = (0, 0)
        line.update(training.iteration, note: "epoch \(epoch): \(NumberText.plain(good)) good")
      } else {
        line.update(training.iteration)
      }
      let now = ContinuousClock.now
      seconds += (now - clock) / .seconds(1)
      clock = now
      let isInterrupted = Interruption.isRequested
      if endsEpoch || isInterrupted || (now - lastCheckpoint) / .seconds(1) > checkpointInterval {
        try save()
        lastCheckpoint = .now
      }
      if isInterrupted, !training.isDone { throw Interrupted(folder: folder.url) }
    }
    line.finish()
    try training.best.write(to: folder.artefact(Self.weightsFileName))
    return [
      "best_epoch": .int(training.bestEpoch), "best_reward": .double(training.bestReward),
      "epochs": .int(method.epochs), "updates": .int(training.updates), "seconds": .double(seconds),
      "seconds_per_epoch": .double(seconds / Double(method.epochs)),
      "parameters": .int(training.best.parameterCount),
      "peak_memory_mb": .double(Double(ProcessMemory.peakBytes) / 1e6), "holes": .int(survey.count),
      "seed": .int(options.seed)
    ]
  }
}
