import ArgumentParser
import Attacks
import Foundation
import Reporting
import Support
import Torch
import Vision

struct TrainCommand: ParsableCommand {
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

  @OptionGroup(title: "Recipe") var recipe: RecipeOptions
  @OptionGroup(title: "Run") var options: LearningOptions

  func validate() throws {
    guard noise >= 0, noise.isFinite else { throw ValidationError("--noise must be 0 or more.") }
    guard noise == 0 || robustness.settings == nil else {
      throw ValidationError("--noise and --adversarial are two ways to train: give one of them.")
    }
    if let snapshotEpoch, !(0...recipe.epochs).contains(snapshotEpoch) {
      throw ValidationError("--snapshot-epoch must be from 0 to the number of epochs.")
    }
  }

  func run() throws {
    let run = options.run
    let url = try run.folder(named: "train")
    let device = try run.machine.prepare()
    let data = try options.load(on: device)
    var training = TrainRun(
      model: (model ?? .resnet20).model, recipe: recipe, options: options, data: data, device: device)
    training.initial = try initial.map { path in
      (path, try WeightsFile.load(path, model: model, for: data.train, on: device, run.output).network)
    }
    training.snapshotEpoch = snapshotEpoch
    training.adversary = robustness.settings
    training.noise = noise
    var inputs = data.inputs
    inputs.merge(try Fingerprint.inputs(["initial": initial]))
    let record = RunRecord.current(training.settings, inputs: inputs, device: device)
    let summary = try Run(at: url, record, resumes: run.resume, run.output).perform { folder in
      try training.train(in: folder, resumes: run.resume)
    }
    run.output.printResult(summary, Self.text(summary, url))
  }

  private static func text(_ summary: Record, _ url: URL) -> String {
    let interval = Wording.interval(
      summary["test_interval_low"]?.number, summary["test_interval_high"]?.number)
    return """
      test accuracy  \(Wording.accuracy(summary["test_accuracy"]?.number)) of \
      \(Wording.count(summary["n"]?.number, "image")) (95 %: \(interval))
      training       \(Wording.duration(summary["seconds"]?.number)), \
      \(Wording.count(summary["images_per_second"]?.number)) images a second
      weights        \(url.appending(path: TrainRun.modelFileName).relativePath)
      report         \(url.appending(path: "report.html").relativePath)
      """
  }
}
