import ArgumentParser
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
        quench train                                      ResNet-20 on Fashion-MNIST, into runs/train
        quench train --data cifar10 --data-dir ~/cifar --epochs 30 --out runs/cifar
        quench train --data folder --data-dir pictures --model resnet18 --hold-out 500
        quench train --out runs/cifar --data cifar10 --data-dir ~/cifar --epochs 30 --resume
        quench train --config cifar.yaml --seed 2         keys as the flags: 'epochs: 30'

      Writes model.safetensors, summary.json, metrics.jsonl, config.yaml and report.html. Ctrl-C writes a checkpoint
      and leaves; --resume goes on from there and ends with the same weights as a run without a break.
      """)

  @OptionGroup(title: "Data") var data: DataOptions

  @Option(help: "The network; 'quench models list' says what each is.")
  var model = ModelName.resnet20

  @OptionGroup(title: "Recipe") var recipe: RecipeOptions
  @OptionGroup(title: "Run") var learning: LearningOptions
  @OptionGroup(title: "Run") var options: RunOptions

  func validate() throws {
    guard model.isClassifier else { throw ValidationError("--model \(model.rawValue) is no classifier.") }
  }

  func run() throws {
    let device = try options.machine.prepare()
    let images = try ImageData(
      data, holdOut: learning.holdOut, seed: options.seedBits, on: device, options.output)
    let training = TrainRun(
      model: model, recipe: recipe, options: options, dataOptions: data, learning: learning, data: images,
      device: device)
    let url = options.folder(named: "train")
    let record = RunRecord.current(training.settings, inputs: images.inputs, device: device)
    let summary = try Run(at: url, record, resumes: options.resume, options.output).perform { folder in
      try training.train(in: folder, resumes: options.resume)
    }
    options.output.printResult(summary, Self.text(summary, url))
  }

  private static func text(_ summary: Record, _ url: URL) -> String {
    let interval = Wording.interval(
      summary["test_interval_low"]?.number, summary["test_interval_high"]?.number)
    return """
      test accuracy  \(Wording.accuracy(summary["test_accuracy"]?.number)) of \(Wording.count(summary["n"]?.number)) \
      images (95 %: \(interval))
      training       \(Wording.duration(summary["seconds"]?.number)), \
      \(Wording.count(summary["images_per_second"]?.number)) images a second
      weights        \(url.appending(path: TrainRun.modelFileName).relativePath)
      report         \(url.appending(path: "report.html").relativePath)
      """
  }
}
