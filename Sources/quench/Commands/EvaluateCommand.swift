import ArgumentParser
import Foundation
import Reporting
import Support
import Torch
import Vision

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Measure the accuracy of a network on a data set's test images.",
    discussion: """
      Examples:
        quench evaluate --weights runs/train/model.safetensors
        quench evaluate --weights resnet20.pt --model resnet20 --data cifar10 --json
        quench evaluate --weights runs/train/model.safetensors --out runs/evaluate

      The interval holds the accuracy on all images of this kind with 95 %
      confidence (Wilson).
      """)

  @Option(
    help: ArgumentHelp("Weights: safetensors, or what torch.save wrote.", valueName: "file"), completion: .file())
  var weights: String

  @Option(help: "The network that the weights belong to, where their file does not say.")
  var model: ClassifierName?

  @Option(help: "Images classified at a time.")
  var batchSize = 500

  @OptionGroup(title: "Data") var data: DataOptions

  @Option(help: "Seed by which --limit draws images.")
  var seed = 1

  @Option(help: ArgumentHelp("Also write a run folder with a report.", valueName: "dir"), completion: .directory)
  var out: String?

  @OptionGroup(title: "Run") var machine: MachineOptions
  @OptionGroup(title: "Run") var output: OutputOptions

  func validate() throws {
    guard batchSize > 0 else { throw ValidationError("--batch-size must be at least 1.") }
  }

  func run() throws {
    let folder = out.map { URL(filePath: $0, directoryHint: .isDirectory) }
    if let folder { try RunFolder.check(folder, resume: false) }
    let device = try machine.prepare()
    let test = try data.load(.test, on: device, seed: UInt64(bitPattern: Int64(seed)), output)
    let network = try WeightsFile.load(weights, model: model, for: test, on: device, output).network
    guard let folder else { return report(try evaluate(network, on: test).summary) }

    let inputs: Record = [
      "test images": .string(test.fingerprint),
      "weights": .string(try Fingerprint.sha256(ofFile: URL(filePath: weights)))
    ]
    let record = RunRecord.current(settings, inputs: inputs, device: device)
    report(
      try Run(at: folder, record, resumes: false, output).perform { folder in
        let (evaluation, summary) = try evaluate(network, on: test)
        try evaluation.write(to: folder.artefact(Evaluation.fileName))
        return summary
      })
  }

  private var settings: Record {
    var settings: Record = ["weights": .string(weights)]
    settings["model"] = model.map { .string($0.rawValue) }
    settings.merge(data.settings)
    settings["batch-size"] = .int(batchSize)
    settings["seed"] = .int(seed)
    settings["precision"] = .string(machine.precision.rawValue)
    return settings
  }

  private func evaluate(
    _ network: Network, on test: ImageDataset
  ) throws -> (evaluation: Evaluation, summary: Record) {
    let plan = InferencePlan(network, dtype: machine.precision.inference)
    let evaluation = try Evaluation(of: plan, on: test, batchSize: batchSize, progress: output.progress)
    let accuracy = evaluation.accuracy
    return (
      evaluation,
      [
        "model": .string(network.architecture.name), "data": .string(data.data.rawValue),
        "accuracy": .double(accuracy.fraction), "n": .int(accuracy.count),
        "interval": [.double(accuracy.interval.lowerBound), .double(accuracy.interval.upperBound)],
        "classes": .int(test.classNames.count), "classes_tested": .int(test.classCounts.count { $0 > 0 }),
        "seconds": .double(evaluation.seconds), "images_per_second": .double(evaluation.imagesPerSecond),
        "peak_memory_mb": .double(Double(ProcessMemory.peakBytes) / 1e6), "weights": .string(weights)
      ]
    )
  }

  private func report(_ summary: Record) {
    let interval = summary["interval"]?.array?.map(\.number) ?? []
    let (classes, tested) = (summary["classes"]?.integer ?? 0, summary["classes_tested"]?.integer ?? 0)
    output.printResult(
      summary,
      """
      accuracy  \(Wording.accuracy(summary["accuracy"]?.number)) of \(Wording.count(summary["n"]?.number, "image")) \
      (95 %: \(Wording.interval(interval.first ?? nil, interval.last ?? nil)))
      classes   \(tested == classes ? "\(classes)" : "\(tested) of \(classes): the others have no test images")
      speed     \(Wording.count(summary["images_per_second"]?.number)) images a second
      """)
  }
}
