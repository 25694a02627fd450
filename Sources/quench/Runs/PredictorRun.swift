import CryoEM
import Foundation
import Reporting
import Support
import Torch
import Vision

/// What `quench cryo predictor train` does.
struct PredictorRun {
  static let predictionsFileName = "predictions.txt"
  /// Predictions of holes that the network was trained on.
  static let seenFileName = "predictions-of-training-holes.txt"

  let command: PredictorTrainCommand
  let device: Device
  let train: Survey
  let validation: Survey?
  let inputs: Record

  init(_ command: PredictorTrainCommand, device: Device) throws(InputError) {
    self.command = command
    self.device = device
    let url = URL(filePath: command.survey)
    var inputs: Record = ["survey": .string(try Fingerprint.sha256(ofFile: url))]
    train = try SurveyFile(contentsOf: url).survey
    if let path = command.validationSurvey {
      let url = URL(filePath: path)
      inputs["validation survey"] = .string(try Fingerprint.sha256(ofFile: url))
      validation = try SurveyFile(contentsOf: url).survey
    } else {
      validation = nil
    }
    if let weights = command.weights {
      inputs["weights"] = .string(try Fingerprint.sha256(ofFile: URL(filePath: weights)))
    }
    self.inputs = inputs
  }

  static func pictures(
    _ folder: URL, holes: [String]?, side: Int, _ output: OutputOptions
  ) throws(InputError) -> HoleImages {
    var line: ProgressLine?
    let images = try HoleImages.read(folder, holes: holes, side: side) { done, total in
      if line == nil { line = ProgressLine("Reading", total: total, unit: "pictures", style: output.progress) }
      line?.update(done)
    }
    line?.finish()
    for warning in images.warnings.prefix(5) { output.note("warning: \(warning)") }
    if images.warnings.count > 5 { output.note("and \(images.warnings.count - 5) more warnings") }
    return images
  }

  /// Trains, keeps the best epoch where there is a validation survey, and predicts.
  func perform(in folder: RunFolder, resumes: Bool) throws -> Record {
    let options = command.options
    let predictor = try newPredictor()
    let examples = try examples(train, predictor)
    let held = try validation.map { try self.examples($0, predictor) }
    let learner = PredictorTraining(
      predictor, on: examples, recipe: command.recipe, threshold: command.threshold, seed: options.seedBits,
      precision: options.machine.precision)
    let model = folder.artefact(ClassifierWork.modelFileName)
    let best = folder.checkpoints.appending(path: "best.json")

    Interruption.watch()
    var session = TrainingSession(folder: folder)
    session.task = "Training"
    session.resumes = resumes
    session.checkpointInterval = command.checkpointInterval
    session.progress = options.output.progress
    session.warn = options.output.note
    session.atEpochEnd = { epoch, _ in
      guard let held else { return [:] }
      let loss = held.loss(of: predictor, recipe: command.recipe)
      if try loss < Self.lowest(best, before: epoch) {
        try predictor.write(to: model)
        let note: Record = ["epoch": .int(epoch), "loss": .double(loss)]
        try AtomicFile.write(Data(Value.object(note).json().utf8), to: best)
      }
      return ["validation_loss": .double(loss)]
    }
    let outcome = try session.run(learner)
    if held == nil { try predictor.write(to: model) }

    let chosen = try CTFPredictor(contentsOf: model, device: device)
    let judged = held ?? examples
    let clock = ContinuousClock.now
    var predictions = chosen.predict(judged.images, precision: options.machine.precision)
    let rate = Double(judged.count) / ((ContinuousClock.now - clock) / .seconds(1))
    let isCrossFitted = held == nil && command.folds > 0
    if isCrossFitted {
      predictions = try CrossFitting(folds: command.folds).predictions(
        examples, of: train, precision: options.machine.precision, train: trainFold)
    } else if held == nil {
      options.output.note(
        "warning: the predictions are of holes that the network was trained on and better than those of others will be: "
          + "no calibration can be learned from them; --folds 2 or --validation-survey gives some that can be")
    }
    let text = PredictionFile.text(judged.images.names, predictions)
    try AtomicFile.write(
      Data(text.utf8),
      to: folder.artefact(held == nil && !isCrossFitted ? Self.seenFileName : Self.predictionsFileName))
    let quality = PredictionQuality(predictions, fits: judged.fits, threshold: command.threshold)
    var summary: Record = [
      "model": .string(command.model.rawValue),
      "task": .string(command.classes == nil ? "regression" : "classification"),
      "synthetic": .bool(judged.images.names.allSatisfy { $0.hasPrefix("synthetic") }),
      "judged_on": .string(
        held != nil
          ? "validation survey"
          : isCrossFitted
            ? "training survey, each of \(command.folds) parts predicted by a network trained on the others"
            : "training survey, which the network was trained on"),
      "predictions": .string(held == nil && !isCrossFitted ? Self.seenFileName : Self.predictionsFileName),
      "threshold": .double(command.threshold),
      "training_holes": .int(examples.count)
    ]
    summary.merge(quality.record)
    summary.merge([
      "best_epoch": (try Self.note(best)?["epoch"]) ?? .int(command.epochs), "seconds": .double(outcome.seconds),
      "images_per_second": .double(outcome.imagesPerSecond), "prediction_images_per_second": .double(rate),
      "peak_memory_mb": .double(Double(ProcessMemory.peakBytes) / 1e6),
      "parameters": .int(chosen.network.architecture.parameterCount), "seed": .int(options.seed)
    ])
    return summary
  }

