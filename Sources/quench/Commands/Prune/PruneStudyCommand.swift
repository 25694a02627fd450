import ArgumentParser
import Foundation
import QuenchPruning
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

struct PruneStudyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "study",
    abstract: "Compare pruning methods over keep ratios and seeds, in one report.",
    discussion: """
      Examples:
        quench prune study --methods bip,imp,omp --keep 0.512,0.2097,0.0859 \\
          --seeds 3 --out runs/study
        quench prune study --methods bip,bip:mode=repo-tied,bip:gamma=10 \\
          --keep 0.1 --hold-out 5000
        quench prune study --methods bip,synflow --keep 0.1 --data cifar10 \\
          --data-dir ~/cifar

      Each seed has one dense network, which all methods share; imp goes down to the
      smallest ratio and gives a ticket at each. Methods on the dense network get
      --epochs, methods that prune before training get the dense network's
      --dense-epochs. What is done in the --out folder already is not repeated:
      run the same command again after a break.
      """)

  @Option(help: ArgumentHelp("Methods, with flags of their own after colons.", valueName: "list"))
  var methods = "bip,imp,omp"

  @Option(help: ArgumentHelp("Fractions of the weights to keep.", valueName: "list"))
  var keep = "0.512,0.2097,0.0859"

  @Option(help: "Number of repetitions, with seeds counting up from --seed.")
  var seeds = 1

  @Option(help: "The first seed.")
  var seed = 1

  @Option(help: "The network; 'quench models list' describes them.")
  var model = ClassifierName.resnet20

  @Option(help: "Epochs of the dense networks, and of methods that prune before training.")
  var denseEpochs = 16

  @Option(help: "Epochs of methods on the dense network, and of each phase or round of those that have several.")
  var epochs = 12

  @Option(help: "The epoch of the dense training that omp and imp rewind to.")
  var rewindEpoch = 1

  @Option(
    help: ArgumentHelp("Validate on n images taken out of the training file, after every epoch.", valueName: "n"))
  var holdOut: Int?

  @OptionGroup(title: "Data") var data: DataOptions

  @Option(
    help: ArgumentHelp("Folder for the study's runs and its report.", valueName: "dir"), completion: .directory)
  var out = "runs/study"

  @OptionGroup(title: "Run") var machine: MachineOptions
  @OptionGroup(title: "Run") var output: OutputOptions

  private var study: PruneStudy {
    get throws { try PruneStudy(settings: Flags.settings(of: self), name: "flags") }
  }

  func validate() throws { try requireUsage { _ = try study.checked() } }

  func run() throws {
    try machine.ranks.requireAlone()
    Interruption.watch()
    let url = URL(filePath: out, directoryHint: .isDirectory)
    try RunFolder.record(at: url)?.settlePrecision()
    try output.printOutcome(of: machine.lab(output).ensure(study, in: url))
  }
}
