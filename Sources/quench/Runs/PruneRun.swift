import Foundation
import Pruning
import Reporting
import Support
import Torch
import Vision

/// One pruning of a network: what `quench prune` does.
struct PruneRun {
  static let maskFileName = "mask.safetensors"

  let method: String
  let pruner: any Pruner
  let options: LearningOptions
  let data: ImageData
  /// Of the training; nil where the method has none.
  var batchSize: Int?

  private var precision: Precision { options.run.machine.precision }

  /// Prunes `network`, tests it, and writes model and mask into `folder`.
  /// - Parameter dense: The trained network to compare with.
  /// - Returns: The run's summary.
  func prune(
    _ network: Network, comparedWith dense: Network?, in folder: RunFolder, resumes: Bool
  ) throws -> Record {
    let target = pruner.target
    let denseAccuracy = try dense.map { try self.evaluation(of: $0).accuracy }
    let worth = PrunedWorth(dense: dense ?? network, precision)
    let leftOut = batchSize.map { options.leftOut(of: data.train, batchSize: $0) } ?? [:]
    let layout = try target.layout(of: network)
    let magnitude = target.mask(layout.weights(of: network).abs(), layout)
    let learner = try pruner.training(
      network, on: data.train, seed: Generator.derive(options.run.seedBits, "prune"), precision: precision)

    var session = options.session("Pruning", in: folder, resumes: resumes)
    session.atEpochEnd = { epoch, seconds in
      learner.finish()
      if let rounds = learner as? IMPTraining {
        try writeTicket(of: rounds, after: epoch, seconds: seconds, in: folder)
      }
      return try data.validation(of: network, precision)
    }
    let outcome = try session.run(learner)
    learner.finish()
    let mask = learner.mask
    let search = learner as? EarlyBirdTraining
    let zeros = try PruneRun.check(network, mask, keeping: search?.keptCount ?? target.kept(of: mask.layout))

    try write(network, mask, in: folder.url)
    let evaluation = try evaluation(of: network)
    try evaluation.write(to: folder.artefact(Evaluation.fileName))

    var summary: Record = [
      "method": .string(method), "model": .string(network.architecture.name),
      "data": .string(data.test.name), "keep_ratio": .double(target.keepRatio.value),
      "sparsity": .double(target.keepRatio.sparsity), "granularity": .string(target.granularity.description),
      "kept": .int(mask.keptCount), "prunable": .int(layout.count), "zeros": .int(zeros),
      "epochs": .int(learner.epochs)
    ]
    summary.merge(leftOut)
    if let denseAccuracy { summary.merge(denseAccuracy.record(prefix: "dense_")) }
    summary.merge(evaluation.accuracy.record())
    summary["n"] = .int(evaluation.accuracy.count)
    summary.merge(try data.validation(of: network, precision))
    summary.merge([
      "mask_iou_with_magnitude": .double(mask.intersectionOverUnion(with: magnitude)),
      "seconds": .double(outcome.seconds), "images_per_second": .double(outcome.imagesPerSecond),
      "peak_memory_mb": .double(Double(ProcessMemory.peakBytes) / 1e6),
      "training_images": .int(data.train.count),
      "skipped_pictures": .int(data.train.skipped.count + data.test.skipped.count), "seed": .int(options.run.seed)
    ])
    summary["ticket_epoch"] = search?.ticketEpoch.map { .int($0) }
    summary.merge(try worth.record(of: network, mask, classNames: data.train.classNames, in: folder.url))
    return summary
  }

  private func evaluation(of network: Network) throws(InputError) -> Evaluation {
    try Evaluation(
      of: InferencePlan(network, dtype: precision.inference), on: data.test, progress: options.run.output.progress)
  }

  private func write(_ network: Network, _ mask: Mask, in folder: URL) throws {
    try ModelFile(network, classNames: data.train.classNames)
      .write(to: folder.appending(path: TrainRun.modelFileName))
    try mask.write(to: folder.appending(path: Self.maskFileName))
  }

  /// Where a round of iterative pruning has ended: its network, mask and test accuracy, in a folder of its own.
  private func writeTicket(
    of training: IMPTraining, after epoch: Int, seconds: Double, in folder: RunFolder
  ) throws {
    let (round, rest) = epoch.quotientAndRemainder(dividingBy: training.method.recipe.epochs)
    guard rest == 0 else { return }
    let keepRatio = training.rounds[round - 1]
    let ticket = Self.ticket(of: folder, keepRatio.value)
    try FileManager.default.createDirectory(at: ticket, withIntermediateDirectories: true)
    try write(training.network, training.mask, in: ticket)
    let accuracy = try evaluation(of: training.network).accuracy
    var summary: Record = [
      "round": .int(round), "keep_ratio": .double(keepRatio.value), "kept": .int(training.mask.keptCount),
      "seconds": .double(seconds)
    ]
    summary.merge(accuracy.record())
    summary["n"] = .int(accuracy.count)
    try AtomicFile.write(
      Data(Value.object(summary).json(pretty: true).utf8), to: ticket.appending(path: "summary.json"))
  }

  /// Where a run keeps the network of the round that ended at `keepRatio`.
  private static func ticket(of folder: RunFolder, _ keepRatio: Double) -> URL {
    let name = "keep-\((keepRatio * 1e4).rounded() / 1e4)"
    return folder.artefact("tickets").appending(path: name, directoryHint: .isDirectory)
  }

  /// What the round that ended at `keepRatio` came to; nil where there was none so far.
  static func ticketSummary(of folder: RunFolder, _ keepRatio: Double) -> Record? {
    let url = ticket(of: folder, keepRatio).appending(path: "summary.json")
    return (try? Data(contentsOf: url)).flatMap { try? Value(json: $0, name: url.path) }?.record
  }

  /// Counts what was promised: so many weights kept, and all others zero.
  /// - Returns: The zeros among the prunable weights.
  /// - Throws: `InputError` if the count is another: no result is better than a wrong one.
  static func check(_ network: Network, _ mask: Mask, keeping expected: Int) throws(InputError) -> Int {
    let weights = mask.layout.weights(of: network)
    let strays = withoutGradient { (weights * (mask.values .== 0).to(weights.dtype)).nonzeroCount() }
    guard mask.keptCount == expected, strays == 0 else {
      throw InputError(
        "the mask was not kept", at: network.architecture.name, expected: "\(expected) weights kept",
        found: "\(mask.keptCount) kept, \(strays) pruned ones not zero", remedy: "report this as a defect")
    }
    return mask.layout.count - weights.nonzeroCount()
  }
}

extension Accuracy {
  /// The fraction and its 95 % interval, as summaries have them.
  func record(prefix: String = "") -> Record {
    [
      prefix + "accuracy": .double(fraction), prefix + "interval_low": .double(interval.lowerBound),
      prefix + "interval_high": .double(interval.upperBound)
    ]
  }
}
