import ArgumentParser
import Foundation
import Reporting
import Support
import Torch
import Vision

/// The main job on real images, by the commands that a user would type, and one report over all of them.
struct DemoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "Train, prune and compare on real images, in a few minutes.",
    discussion: """
      Trains ResNet-20 on Fashion-MNIST, prunes it to a tenth and to a fiftieth of
      its weights by magnitude (OMP) and by BiP, and compares; then prunes half of
      its channels and cuts them out, which makes it faster. Each step is a command
      that it prints first; they are short, so that the demo ends in minutes: longer
      runs give better networks.

      What is done already in the --out folder is not done again.
      """)

  @Option(
    help: ArgumentHelp("Folder for the demo's runs and its report.", valueName: "dir"), completion: .directory)
  var out = "runs/demo"

  @OptionGroup var machine: MachineOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let device = try machine.prepare()
    let runner = PartRunner(machine: machine, output: output)
    if Datasets.find(.fashionMNIST) == nil {
      output.note("$ quench data fetch fashion-mnist")
      try runner.run(["data", "fetch", "fashion-mnist"])
    }
    let url = URL(filePath: out, directoryHint: .isDirectory)
    let settings: Record = [
      "steps": .array(Demo.parts.map { .string($0.arguments.joined(separator: " ")) }),
      "precision": .string(machine.precision.rawValue)
    ]
    let record = RunRecord(
      command: ["quench", "demo"], settings: settings, versions: Version.record(device: device))
    let resumes = (try? RunFolder(existing: url)) != nil
    Interruption.watch()  // the step at work gets the signal too; the demo ends when that has saved
    let summary = try Run(at: url, record, resumes: resumes, output).perform { folder in
      for part in Demo.parts { try runner.perform(part, in: folder) }
      return try Demo.summary(of: folder)
    }
    let parts = RunFiles.parts(of: try RunFolder(existing: url))
    let slim = parts.first { $0.name == Demo.slim }.map { "\n\n" + SlimReport.table($0.run.summary).text } ?? ""
    output.printResult(summary, "\n" + Demo.table(parts).text + slim)
    output.note("\nreport  \(url.appending(path: "report.html").path)")
  }
}

/// What the demo does and how its result is told.
enum Demo {
  static let keepRatios = [0.1, 0.02]
  /// The parts that end in a smaller network: half of the channels pruned, and cut out.
  static let (channels, slim) = ("bip-channels", "slim")

  /// Both methods learn from as many images: an epoch of BiP passes every image twice, once a level.
  static let parts: [RunPart] =
    [
      RunPart(
        name: "dense",
        arguments: ["train", "--model", "resnet20"] + data
          + ["--epochs", "1", "--batch-size", "64", "--no-augmentation"])
    ]
    + keepRatios.flatMap { keep in
      [
        RunPart(name: "omp-\(keep)", arguments: ["prune", "omp"] + pruning(keep) + ["--epochs", "2"]),
        RunPart(name: "bip-\(keep)", arguments: ["prune", "bip"] + pruning(keep) + ["--epochs", "1"])
      ]
    }
    + [
      RunPart(
        name: channels, arguments: ["prune", "bip"] + pruning(0.5) + ["--granularity", "group", "--epochs", "1"]),
      RunPart(
        name: slim,
        arguments: [
          "slim", "--weights", "{run}/\(channels)/model.safetensors", "--mask",
          "{run}/\(channels)/mask.safetensors",
          "--policy", "group-score", "--recalibrate", "50"
        ] + data)
    ]

  private static func pruning(_ keep: Double) -> [String] {
    ["--weights", "{run}/dense/model.safetensors", "--keep", "\(keep)"] + data
      + ["--train-limit", "12800", "--no-augmentation"]
  }

  private static let data = ["--data", "fashion-mnist"]

  /// The parts' accuracies under flat keys: `dense_accuracy`, `bip_0.02_accuracy`, ...
  static func summary(of folder: RunFolder) throws -> Record {
    var summary: Record = [:]
    var seconds = 0.0
    for part in RunFiles.parts(of: folder) {
      let key = part.name.replacing("-", with: "_")
      summary["\(key)_accuracy"] = part.run.summary["accuracy"] ?? part.run.summary["test_accuracy"]
      seconds += part.run.number("seconds") ?? 0
    }
    summary["n"] = RunFiles.parts(of: folder).first?.run.summary["n"]
    summary["seconds"] = .double(seconds)
    return summary
  }

  /// One row a network.
  static func table(_ parts: [RunFiles.Part]) -> Table {
    Table(
      "The dense network and the pruned ones",
      columns: [
        .text("Network"), .number("Weights kept"), .number("Keep ratio"), .number("Test accuracy"),
        .text("95 % interval"), .number("Training time")
      ],
      rows: parts.filter { $0.name != slim }.map { part in
        let (name, run) = (part.name, part.run)
        let isDense = name == "dense"
        let prefix = isDense ? "test_" : ""
        let prunable = parts.dropFirst().first?.run.number("prunable")
        return [
          "\(isDense ? "dense" : method(name) + (name == channels ? ", channels" : ""))",
          "\(Wording.count(isDense ? prunable : run.number("kept")))",
          "\(NumberText.plain(isDense ? 1 : run.number("keep_ratio") ?? .nan))",
          "\(Wording.accuracy(run.number(prefix + "accuracy")))",
          "\(Wording.interval(run.number(prefix + "interval_low"), run.number(prefix + "interval_high")))",
          "\(Wording.duration(run.number("seconds")))"
        ]
      })
  }

  /// The method of the part called `name`, as its paper writes it.
  static func method(_ name: String) -> String { name.hasPrefix("bip") ? "BiP" : "OMP" }
}
