import ArgumentParser

struct PruneCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prune",
    abstract: "Set most weights of a network to zero and keep its accuracy.",
    discussion: """
      Examples:
        quench prune bip --weights runs/train/model.safetensors --keep 0.1
        quench prune omp --weights runs/train/model.safetensors --sparsity 0.9
        quench prune bip --weights model.safetensors --keep 0.5 --granularity group
        quench prune snip --model resnet20 --data cifar10 --data-dir ~/cifar \\
          --keep 0.2

      bip, hydra, omp and imp start from a trained network; snip, grasp, synflow,
      prospr, random and early-bird choose the weights of a new one and train it. All
      keep exactly the fraction asked for. Single weights (--granularity weight) make
      a model smaller on disk only; whole groups of filters can be cut out: quench
      slim.
      """,
    subcommands: [
      PruneBiPCommand.self, PruneHYDRACommand.self, PruneOMPCommand.self, PruneGMPCommand.self,
      PruneIMPCommand.self,
      PruneSNIPCommand.self, PruneGraSPCommand.self, PruneSynFlowCommand.self, PruneProsPrCommand.self,
      PruneRandomCommand.self, PruneEarlyBirdCommand.self, PruneStudyCommand.self
    ])
}
