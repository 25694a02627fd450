import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSupport
import QuenchVision

/// Every capability in little, and one report over all of them.
struct DemoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "Prune, plan, reverse-engineer and certify, in a few minutes.",
    discussion: """
      Trains ResNet-20 on Fashion-MNIST, prunes it to a tenth and to a fiftieth of
      its weights by magnitude (OMP) and by BiP, and compares; then prunes half of
      its channels and cuts them out, which makes it faster. Plans a cryo-EM session
      on a made-up survey; attacks the network and recovers what the attacks did;
      certifies answers under noise. Each step is named before it begins; they are
      short, so that the demo ends in minutes: longer runs give better networks.

      Steps that are done in the --out folder already are not repeated.
      """)

  @Option(
    help: ArgumentHelp("Folder for the demo's runs and its report.", valueName: "dir"), completion: .directory)
  var out = "runs/demo"

  @OptionGroup var machine: MachineOptions
  @OptionGroup var output: OutputOptions

  func validate() throws { _ = try machine.layerPrecision }

  func run() throws {
    try machine.ranks.requireAlone()
    var demo = Demo()
    demo.precision = try machine.layerPrecision
    let url = URL(filePath: out, directoryHint: .isDirectory)
    let earlier = try RunFolder.record(at: url)
    if let earlier, try earlier.settings["steps"] != demo.checked().settings["steps"] {
      throw InputError(
        "the folder holds a demo with other steps than this version's", at: url.path,
        remedy: "delete it, or name another folder with --out")
    }
    earlier?.settlePrecision()
    Interruption.watch()
    let run = try machine.lab(output).ensure(demo, in: url)
    try output.printOutcome(of: run)
    output.note("\nreport  \(run.folder.report.path)")
  }
}
