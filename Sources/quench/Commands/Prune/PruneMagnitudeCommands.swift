import ArgumentParser
import Foundation
import Pruning
import Reporting
import Support
import Torch

struct PruneOMPCommand: ParsableCommand {
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

  func run() throws {
    var method = OMP(try pruning.target)
    method.recipe = recipe.recipe
    let job = PruneJob(
      method: "omp", settings: recipe.settings, rewind: rewind, start: .trained(dense)
    ) { [method] early in
      var method = method
      method.rewind = early
      return method
    }
    try job.run(pruning, options)
  }
}

struct PruneIMPCommand: ParsableCommand {
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
    name: .customLong("stop"),
    help: ArgumentHelp(
      "A keep ratio on the way at which a round ends as well; can be repeated.", valueName: "ratio"))
  var stops: [Double] = []

  @OptionGroup(title: "Recipe of a round") var recipe: RecipeOptions
  @OptionGroup(title: "Run") var options: LearningOptions

  func validate() throws {
    guard (dense.weights == nil) == (rewind == nil) else {
      throw ValidationError(
        "Give --weights and --rewind together, or neither: then the dense network is trained first.")
    }
    guard rewindEpoch >= 0, rewindEpoch < dense.denseEpochs else {
      throw ValidationError("--rewind-epoch must be 0 or more and below --dense-epochs.")
    }
    guard fraction > 0, fraction < 1 else { throw ValidationError("--fraction must be above 0 and below 1.") }
    try requireUsage { for stop in stops { _ = try KeepRatio(stop, at: "--stop") } }
  }

  func run() throws {
    let target = try pruning.target
    var settings = recipe.settings
    settings["fraction"] = .double(fraction)
    settings["stop"] = stops.isEmpty ? nil : .array(stops.map { .double($0) })
    if rewind == nil { settings["rewind-epoch"] = .int(rewindEpoch) }
    var job = PruneJob(
      method: "imp", settings: settings, rewind: rewind, start: .trained(dense)
    ) { early in
      guard let early else {
        throw InputError("there are no weights to rewind to", remedy: "name them with --rewind")
      }
      var method = IMP(target, rewind: early)
      method.fraction = fraction
      method.recipe = recipe.recipe
      method.stops = try stops.map { try KeepRatio($0) }
      return method
    }
    job.snapshotEpoch = rewind == nil ? rewindEpoch : nil
    try job.run(pruning, options)
  }
}
