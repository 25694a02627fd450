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

struct PruneGMPCommand: PruneMethodCommand {
  typealias Work = Prune<GMP>

  static let configuration = CommandConfiguration(
    commandName: "gmp",
    abstract: "Gradual magnitude pruning: drop ever more weights while the network trains (Zhu & Gupta 2017).",
    discussion: """
      Examples:
        quench prune gmp --weights runs/train/model.safetensors --keep 0.1 --epochs 6
        quench prune gmp --weights net.pt2 --granularity group --keep 0.5 --epochs 4

      The fraction of dropped weights rises by a cubic over the first --rise of all
      steps; in the rest what stays is trained.
      """)

  @OptionGroup(title: "Pruning") var pruning: PruningOptions
  @OptionGroup(title: "Network") var dense: DenseOptions

  @Option(help: ArgumentHelp("The fraction of the steps over which weights are dropped.", valueName: "fraction"))
  var rise = 0.7

  @Option(help: ArgumentHelp("Steps from one mask to the next.", valueName: "n"))
  var interval = 20

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
