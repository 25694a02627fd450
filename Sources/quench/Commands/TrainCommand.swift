import ArgumentParser
import Foundation
import QuenchAttacks
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

struct TrainCommand: LearningCommand {
  typealias Work = Train

  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a classifier and test it.",
    discussion: """
      Examples:
        quench train                        ResNet-20 on Fashion-MNIST, in runs/train
        quench train --data cifar10 --data-dir ~/cifar --epochs 30 --out runs/cifar
        quench train --data folder --data-dir pictures --model resnet18
        quench train --noise 0.25 --out runs/noisy   for 'quench certify --sigma 0.25'
        quench train --config cifar.yaml --seed 2   with a line such as 'epochs: 30'
        quench train --config cifar.yaml --seed 2 --resume
        quench train --adversarial fgsm-rs --learning-rate 0.2   a robust network
        quench train --initial runs/slim/model.safetensors   fine-tunes a slimmed network
        quench train --initial runs/slim/model.safetensors \\
          --teacher runs/train/model.safetensors   which also learns from the dense one

      Writes model.safetensors, summary.json, metrics.jsonl, config.yaml and
      report.html. Ctrl-C writes a checkpoint and leaves; --resume goes on from there
      and ends with the same weights as a run without a break.
      """)

  @Option(
    help: """
      The network, resnet20 unless given; 'quench models list' describes them. With --initial: what its weights \
      belong to, where their file does not say.
      """)
  var model: ClassifierName?

  @Option(
    help: ArgumentHelp("Start from these weights instead of a new network's: one to fine-tune.", valueName: "file"),
    completion: .file())
  var initial: String?

  @OptionGroup var pixels: NormalizationOptions

  @Option(
    help: ArgumentHelp(
      "Also keep the weights after this epoch, as epoch-N.safetensors; 0: those of the new network.", valueName: "n"
    ))
  var snapshotEpoch: Int?

  @OptionGroup(title: "Robustness") var robustness: RobustnessOptions

  @Option(
    help: ArgumentHelp(
      "Add Gaussian noise of this standard deviation to training images, pixels in [0, 1]; for 'quench certify'.",
      valueName: "sigma"))
  var noise = 0.0

  @Option(
    help: ArgumentHelp(
      "Learn from this trained network's answers as well as from the labels; its file says its architecture.",
      valueName: "file"),
    completion: .file())
  var teacher: String?

  @Option(help: ArgumentHelp("The teacher's share of the loss, up to 1; 0.5 unless given.", valueName: "share"))
  var distillation: Double?

  @Option(
    help: ArgumentHelp(
      "What the logits of both are divided by when they are compared; 4 unless given.", valueName: "number"))
  var temperature: Double?

  @OptionGroup(title: "Recipe") var recipe: RecipeOptions
  @OptionGroup(title: "Run") var options: LearningOptions

  func validate() throws {
    guard noise == 0 || robustness.adversarial == nil else {
      throw ValidationError("--noise and --adversarial are two ways to train: give one of them.")
    }
    guard teacher == nil || robustness.adversarial == nil else {
      throw ValidationError("--teacher and --adversarial are two ways to train: give one of them.")
    }
    if robustness.adversarial == nil {
      for (flag, isGiven) in [
        ("--adversarial-epsilon", robustness.adversarialEpsilon != nil),
        ("--adversarial-steps", robustness.adversarialSteps != nil)
      ] where isGiven { throw ValidationError("\(flag): this is for --adversarial.") }
    }
    try requireUsage {
      _ = try robust?.checked() ?? Train(settings: settings, name: "flags").checked() as any Experiment
    }
  }

  /// The training on adversarial images; nil for a plain one.
  private var robust: AdversarialTrain? {
    get throws {
      guard robustness.adversarial != nil else { return nil }
      var settings = settings
      settings["noise"] = nil
      return try AdversarialTrain(settings: settings, name: "flags")
    }
  }

  func run() throws {
    guard let robust = try robust else {
      return try runOptions.perform(Train.self, settings, named: Self.folderName, in: lab)
    }
    try runOptions.perform(AdversarialTrain.self, robust.settings, named: Self.folderName, in: lab)
  }
}
