import Foundation
import Reporting
import Support
import Torch
import Vision

/// One training of a classifier: what `quench train` does, and `quench prune` where it is given no weights.
struct TrainRun {
  static let modelFileName = "model.safetensors"

  let model: ModelName
  let recipe: RecipeOptions
  let options: LearningOptions
  let data: ImageData
  let device: Device

  /// Everything that the result depends on, under the names of the flags.
  var settings: Record {
    var settings: Record = ["model": .string(model.rawValue)]
    settings.merge(recipe.settings)
    settings.merge(options.settings)
    return settings
  }

  /// Trains, tests and writes the model into `folder`.
  /// - Returns: The run's summary.
  func train(in folder: RunFolder, resumes: Bool) throws -> Record {
    let architecture = try data.train.architecture(of: model)
    let network = Network(architecture, seed: options.run.seedBits, device: device)
    let precision = options.run.machine.precision
    let learner = ClassifierTraining(
      network, on: data.train, recipe: recipe.recipe, seed: options.run.seedBits, precision: precision)

    var session = options.session("Training", in: folder, resumes: resumes)
    session.validate = { data.validation(of: network, precision) }
    let outcome = try session.run(learner)
    try ModelFile(network, classNames: data.train.classNames).write(to: folder.artefact(Self.modelFileName))

    let plan = InferencePlan(network, dtype: precision.inference)
    let evaluation = try Evaluation(of: plan, on: data.test, progress: options.run.output.progress)
    try evaluation.write(to: folder.artefact(Evaluation.fileName))

    let accuracy = evaluation.accuracy
    var summary: Record = [
      "model": .string(model.rawValue), "data": .string(data.test.name), "epochs": .int(recipe.epochs),
      "test_accuracy": .double(accuracy.fraction), "n": .int(accuracy.count),
      "test_interval_low": .double(accuracy.interval.lowerBound),
      "test_interval_high": .double(accuracy.interval.upperBound)
    ]
    summary.merge(data.validation(of: network, precision))
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
}
