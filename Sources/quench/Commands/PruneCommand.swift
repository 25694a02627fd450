import ArgumentParser
import Foundation
import Pruning
import Reporting
import Support
import Torch
import Vision

struct PruneCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prune",
    abstract: "Set most weights of a network to zero and keep its accuracy.",
    discussion: """
      Examples:
        quench prune omp --weights runs/train/model.safetensors --keep 0.1
        quench prune bip --weights runs/train/model.safetensors --keep 0.02 --epochs 30

      Both rank all weights of convolutions and linear layers together and keep the
      fraction asked for, exactly.
      """,
    subcommands: [PruneOMPCommand.self, PruneBiPCommand.self])
}

struct PruneOMPCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "omp",
    abstract: "One-shot magnitude pruning: drop the smallest weights, then train what stays.",
    discussion: """
      Examples:
        quench prune omp --weights runs/train/model.safetensors --keep 0.1
        quench prune omp --data cifar10 --data-dir ~/cifar --sparsity 0.95
        quench prune omp --weights last.safetensors --rewind early.safetensors --keep 0.1
      """)

  @OptionGroup(title: "Pruning") var pruning: PruningOptions

  @Option(
    help: ArgumentHelp(
      "After the mask is drawn, go back to these weights: those of an early point of the dense training.",
      valueName: "file"), completion: .file())
  var rewind: String?

  @OptionGroup(title: "Recipe") var recipe: RecipeOptions
  @OptionGroup(title: "Run") var options: LearningOptions

  func run() throws {
    var settings = recipe.settings
    settings["rewind"] = rewind.map { .string($0) }
    var method = OMP(keepRatio: try pruning.keepRatio)
    if let rewind {
      let state = try StateDictionary.load(URL(filePath: rewind))
      try state.validateFinite(at: rewind)
      method.rewind = state
    }
    try pruning.run(.omp(method, recipe.recipe), settings, options)
  }
}

struct PruneBiPCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bip",
    abstract: "Bi-level pruning: learn which weights to keep while training them (Zhang et al. 2022).",
    discussion: """
      Examples:
        quench prune bip --weights runs/train/model.safetensors --keep 0.1
        quench prune bip --weights runs/train/model.safetensors --keep 0.1 --resume
        quench prune bip --data cifar10 --data-dir ~/cifar --sparsity 0.98 --epochs 50
      """)

  @OptionGroup(title: "Pruning") var pruning: PruningOptions

  @Option(help: "Times that every training image is seen.")
  var epochs = 100

  @Option(help: "Images a step.")
  var batchSize = 128

  @Option(help: "Learning rate of the weights, the lower level.")
  var learningRate = 0.1

  @Option(help: "Learning rate of the scores, the upper level.")
  var maskLearningRate = 0.1

  @Option(help: "Ridge of the lower level; the smaller, the more what is kept sticks.")
  var gamma = 1.0

  @Option(help: "Steps of the weights for each step of the mask.")
  var lowerSteps = 1

  @Option(
    help: "How the mask's gradient is formed: as published, without its implicit part, or as the released code.")
  var mode = BiP.Mode.formula

  @Option(help: "Momentum of both levels.")
  var momentum = 0.9

  @Option(help: "L2 penalty on kept weights, batch norm and biases.")
  var weightDecay = 1e-4

  @Flag(inversion: .prefixedNo, help: "Crop and mirror training images at random.")
  var augmentation = true

  @OptionGroup(title: "Run") var options: LearningOptions

  func validate() throws {
    func require(_ holds: Bool, _ message: String) throws { if !holds { throw ValidationError(message) } }
    try require(epochs > 0, "--epochs must be at least 1.")
    try require(batchSize > 1, "--batch-size must be at least 2, which batch norm needs.")
    try require(learningRate > 0 && learningRate.isFinite, "--learning-rate must be above 0.")
    try require(maskLearningRate > 0 && maskLearningRate.isFinite, "--mask-learning-rate must be above 0.")
    try require(gamma > 0, "--gamma must be above 0.")
    try require(lowerSteps > 0, "--lower-steps must be at least 1.")
    try require((0..<1).contains(momentum), "--momentum must be 0 or more and below 1.")
    try require(weightDecay >= 0 && weightDecay.isFinite, "--weight-decay must be 0 or more.")
  }

  func method(keeping keepRatio: KeepRatio) -> BiP {
    var method = BiP(keepRatio: keepRatio)
    method.epochs = epochs
    method.batchSize = batchSize
    method.lowerLearningRate = learningRate
    method.upperLearningRate = maskLearningRate
    method.gamma = gamma
    method.lowerSteps = lowerSteps
    method.mode = mode
    method.momentum = momentum
    method.weightDecay = weightDecay
    method.augmentation = augmentation ? Augmentation() : nil
    return method
  }

  func run() throws {
    let settings: Record = [
      "epochs": .int(epochs), "batch-size": .int(batchSize), "learning-rate": .double(learningRate),
      "mask-learning-rate": .double(maskLearningRate), "gamma": .double(gamma), "lower-steps": .int(lowerSteps),
      "mode": .string(mode.rawValue), "momentum": .double(momentum), "weight-decay": .double(weightDecay),
      "augmentation": .bool(augmentation)
    ]
    try pruning.run(.bip(method(keeping: try pruning.keepRatio)), settings, options)
  }
}

extension BiP.Mode: ExpressibleByArgument {}
