import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Measure the accuracy of a network on a data set's test images.",
    discussion: """
      Examples:
        quench evaluate --weights runs/train/model.safetensors
        quench evaluate --weights resnet20.pt --model resnet20 --data cifar10 --json
        quench evaluate --weights runs/train/model.safetensors --out runs/evaluate
        quench evaluate --weights runs/train/model.safetensors --precision int8

      The interval holds the accuracy on all images of this kind with 95 %
      confidence (Wilson).

      With --precision int8 convolutions and linear layers multiply 8-bit integers,
      whose ranges are measured on training images of the same data set. All else,
      and a layer whose input is not finite, stays in float32: the result says how
      many layers are int8.
      """)

  @Option(
    help: ArgumentHelp("Weights: safetensors, or what torch.save or torch.export.save wrote.", valueName: "file"),
    completion: .file())
  var weights: String

  @Option(help: "The network that the weights belong to, where their file does not say.")
  var model: ClassifierName?

  @OptionGroup var pixels: NormalizationOptions

  @Option(help: "Images classified at a time.")
  var batchSize = 500

  @OptionGroup(title: "Data") var data: DataOptions

  @Option(help: ArgumentHelp("Measure int8's ranges on n training images.", valueName: "n"))
  var calibrationImages = Calibration.standardImages

  @Option(help: "Seed by which --limit draws images.")
  var seed = 1

  @Option(help: ArgumentHelp("Also write a run folder with a report.", valueName: "dir"), completion: .directory)
  var out: String?

  @OptionGroup(title: "Run") var machine: MachineOptions
  @OptionGroup(title: "Run") var output: OutputOptions

  private var experiment: Evaluate {
    get throws { try Evaluate(settings: Flags.settings(of: self), name: "flags") }
  }

  func validate() throws { try requireUsage { _ = try experiment.checked() } }

  func run() throws {
    try machine.ranks.together(machine.lab(output), json: output.json) { lab in
      func tell(_ run: PerformedRun<Evaluate>) throws {
        if lab.ranks.rank == 0 { try output.printOutcome(of: run) }
      }
      guard let out else { return try lab.perform(experiment) { try tell($0) } }
      let folder = try RankFolder(lab.ranks, resumes: false) { URL(filePath: out, directoryHint: .isDirectory) }
      try tell(lab.perform(experiment, in: folder.url))
    }
  }
}
