import ArgumentParser
import Foundation
import QuenchPruning
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// What the pruned network must look like: what every pruning method takes.
struct PruningOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Fraction of the weights to keep, above 0 and at most 1.", valueName: "ratio"))
  var keep: Double?

  @Option(help: ArgumentHelp("Fraction of the weights to drop, instead of --keep.", valueName: "fraction"))
  var sparsity: Double?

  @Option(
    help: ArgumentHelp(
      "What is dropped together: weight, filter, channel, group (filters whose outputs are added, so that all can be cut), or a pattern such as 2:4, which sets the ratio.",
      valueName: "granularity"))
  var granularity = Granularity.weight

  @Option(help: "Rank the weights of all layers together, or keep the same fraction of each layer.")
  var scope = PruningTarget.Scope.global

  @Option(help: ArgumentHelp("The smallest fraction that any layer keeps.", valueName: "fraction"))
  var layerFloor = 0.0

  @Option(
    help: ArgumentHelp(
      "Prune only layers whose names match, such as 'layer2.*'; can be repeated.", valueName: "pattern"))
  var include: [String] = []

  @Option(help: ArgumentHelp("Leave layers dense whose names match; can be repeated.", valueName: "pattern"))
  var exclude: [String] = []

  func validate() throws {
    if case .pattern = granularity {
      guard keep == nil, sparsity == nil else {
        throw ValidationError("--granularity \(granularity) sets the ratio: leave out --keep and --sparsity.")
      }
    } else {
      guard (keep == nil) != (sparsity == nil) else {
        throw ValidationError("Give either --keep or --sparsity\(keep == nil ? "." : ", not both.")")
      }
    }
    try requireUsage { _ = try keepRatio }
  }

  var keepRatio: KeepRatio {
    get throws(InputError) {
      if case .pattern(let kept, let group) = granularity { return try KeepRatio(Double(kept) / Double(group)) }
      guard let sparsity else { return try KeepRatio(keep ?? 0) }
      guard (0..<1).contains(sparsity) else {
        throw InputError(
          "not a fraction of weights to drop", at: "--sparsity", expected: "0 or more and below 1",
          found: "\(sparsity)")
      }
      // 1 - 0.9 is 0.09999999999999998; what the user means is 0.1.
      return try KeepRatio(((1 - sparsity) * 1e12).rounded() / 1e12, at: "--sparsity")
    }
  }
}

/// A command for a pruning method.
protocol PruneMethodCommand: LearningCommand {
  var pruning: PruningOptions { get }
}

extension PruneMethodCommand {
  var settings: Record {
    get throws {
      var settings = Flags.settings(of: self)
      settings["sparsity"] = nil
      settings["keep"] = .double(try pruning.keepRatio.value)
      return settings
    }
  }
}

/// The trained network that a method starts from.
struct DenseOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The trained network; without it, one is trained first, in the folder dense of the run.", valueName: "file"),
    completion: .file())
  var weights: String?

  @Option(help: "The network to train first, or whose weights --weights holds where the file does not say.")
  var model: ClassifierName?

  @OptionGroup var pixels: NormalizationOptions

  @Option(help: "Epochs of the dense training where no --weights are given (default: 10).")
  var denseEpochs: Int?

  @Option(help: DistillationOption.help) var distillation: Double?
}

/// The new network that a method starts from.
struct InitialOptions: ParsableArguments {
  @Option(help: "The network to draw, prune and train; 'quench models list' describes them.")
  var model = ClassifierName.resnet20

  @Option(
    help: ArgumentHelp("Begin with these weights instead of new ones.", valueName: "file"), completion: .file())
  var initial: String?

  @OptionGroup var pixels: NormalizationOptions

  @Option(
    help: ArgumentHelp(
      "A trained dense network to compare with, and to learn from by --distillation.", valueName: "file"),
    completion: .file())
  var dense: String?

  @Option(help: DistillationOption.help) var distillation: Double?
}

/// What methods have in common that prune a trained network and a new one.
enum DistillationOption {
  static let help = ArgumentHelp(
    "Learn from the dense network's answers as well as from the labels, by this share of the loss.",
    valueName: "share")
}

extension Granularity: ExpressibleByArgument {}
extension PruningTarget.Scope: ExpressibleByArgument {}
