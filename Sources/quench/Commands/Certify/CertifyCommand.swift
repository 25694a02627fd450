import ArgumentParser
import QuenchReporting
import QuenchSmoothing
import QuenchSupport
import QuenchVision

struct CertifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "certify",
    abstract: "Certify L2 radii within which a classifier's smoothed predictions cannot change.",
    discussion: """
      Examples:
        quench certify --weights runs/noisy/model.safetensors --sigma 0.25 \\
          --limit 500
        quench certify --weights runs/noisy/model.safetensors --target-radius 0.5
        quench certify --weights runs/noisy/model.safetensors --fixed --n 100000
        quench certify plot runs/certify            accuracy against radius
        quench certify predict --weights runs/noisy/model.safetensors   no radius

      Randomized smoothing (Cohen et al. 2019): the class that the network gives to
      most noisy copies of an image is the smoothed prediction, and it cannot change
      within the certified radius, except with probability alpha per image. Train the
      network under the same noise: quench train --noise 0.25.

      Unless --fixed is given, sampling stops as soon as the radii are decided (at
      most --n copies), with the same guarantee. Writes certified.tsv, one row per
      image as soon as it is certified, summary.json and report.html; --resume
      continues an interrupted run and ends with the same rows. A certificate is of
      the network in the precision that summary.json names: with --precision int8 of
      the network in 8-bit integers. All flags: quench certify run --help.
      """,
    subcommands: [CertifyRunCommand.self, CertifyPredictCommand.self, CertifyPlotCommand.self],
    defaultSubcommand: CertifyRunCommand.self)
}

struct CertifyRunCommand: ExperimentCommand {
  typealias Work = CertifyClassifier

  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Certify a data set's test images; the word 'run' may be omitted.")

  @Option(
    help: ArgumentHelp("Weights: safetensors, or what torch.save or torch.export.save wrote.", valueName: "file"),
    completion: .file())
  var weights: String

  @Option(help: "The network that the weights belong to, if their file does not say.")
  var model: ClassifierName?

  @OptionGroup var pixels: NormalizationOptions

  @Option(
    help: ArgumentHelp("Measure int8's ranges on n training images under the same noise.", valueName: "n"))
  var calibrationImages = Calibration.standardImages

  @OptionGroup(title: "Certification") var certification: CertificationOptions
  @OptionGroup(title: "Data") var data: DataOptions
  @OptionGroup(title: "Run") var options: RunOptions

  var runOptions: RunOptions { options }
}

/// How predictions are certified.
struct CertificationOptions: ParsableArguments {
  @Option(help: "Standard deviation of the noise, for pixels in [0, 1].")
  var sigma = 0.25

  @Option(help: "Noisy copies used to select the class.")
  var n0 = 100

  @Option(help: "Noisy copies used to bound its probability: at most, or with --fixed exactly.")
  var n = 10_000

  @Option(help: "Failure probability of a certificate.")
  var alpha = 0.001

  @Flag(help: "Always draw --n copies and certify the largest radius that they support (Cohen et al. 2019).")
  var fixed = false

  @Option(help: ArgumentHelp("Test this radius only.", valueName: "radius"))
  var targetRadius: Double?

  @Option(
    help: ArgumentHelp("Test these radii, in increasing order (default: 0,0.25,0.5,0.75).", valueName: "list"))
  var radii: NumberList?

  @Option(help: "Noisy copies per forward pass; certificates do not depend on it.")
  var batchSize = 256

  @Option(
    help: ArgumentHelp(
      "Certify part i of k of the images, such as 1/4; run the other parts in folders of their own.",
      valueName: "i/k"))
  var shard = Shard.whole
}

extension Shard: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }
}
