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
      Trains ResNet-20 on Fashion-MNIST, prunes it to a tenth and to a fiftieth of its weights by
      magnitude (OMP) and by BiP, and compares. Each step is a command that it prints first; they
      are short, so that the demo ends in minutes: longer runs give better networks.

      What is done already in the --out folder is not done again.
      """)

  @Option(
    help: ArgumentHelp("Folder for the demo's runs and its report.", valueName: "dir"), completion: .directory)
  var out = "runs/demo"

  @OptionGroup var machine: MachineOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let device = try machine.prepare()
    try fetchData()
    let url = URL(filePath: out, directoryHint: .isDirectory)
    let settings: Record = [
      "steps": .array(Demo.parts.map { .string($0.arguments(in: "DIR").joined(separator: " ")) }),
      "precision": .string(machine.precision.rawValue)
    ]
    let record = RunRecord(
      command: ["quench", "demo"], settings: settings, versions: Version.record(device: device))
    let resumes = (try? RunFolder(existing: url)) != nil
    Interruption.watch()  // the step at work gets the signal too; the demo ends when that has saved
    let summary = try Run(at: url, record, resumes: resumes, output).perform { folder in
      for part in Demo.parts { try perform(part, in: folder) }
      return try Demo.summary(of: folder)
    }
    let parts = RunFiles.parts(of: try RunFolder(existing: url))
    output.printResult(summary, "\n" + Demo.table(parts).text)
    output.note("\nreport  \(url.appending(path: "report.html").path)")
  }

  /// Downloads Fashion-MNIST where this machine lacks it.
  private func fetchData() throws {
    guard Datasets.find(.fashionMNIST) == nil else { return }
    output.note("$ quench data fetch fashion-mnist")
    try runTool(["data", "fetch", "fashion-mnist"])
  }

  private func perform(_ part: Demo.Part, in folder: RunFolder) throws {
    let place = folder.artefact(part.name)
    let earlier = try? RunFolder(existing: place).record()
    if earlier?.outcome == .completed { return }
    var arguments = part.arguments(in: folder.url.relativePath)
    output.note("\n$ quench \(arguments.joined(separator: " "))")
    arguments += ["--device", machine.device, "--precision", machine.precision.rawValue]
    if let threads = machine.threads { arguments += ["--threads", "\(threads)"] }
    if output.quiet || output.json { arguments.append("--quiet") }
    if earlier != nil { arguments.append("--resume") }
    try runTool(arguments)
  }

  /// Runs this program with other arguments; what it prints goes to standard error, beside the progress.
  private func runTool(_ arguments: [String]) throws {
    guard let tool = Bundle.main.executableURL else {
      throw InputError("the program's own file is not found", remedy: "start it by its path")
    }
    let process = Process()
    process.executableURL = tool
    process.arguments = arguments
    process.standardOutput = FileHandle.standardError
    try process.run()
    process.waitUntilExit()
    switch process.terminationStatus {
    case 0: return
    case 130: throw Interrupted(folder: nil)
    case let code:
      throw InputError(
        "a step of the demo failed with exit code \(code)", at: "quench \(arguments.joined(separator: " "))",
        remedy: "mend what it says above, then start the demo again: finished steps are kept")
    }
  }
}

/// What the demo does and how its result is told.
enum Demo {
  /// One command of the demo.
  struct Part {
    /// Its folder within the demo's.
    let name: String
    let flags: [String]

    func arguments(in folder: String) -> [String] {
      let dense = "\(folder)/dense/model.safetensors"
      return flags.map { $0 == "DENSE" ? dense : $0 } + ["--out", "\(folder)/\(name)"]
    }
  }

  static let keepRatios = [0.1, 0.02]

  /// Both methods learn from as many images: an epoch of BiP passes every image twice, once a level.
  static let parts: [Part] =
    [
      Part(
        name: "dense",
        flags: ["train", "--model", "resnet20"] + data
          + ["--epochs", "1", "--batch-size", "64", "--no-augmentation"])
    ]
    + keepRatios.flatMap { keep in
      let common =
        ["--weights", "DENSE", "--keep", "\(keep)"] + data + ["--train-limit", "12800", "--no-augmentation"]
      return [
        Part(name: "omp-\(keep)", flags: ["prune", "omp"] + common + ["--epochs", "2"]),
        Part(name: "bip-\(keep)", flags: ["prune", "bip"] + common + ["--epochs", "1"])
      ]
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
      rows: parts.map { part in
        let (name, run) = (part.name, part.run)
        let isDense = name == "dense"
        let prefix = isDense ? "test_" : ""
        let prunable = parts.last?.run.number("prunable")
        return [
          "\(isDense ? "dense" : method(name))",
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
