import ArgumentParser
import Foundation
import Reporting
import Support
import Torch
import Vision

/// Every capability in little, by the commands that a user would type, and one report over all of them.
struct DemoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "Prune, plan, reverse-engineer and certify, in a few minutes.",
    discussion: """
      Trains ResNet-20 on Fashion-MNIST, prunes it to a tenth and to a fiftieth of
      its weights by magnitude (OMP) and by BiP, and compares; then prunes half of
      its channels and cuts them out, which makes it faster. Plans a cryo-EM session
      on a made-up survey; attacks the network and recovers what the attacks did;
      certifies answers under noise. Each step is a command, or an experiment of
      the library, that it names first; they are short, so that the demo ends in
      minutes: longer runs give better networks.

      Steps that are done in the --out folder already are not repeated.
      """)

  @Option(
    help: ArgumentHelp("Folder for the demo's runs and its report.", valueName: "dir"), completion: .directory)
  var out = "runs/demo"

  @OptionGroup var machine: MachineOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let device = try machine.prepare()
    let url = URL(filePath: out, directoryHint: .isDirectory)
    let record = Demo.record(precision: machine.precision, device: device)
    let earlier = try RunFolder.record(at: url)
    if let earlier, earlier.settings["steps"] != record.settings["steps"] {
      throw InputError(
        "the folder holds a demo with other steps than this version's", at: url.path,
        remedy: "delete it, or name another folder with --out")
    }
    let runner = PartRunner(machine: machine, output: output)
    if Datasets.find(.fashionMNIST) == nil {
      output.note("$ quench data fetch fashion-mnist")
      try runner.run(["data", "fetch", "fashion-mnist"])
    }
    Interruption.watch()  // the step at work gets the signal too; the demo ends when that has saved
    let summary = try Run(at: url, record, resumes: earlier != nil, output, parts: Demo.parts).perform { folder in
      for part in Demo.parts { try runner.perform(part, in: folder) }
      return try Demo.summary(of: folder)
    }
    let tables = Demo.tables(RunFiles.parts(of: try RunFolder(existing: url)))
    output.printResult(summary, tables.map { "\n\($0.caption)\n\($0.text)" }.joined(separator: "\n"))
    output.note("\nreport  \(url.appending(path: "report.html").path)")
  }
}
