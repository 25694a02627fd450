import ArgumentParser
import Foundation
import QuenchPruning
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

struct SlimCommand: ExperimentCommand {
  typealias Work = Slim

  static let configuration = CommandConfiguration(
    commandName: "slim",
    abstract: "Cut pruned channels out of a network to make it smaller and faster.",
    discussion: """
      A mask alone sets weights to zero; slimming takes whole filters and channels
      that a mask prunes out of every layer they pass through, and checks that the
      answers stay those of the masked network. Single zeros inside a filter stay.

      Policies for the streams that residual blocks add to, where layers share
      channels:
        inner-only     leave streams as they are (default)
        intersection   cut what the masks of all layers on a stream agree on
        group-score    choose a stream's channels by the scores of all its layers
        none           cut nothing, apply the mask

      Examples:
        quench slim --weights pruned.safetensors --mask mask.safetensors
        quench slim --weights pruned.safetensors --policy group-score --round-to 8
        quench slim --weights pruned.safetensors --silence --recalibrate 50
        quench slim --weights pruned.safetensors --keep-layer layer4 --json
        quench slim --weights net.pt2 --target-macs 0.5 --policy intersection
        quench slim --weights net.pt2 --target-latency 0.6x --importance taylor \\
          --data cifar10 --data-dir ~/cifar
        quench slim --weights runs/bip/model.safetensors --target-macs 0.5 \\
          --scores runs/bip/scores.safetensors

      With a target no mask is needed: the channels of all layers stand in one
      ranking, of which the least important go, layer floors and --keep-layer heeded.

      Writes model.safetensors, which loads like any other model and is fine-tuned by
      'quench train --initial', summary.json, config.yaml and report.html.
      """)

  @Option(
    help: ArgumentHelp("The pruned network: safetensors, or what torch.save wrote.", valueName: "file"),
    completion: .file())
  var weights: String

  @Option(
    help: ArgumentHelp("Its mask; without one, every weight that is zero counts as masked.", valueName: "file"),
    completion: .file())
  var mask: String?

  @Option(help: "The network that the weights belong to, where their file does not say.")
  var model: ModelName?

  @Option(help: "With --model: channels x height x width of its images, such as 3x32x32.")
  var input: ImageShape?

  @Option(help: "With --model: its number of classes.")
  var classes: Int?

  @Option(
    help: ArgumentHelp(
      "Cut the least important channels until this fraction of the multiply-adds is left: 0.5, 0.5x or 50%.",
      valueName: "fraction"))
  var targetMacs: CostFraction?

  @Option(help: ArgumentHelp("Likewise of the parameters.", valueName: "fraction"))
  var targetParameters: CostFraction?

  @Option(help: ArgumentHelp("Likewise of the time for a batch, measured here.", valueName: "fraction"))
  var targetLatency: CostFraction?

  @Option(help: ArgumentHelp("Images in a batch that --target-latency is of; 1 unless given.", valueName: "n"))
  var latencyBatch: Int?

  @Option(
    help: """
      What a target ranks channels by: magnitude (unless given), taylor, which looks at training images, or bn-scale.
      """)
  var importance: GroupImportance?

  @Option(
    help: ArgumentHelp(
      "Rank by the scores that 'quench prune bip' or 'hydra' learned: \(CostTarget.scoresFileName) of its run.",
      valueName: "file"), completion: .file())
  var scores: String?

  @Option(
    help: ArgumentHelp(
      "The least fraction of every layer's channels that a target leaves; 0.1 unless given.", valueName: "fraction")
  )
  var layerFloor: Double?

  @Option(help: "What may be cut: see above.")
  var policy = Slimming.Policy.innerOnly

  @Option(help: ArgumentHelp("Leave widths at multiples of n.", valueName: "n"))
  var roundTo = 1

  @Option(
    help: ArgumentHelp("A layer, or a block of layers, to leave as it is; may be repeated.", valueName: "name"))
  var keepLayer: [String] = []

  @Flag(help: "Zero what batch norms and biases add behind masked filters, so that these can be cut.")
  var silence = false

  @Option(help: "The largest difference from the masked logits taken for rounding, relative to the largest logit.")
  var tolerance = 1e-4

  @Option(
    help: ArgumentHelp(
      "Estimate batch norm's statistics anew on n batches of training images, and test before and after.",
      valueName: "n"))
  var recalibrate = 0

  @Option(help: "Images in a batch of --recalibrate and --importance.")
  var batchSize = 128

  @Flag(inversion: .prefixedNo, help: "Crop and mirror the images of --recalibrate at random, as training does.")
  var augmentation = true

  @Option(help: ArgumentHelp("Length of each of the rounds that latency is the median of.", valueName: "seconds"))
  var seconds = 0.2

  @OptionGroup(title: "Data of --recalibrate and --importance") var data: DataOptions
  @OptionGroup(title: "Run") var options: RunOptions

  var runOptions: RunOptions { options }
}

extension ImageShape: ExpressibleByArgument {}
extension Slimming.Policy: ExpressibleByArgument {}
extension CostFraction: ExpressibleByArgument {}
extension GroupImportance: ExpressibleByArgument {}
