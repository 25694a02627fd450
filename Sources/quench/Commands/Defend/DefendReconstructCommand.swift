import ArgumentParser
import QuenchReporting
import QuenchSmoothing

struct DefendReconstructCommand: ExperimentCommand {
  typealias Work = AttackReconstructor

  static let configuration = CommandConfiguration(
    commandName: "reconstruct",
    abstract: "Attack a reconstructor, alone and behind a defense.",
    discussion: """
      Examples:
        quench defend reconstruct --data mnist \\
          --weights runs/reconstructor/reconstructor.safetensors \\
          --defense runs/defend
        quench defend reconstruct --data mnist --limit 500 --epsilons 0,2 \\
          --attack defended --weights reconstructor.safetensors \\
          --defense runs/defend

      Projected gradient ascent perturbs the measurements, within L2 balls of several
      radii, to maximize the error of the reconstructed image. The attack sees the
      reconstructor alone, or the defense and its noise too. Reports the root mean
      squared error and the structural similarity to the true images; there is no
      certificate for images. Writes reconstruction.tsv, summary.json and report.html.
      """)

  private static let standard = ReconstructionEvaluation()

  @Option(help: ArgumentHelp("The reconstructor's weights.", valueName: "file"), completion: .file())
  var weights: String

  @Option(
    help: ArgumentHelp("A run of 'defend train'; without it, the reconstructor alone.", valueName: "dir"),
    completion: .directory)
  var defense: String?

  @Option(help: ArgumentHelp("L2 norms of the perturbations.", valueName: "list"))
  var epsilons = NumberList(standard.epsilons)

  @Option(help: "What the attack sees: the undefended reconstructor or the defended one.")
  var attack = standard.target

  @Option(help: "Steps of the attack.")
  var steps = standard.steps

  @Option(help: "Standard deviation of the defense's noise.")
  var sigma = standard.sigma

  @Option(help: ArgumentHelp("Noise samples that a defended answer averages over.", valueName: "n"))
  var copies = standard.copies

  @Option(help: ArgumentHelp("Measurements per image.", valueName: "n"))
  var measurements = AttackReconstructor().measurements

  @OptionGroup(title: "Data") var data: DataOptions
  @OptionGroup(title: "Run") var options: RunOptions

  var runOptions: RunOptions { options }

  var settings: Record {
    var settings = Flags.settings(of: self)
    // Attacks compute in float32 whatever the rest of the tool does.
    settings["precision"] = nil
    return settings
  }
}
