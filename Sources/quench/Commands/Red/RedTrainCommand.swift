import ArgumentParser
import Foundation
import QuenchDeception
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

struct RedTrainCommand: ExperimentCommand {
  typealias Work = TrainRed

  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a denoiser on a built data set.",
    discussion: """
      Examples:
        quench red train --pairs runs/red-data --surrogate v1=a.safetensors \\
          --out runs/red
        quench red train --pairs runs/red-data --surrogate v1=a.safetensors \\
          --method do
        quench red train --pairs runs/red-data --surrogate v1=a.safetensors \\
          --method ds --initial runs/do/denoiser.safetensors
        quench red train --pairs runs/red-data --surrogate v1=a.safetensors \\
          --surrogate v2=b.safetensors --initial runs/do/denoiser.safetensors \\
          --gamma 0.05 --lambda 0.15 --transformation flip --epochs 5
                                             cdd-red for images of 32 pixels

      cdd-red keeps what the perturbation does to the answers; do minimizes the
      pixels' error alone; ds the answer to the denoised image alone; ds-gauss the
      same from Gaussian noise instead of attacks. Defaults are the published ones;
      at 32 pixels cropping and cutmix destroy what they move, and the last example,
      with all victims of the data as surrogates, recovers far more.
      Writes the denoiser of the best epoch by held-out pairs, a classifier of attack
      families, and the scores of clean images that 'red analyse' compares with.
      """)

  @Option(help: "cdd-red, do (denoising only), ds (denoised smoothing's stability) or ds-gauss.")
  var method = TrainRed.Method.cddRed

  @Option(help: "Standard deviation of the noise of ds-gauss, pixels in [0, 1] (default: 0.25).")
  var sigma: Double?

  @Option(
    help: ArgumentHelp(
      """
      The classifier whose answers are aligned. Give several to align each pair by that of its victim's name, and by \
      the first where none has it; the first also scores the clean images for 'red analyse'.
      """, valueName: "name=file"))
  var surrogate: [NamedWeights]

  @Option(help: ArgumentHelp("Start from this denoiser.", valueName: "file"), completion: .file())
  var initial: String?

  @Option(help: "Layers of the denoiser.")
  var depth = 17

  @Option(help: "Channels of its layers.")
  var width = 64

  @Option(help: "Share of the batch in batch norm's running statistics; the released code has 0.95.")
  var batchNormMomentum = 0.1

  @Option(help: "Passes over the pairs.")
  var epochs = RedRecipe().epochs

  @Option(help: "Pairs per step.")
  var batchSize = RedRecipe().batchSize

  @Option(help: "The learning rate before it is divided by ten at each of --milestones.")
  var learningRate = RedRecipe().learningRate

  @Option(help: "γ, the weight of the answers to denoised images, in cdd-red (default: \(Self.cddRed.benign)).")
  var gamma: Double?

  @Option(
    help:
      "λ, the weight of the answers to the perturbation's effect, in cdd-red (default: \(Self.cddRed.adversarial))."
  )
  var lambda: Double?

  @Option(
    help:
      "Which transformed copies count for the answers in cdd-red and ds: per-term, joint or none (default: \(Self.cddRed.filter.rawValue))."
  )
  var filter: RedObjective.Filter?

  @Option(
    help: """
      Transformations of cdd-red and ds, any of flip, rotate, translate, cutout, crop-pad, cutmix. Give several \
      (default: \(Self.cddRed.transformations.map(\.rawValue).joined(separator: ", ")); in ds none).
      """)
  var transformation: [Transformation] = []

  @Option(help: "The error of pixels in cdd-red: absolute, squared or none (default: absolute).")
  var reconstruction: RedObjective.Reconstruction?

  @Option(help: "L2 penalty on every parameter.")
  var weightDecay = RedRecipe().weightDecay

  @Option(
    help: ArgumentHelp(
      "Where the learning rate is divided by ten, as shares of the epochs (default: 0.467,0.933).",
      valueName: "list"))
  var milestones: String?

  @Option(help: "Share of each cell's images that is held out to choose the best epoch by.")
  var validationShare = RedRecipe().validationShare

  @Flag(inversion: .prefixedNo, help: "Learn from pairs whose attack succeeded alone.")
  var onlySuccessful = true

  private static let cddRed = RedObjective.classDiscriminative

  @Flag(help: "Recompute batch norm's statistics over the training images at the end.")
  var recalibrate = false

  @Option(help: ArgumentHelp("Seconds between checkpoints inside an epoch.", valueName: "seconds"))
  var checkpointInterval = 60.0

  @OptionGroup(title: "Pairs") var pairs: PairsOptions
  @OptionGroup(title: "Run") var options: RunOptions

  var runOptions: RunOptions { options }

  var settings: Record {
    var settings = Flags.settings(of: self)
    if transformation.isEmpty { settings["transformation"] = nil }
    return settings
  }

  var lab: Lab {
    get throws {
      var lab = try options.machine.lab(options.output)
      lab.checkpointInterval = checkpointInterval
      return lab
    }
  }

  func run() throws {
    try runOptions.perform(Work.self, settings, named: "red-\(method.rawValue)", in: lab)
  }
}
