import Foundation
import Pruning
import Reporting
import Support
import Torch
import Vision

/// One slimming of a pruned network: what `quench slim` does.
struct SlimRun {
  let slimming: Slimming
  let file: ModelFile
  /// nil: the weights' zeros are the mask.
  let mask: URL?
  /// What to recalibrate and test on.
  let images: ImageData?
  /// How many batches to recalibrate on.
  let batches: Int
  let batchSize: Int
  /// How training showed the images that are recalibrated on.
  let augmentation: Augmentation?
  /// Length of a round of timing.
  let seconds: Double
  let options: RunOptions

  /// Slims, recalibrates and tests where there are images, measures, and writes the model into `folder`.
  /// - Returns: The run's summary.
  func perform(in folder: RunFolder) throws -> Record {
    let network = file.network
    let mask = try self.mask.map { try Mask(contentsOf: $0, for: network) } ?? Self.zeros(of: network)
    let slimmed = try slimming.slim(network, mask: mask)
    Mask(layout: mask.layout, values: mask.values.to(network.device)).apply(to: network)
    var summary = self.summary(of: slimmed.report, network.architecture)
    if let images { summary.merge(try recalibrate(slimmed.network, beside: network, images, folder)) }
    try ModelFile(slimmed.network, classNames: file.classNames)
      .write(to: folder.artefact(TrainRun.modelFileName))
    for batchSize in SideBySide.batchSizes {
      options.output.note("Timing batches of \(batchSize), masked and slimmed in turns")
      let plans = [network, slimmed.network].map {
        InferencePlan($0, batchSize: batchSize, dtype: options.machine.precision.inference)
      }
      let latency = Latency(of: plans, batchSize: batchSize, roundSeconds: seconds)
      summary.merge(SideBySide.record(latency, "masked", "slimmed"))
    }
    summary.merge([
      "peak_memory_mb": .double(Double(ProcessMemory.peakBytes) / 1e6), "seed": .int(options.seed)
    ])
    return summary
  }

  /// The mask that the zeros among the weights make.
  private static func zeros(of network: Network) -> Mask {
    let layout = WeightLayout(network)
    return Mask(layout: layout, values: (layout.weights(of: network) .!= 0).to(.float32))
  }

  private func summary(of report: SlimmingReport, _ architecture: Architecture) -> Record {
    var summary: Record = [
      "model": .string(architecture.name), "policy": .string(slimming.policy.rawValue),
      "side": .string(report.side.rawValue), "channels": .int(report.channels),
      "masked_channels": .int(report.maskedChannels), "removed_channels": .int(report.removedChannels),
      "requested_channel_ratio": .double(report.requestedChannelRatio),
      "achieved_channel_ratio": .double(report.achievedChannelRatio),
      "requested_weight_ratio": .double(report.requestedWeightRatio),
      "achieved_weight_ratio": .double(report.achievedWeightRatio),
      "requested_multiply_add_ratio": .double(report.requestedMultiplyAddRatio),
      "achieved_multiply_add_ratio": .double(report.achievedMultiplyAddRatio),
      "silenceable": .int(report.silenceable),
      "parameters_before": .int(report.before.parameters), "parameters": .int(report.after.parameters),
      "multiply_adds_before": .int(report.before.multiplyAdds), "multiply_adds": .int(report.after.multiplyAdds),
      "max_difference": .double(report.difference.largest),
      "relative_difference": .double(report.difference.relative),
      "max_change": .double(report.change.largest), "relative_change": .double(report.change.relative)
    ]
    var widths = Record()
    for width in report.widths where width.before != width.after {
      widths[width.layer] = .array([.int(width.before), .int(width.after)])
    }
    summary["widths"] = .object(widths)
    return summary
  }

  /// Gives the slimmed network its own statistics, and tests it before and after beside the masked one.
  private func recalibrate(
    _ slimmed: Network, beside masked: Network, _ images: ImageData, _ folder: RunFolder
  ) throws -> Record {
    func test(_ network: Network) throws(InputError) -> Evaluation {
      try Evaluation(
        of: InferencePlan(network, dtype: options.machine.precision.inference), on: images.test,
        progress: options.output.progress)
    }
    let before = try test(masked).accuracy
    let cut = try test(slimmed).accuracy
    let loader = BatchLoader.training(
      images.train, batchSize: batchSize, augmentation: augmentation,
      seed: Generator.derive(options.seedBits, "recalibrate"))
    options.output.note(
      "Estimating batch norm's statistics on \(NumberText.count(batches, "batch")) of training images")
    slimmed.recalibrateBatchNorm(
      on: (0..<batches).lazy.map { index in
        let (epoch, batch) = index.quotientAndRemainder(dividingBy: loader.batchesPerEpoch)
        return loader.batch(at: LoaderPosition(epoch: epoch, batch: batch)).images
      })
    let evaluation = try test(slimmed)
    try evaluation.write(to: folder.artefact(Evaluation.fileName))
    let after = evaluation.accuracy
    return [
      "data": .string(images.test.name), "masked_accuracy": .double(before.fraction),
      "accuracy_before_recalibration": .double(cut.fraction), "accuracy": .double(after.fraction),
      "interval_low": .double(after.interval.lowerBound), "interval_high": .double(after.interval.upperBound),
      "n": .int(after.count), "recalibration_images": .int(batches * min(batchSize, images.train.count))
    ]
  }
}
