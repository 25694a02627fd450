import ArgumentParser

struct RedCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "red",
    abstract: "Reverse-engineer deceptions: the clean image, the perturbation, who made it.",
    discussion: """
      Examples:
        quench red build-data --data cifar10 --victim v1=a.safetensors \\
          --victim v2=b.safetensors --out runs/red-data
        quench red train --pairs runs/red-data --surrogate v1=a.safetensors \\
          --out runs/red
        quench red evaluate --run runs/red --pairs runs/red-data \\
          --victim v1=a.safetensors --victim v2=b.safetensors
        quench red analyse suspicious/ --run runs/red --weights a.safetensors
      """,
    subcommands: [RedBuildDataCommand.self, RedTrainCommand.self, RedEvaluateCommand.self, RedAnalyseCommand.self])
}