  private func newPredictor() throws(InputError) -> CTFPredictor {
    let predictor = try CTFPredictor(
      command.model, task: command.task, side: command.side, seed: command.options.seedBits, device: device)
    if let weights = command.weights {
      try predictor.begin(
        with: StateDictionary.weights(at: weights, for: predictor.network.architecture), from: weights)
    }
    return predictor
  }

  /// A predictor as the run's own, trained on other holes.
  private func trainFold(_ examples: HoleExamples, fold: Int) throws -> CTFPredictor {
    let predictor = try newPredictor()
    var session = TrainingSession()
    session.task = "Part \(fold + 1) of \(command.folds)"
    session.progress = command.options.output.progress
    _ = try session.run(
      PredictorTraining(
        predictor, on: examples, recipe: command.recipe, threshold: command.threshold,
        seed: command.options.seedBits, precision: command.options.machine.precision))
    return predictor
  }

  private func examples(_ survey: Survey, _ predictor: CTFPredictor) throws(InputError) -> HoleExamples {
    let measured = survey.holes.filter { $0.fit.isMeasured }
    let images = try Self.pictures(
      URL(filePath: command.images, directoryHint: .isDirectory), holes: measured.map(\.name),
      side: predictor.pictureSide, command.options.output)
    return try HoleExamples(images, fits: measured.map(\.fit), task: predictor.task)
  }

  /// The lowest validation loss of earlier epochs.
  private static func lowest(_ url: URL, before epoch: Int) throws(InputError) -> Double {
    guard let note = try note(url), let earlier = note["epoch"]?.integer, earlier < epoch else { return .infinity }
    return note["loss"]?.number ?? .infinity
  }

  private static func note(_ url: URL) throws(InputError) -> Record? {
    guard let data = try? Data(contentsOf: url) else { return nil }
    return try Value(json: data, name: url.path).record
  }
}

extension PredictionQuality {
  var record: Record {
    var record: Record = ["n": .int(count), "accuracy": .double(accuracy.fraction)]
    record["accuracy_low"] = .double(accuracy.interval.lowerBound)
    record["accuracy_high"] = .double(accuracy.interval.upperBound)
    record["auc"] = auc.map { .double($0) }
    record["mae"] = meanAbsoluteError.map { .double($0) }
    record["rmse"] = rootMeanSquareError.map { .double($0) }
    record["spearman"] = spearman.map { .double($0) }
    return record
  }
}
