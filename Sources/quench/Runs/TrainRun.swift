import Attacks
import Foundation
import Reporting
import Support
import Torch
import Vision

/// One training of a classifier: what `quench train` does, and `quench prune` where it is given no weights.
struct TrainRun {
  static let modelFileName = "model.safetensors"

  /// The network to train: a new one, unless ``initial`` is one.
  let model: ModelName
  let recipe: RecipeOptions
  let options: LearningOptions
  let data: ImageData
  let device: Device
  /// A network to go on from, such as a slimmed one, and the file that it is from.
  var initial: (path: String, network: Network)?
  /// The epoch after which the weights are kept beside the last ones; 0: the new network's.
  var snapshotEpoch: Int?
  /// How adversarial images are made, for robust training.
  var adversary: AdversarialTraining.Settings?
  /// The standard deviation of the noise on training images.
  var noise = 0.0

  static func snapshotFileName(_ epoch: Int) -> String { "epoch-\(epoch).safetensors" }

  /// Everything that the result depends on, under the names of the flags.
  var settings: Record {
    var settings: Record = initial.map { ["initial": .string($0.path)] } ?? ["model": .string(model.rawValue)]
    settings.merge(recipe.settings)
    settings["snapshot-epoch"] = snapshotEpoch.map { .int($0) }
    if let adversary {
      settings["adversarial"] = .string(adversary.method.rawValue)
      settings["adversarial-epsilon"] = .string(PixelBudget(adversary.epsilon).description)
      settings["adversarial-steps"] = .int(adversary.steps)
    }
    if noise > 0 { settings["noise"] = .double(noise) }
    settings.merge(options.settings)
    return settings
  }

  /// Trains, tests and writes the model into `folder`.
  /// - Returns: The run's summary.
  func train(in folder: RunFolder, resumes: Bool) throws -> Record {
    let network =
      try initial?.network
      ?? Network(data.train.architecture(of: model), seed: options.run.seedBits, device: device)
    let architecture = network.architecture
    let leftOut = options.leftOut(of: data.train, batchSize: recipe.batchSize)
    let precision = options.run.machine.precision

    var session = options.session("Training", in: folder, resumes: resumes)
    session.divergenceRemedy = "lower --learning-rate, or bound the gradients with --clip-norm 1"
    func write(_ name: String) throws {
      try ModelFile(network, classNames: data.train.classNames).write(to: folder.artefact(name))
    }
    if snapshotEpoch == 0 { try write(Self.snapshotFileName(0)) }
    session.atEpochEnd = { epoch, _ in
      if epoch == snapshotEpoch { try write(Self.snapshotFileName(epoch)) }
      return try data.validation(of: network, precision)
    }
    let (outcome, collapse) = try learn(network, session)
    try write(Self.modelFileName)

    let plan = InferencePlan(network, dtype: precision.inference)
    let evaluation = try Evaluation(of: plan, on: data.test, progress: options.run.output.progress)
    try evaluation.write(to: folder.artefact(Evaluation.fileName))

    let accuracy = evaluation.accuracy
    var summary: Record = [
      "model": .string(architecture.name), "data": .string(data.test.name), "epochs": .int(recipe.epochs),
      "test_accuracy": .double(accuracy.fraction), "n": .int(accuracy.count),
      "test_interval_low": .double(accuracy.interval.lowerBound),
      "test_interval_high": .double(accuracy.interval.upperBound)
    ]
    summary.merge(leftOut)
    if let collapse { summary["collapsed_after_epoch"] = .int(collapse) }
    summary.merge(try data.validation(of: network, precision))
    summary.merge([
      "seconds": .double(outcome.seconds), "images_per_second": .double(outcome.imagesPerSecond),
      "test_images_per_second": .double(evaluation.imagesPerSecond),
      "peak_memory_mb": .double(Double(ProcessMemory.peakBytes) / 1e6),
      "parameters": .int(architecture.parameterCount), "multiply_adds": .int(architecture.multiplyAdds),
      "training_images": .int(data.train.count),
      "skipped_pictures": .int(data.train.skipped.count + data.test.skipped.count), "seed": .int(options.run.seed)
    ])
    return summary
  }
  /// Trains plainly or on adversarial images.
  /// - Returns: What it cost, and the epoch after which robustness collapsed, if it did.
  private func learn(
    _ network: Network, _ session: TrainingSession
  ) throws -> (TrainingSession.Outcome, collapse: Int?) {
    let (seed, precision) = (options.run.seedBits, options.run.machine.precision)
    guard let adversary else {
      var recipe = recipe.recipe
      recipe.noise = noise
      let learner = ClassifierTraining(
        network, on: data.train, recipe: recipe, seed: seed, precision: precision)
      return (try session.run(learner), nil)
    }
    let learner = AdversarialTraining(
      network, on: data.train, recipe: recipe.recipe, settings: adversary, seed: seed, precision: precision)
    let outcome = try session.run(learner)
    if let epoch = learner.collapsedAfterEpoch {
      options.run.output.note(
        "note: robustness collapsed after epoch \(epoch) (catastrophic overfitting); the weights are those before it"
      )
    }
    return (outcome, learner.collapsedAfterEpoch)
  }
}
