import ArgumentParser
import Foundation
import QuenchPruning
import QuenchReporting
import QuenchSupport
import QuenchTorch

struct PruneOMPCommand: PruneMethodCommand {
  typealias Work = Prune<OMP>

  static let configuration = CommandConfiguration(
    commandName: "omp",
    abstract: "One-shot magnitude pruning: drop the smallest weights, then train what stays.",
    discussion: """
      Examples:
        quench prune omp --weights runs/train/model.safetensors --keep 0.1
        quench prune omp --data cifar10 --data-dir ~/cifar --sparsity 0.95
        quench prune omp --weights last.safetensors --rewind early.safetensors \\
          --keep 0.1
      """)

  @OptionGroup(title: "Pruning") var pruning: PruningOptions
  @OptionGroup(title: "Network") var dense: DenseOptions

  @Option(
    help: ArgumentHelp(
      "After the mask is drawn, go back to these weights: those of an early point of the dense training.",
      valueName: "file"), completion: .file())
  var rewind: String?

  @OptionGroup(title: "Recipe") var recipe: RecipeOptions
  @OptionGroup(title: "Run") var options: LearningOptions
}

struct PruneIMPCommand: PruneMethodCommand {
  typealias Work = Prune<IMP>

  static let configuration = CommandConfiguration(
    commandName: "imp",
    abstract: "Iterative magnitude pruning with rewinding: lottery tickets (Frankle & Carbin 2019).",
    discussion: """
      Examples:
        quench prune imp --data cifar10 --data-dir ~/cifar --dense-epochs 16 \\
          --epochs 12 --keep 0.168
        quench prune imp --weights dense.safetensors \\
          --rewind epoch-1.safetensors --keep 0.1

      Each round drops a fifth of what is left, rewinds and trains for --epochs. The
      ticket of every round is kept in the run's folder tickets.
      """)

  @OptionGroup(title: "Pruning") var pruning: PruningOptions
  @OptionGroup(title: "Network") var dense: DenseOptions

  @Option(
    help: ArgumentHelp(
      "The weights to rewind to, with --weights: 'quench train --snapshot-epoch' writes them.", valueName: "file"),
    completion: .file())
  var rewind: String?

  @Option(help: "The epoch of the dense training to rewind to, where no --weights are given.")
  var rewindEpoch = 1

  @Option(help: "Fraction of the remaining weights that each round drops.")
  var fraction = 0.2

  @Option(
    help: ArgumentHelp(
      "A keep ratio on the way at which a round ends as well; can be repeated.", valueName: "ratio"))
  var stop: [Double] = []

  @OptionGroup(title: "Recipe of a round") var recipe: RecipeOptions
  @OptionGroup(title: "Run") var options: LearningOptions
}
