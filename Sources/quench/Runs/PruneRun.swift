import Foundation
import Pruning
import Reporting
import Support
import Torch
import Vision

/// A way to prune, with its hyper-parameters.
enum PruningMethod {
  case omp(OMP, TrainingRecipe)
  case bip(BiP)

  var name: String {
    switch self {
    case .omp: "omp"
    case .bip: "bip"
    }
  }

  var keepRatio: KeepRatio {
    switch self {
    case .omp(let method, _): method.keepRatio
    case .bip(let method): method.keepRatio
    }
  }

  var epochs: Int {
    switch self {
    case .omp(_, let recipe): recipe.epochs
    case .bip(let method): method.epochs
    }
  }

  /// A method at work on a network.
  struct Work {
    let learner: any Learner
    /// The mask as it is now.
    let mask: () -> Mask
    /// Writes the masked weights as they are now into the network.
    let finish: () -> Void
  }

  /// Readies `network`, which is trained and dense, to be pruned.
  func begin(_ network: Network, on dataset: ImageDataset, seed: UInt64, _ precision: Precision) throws -> Work {
    switch self {
    case .omp(let method, let recipe):
      let (learner, mask) = try method.training(
        network, on: dataset, recipe: recipe, seed: seed, precision: precision)
      return Work(learner: learner, mask: { mask }, finish: {})
    case .bip(let method):
      let training = BiPTraining(method, network, on: dataset, seed: seed, precision: precision)
      return Work(learner: training, mask: { training.mask }, finish: training.finish)
    }
  }
}

/// One pruning of a trained network: what `quench prune` does.
struct PruneRun {
  static let maskFileName = "mask.safetensors"

  let method: PruningMethod
  let options: LearningOptions
  let data: ImageData

  private var precision: Precision { options.run.machine.precision }

  /// Prunes `network`, tests it before and after, and writes model and mask into `folder`.
  /// - Returns: The run's summary.
  func prune(_ network: Network, in folder: RunFolder, resumes: Bool) throws -> Record {
    let dense = try evaluation(of: network).accuracy
    let magnitude = OMP(keepRatio: method.keepRatio).mask(for: network)
    let work = try method.begin(
      network, on: data.train, seed: Generator.derive(options.run.seedBits, "prune"), precision)

    var session = options.session("Pruning", in: folder, resumes: resumes)
    session.validate = {
      work.finish()
      return data.validation(of: network, precision)
    }
    let outcome = try session.run(work.learner)
    work.finish()
    let mask = work.mask()
    let zeros = try PruneRun.check(network, mask, keeps: method.keepRatio)

    try ModelFile(network, classNames: data.train.classNames).write(to: folder.artefact(TrainRun.modelFileName))
    try mask.write(to: folder.artefact(Self.maskFileName))
    let evaluation = try evaluation(of: network)
    try evaluation.write(to: folder.artefact(Evaluation.fileName))

    let pruned = evaluation.accuracy
    var summary: Record = [
      "method": .string(method.name), "model": .string(network.architecture.name),
      "data": .string(data.test.name), "keep_ratio": .double(method.keepRatio.value),
      "sparsity": .double(method.keepRatio.sparsity), "kept": .int(mask.keptCount),
      "prunable": .int(mask.layout.count), "zeros": .int(zeros), "epochs": .int(method.epochs),
      "dense_accuracy": .double(dense.fraction), "dense_interval_low": .double(dense.interval.lowerBound),
      "dense_interval_high": .double(dense.interval.upperBound), "accuracy": .double(pruned.fraction),
      "interval_low": .double(pruned.interval.lowerBound), "interval_high": .double(pruned.interval.upperBound),
      "n": .int(pruned.count)
    ]
    summary.merge(data.validation(of: network, precision))
    summary.merge([
      "mask_iou_with_magnitude": .double(mask.intersectionOverUnion(with: magnitude)),
      "seconds": .double(outcome.seconds), "images_per_second": .double(outcome.imagesPerSecond),
      "peak_memory_mb": .double(Double(ProcessMemory.peakBytes) / 1e6),
      "parameters": .int(network.architecture.parameterCount), "training_images": .int(data.train.count),
      "skipped_pictures": .int(data.train.skipped.count + data.test.skipped.count), "seed": .int(options.run.seed)
    ])
    return summary
  }

  private func evaluation(of network: Network) throws(InputError) -> Evaluation {
    try Evaluation(
      of: InferencePlan(network, dtype: precision.inference), on: data.test, progress: options.run.output.progress)
  }

  /// Counts what was promised: so many weights kept, and all others zero.
  /// - Returns: The zeros among the prunable weights.
  /// - Throws: `InputError` if the count is another: no result is better than a wrong one.
  static func check(_ network: Network, _ mask: Mask, keeps ratio: KeepRatio) throws(InputError) -> Int {
    let expected = ratio.kept(of: mask.layout.count)
    let strays = withoutGradient {
      Int((mask.layout.weights(of: network) * (mask.values * -1 + 1)).nonzeroCount())
    }
    guard mask.keptCount == expected, strays == 0 else {
      throw InputError(
        "the mask was not kept", at: network.architecture.name, expected: "\(expected) weights kept",
        found: "\(mask.keptCount) kept, \(strays) pruned ones not zero", remedy: "report this as a defect")
    }
    return mask.layout.count - mask.layout.weights(of: network).nonzeroCount()
  }
}
