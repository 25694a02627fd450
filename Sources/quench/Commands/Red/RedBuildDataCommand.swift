import ArgumentParser
import Foundation
import QuenchDeception
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

struct RedBuildDataCommand: ExperimentCommand {
  typealias Work = BuildRedData

  static let folderName = "red-data"

  static let configuration = CommandConfiguration(
    commandName: "build-data",
    abstract: "Attack victims and keep pairs of clean and adversarial images.",
    discussion: """
      Examples:
        quench red build-data --data cifar10 --victim v1=a.safetensors \\
          --victim v2=b.safetensors
        quench red build-data --preset tiny --victim v1=a.safetensors --seen-only

      Cells are FGSM, PGD and CW at three strengths on each victim, the same images
      for all; for tests also a strength outside that range, other attacks on the
      first victim, and victims named with --unseen. Pixels are rounded to 8 bits
      before success is judged. An interrupted build goes on with --resume. Attacks
      compute in float32; with --precision bfloat16 they are faster where the
      processor is, and success is still judged in float32.
      """)

  @Option(help: "tiny: 40 pairs a cell, for trying out; small: 1000 to train on, 200 to test.")
  var preset = RedPreset.small

  @Option(help: "Pairs of each training cell, where not the preset's.")
  var trainPairs: Int?

  @Option(help: "Pairs of each test cell, where not the preset's.")
  var testPairs: Int?

  @Option(help: ArgumentHelp("Attacks on every victim: any of fgsm, pgd, cw.", valueName: "list"))
  var attacks = RedAttack.seen.map(\.rawValue).joined(separator: ",")

  @Option(
    help: ArgumentHelp(
      "Attacks on the first victim that are for tests alone, or none; AutoAttack takes the longest (default: all of "
        + "\(RedAttack.unseen.map(\.rawValue).joined(separator: ", "))).", valueName: "list"))
  var unseenAttacks: String?

  @Flag(help: "The same as --unseen-attacks none.")
  var seenOnly = false

  @Option(help: "Images attacked at a time.")
  var batchSize = 250

  @OptionGroup(title: "Victims") var victims: VictimOptions
  @OptionGroup(title: "Data") var data: DataOptions
  @OptionGroup(title: "Run") var options: RunOptions

  var runOptions: RunOptions { options }

  var settings: Record {
    var settings = Flags.settings(of: self)
    settings["seen-only"] = nil
    if seenOnly || unseenAttacks == "none" { settings["unseen-attacks"] = [] }
    return settings
  }

  func validate() throws {
    guard !seenOnly || unseenAttacks == nil else {
      throw ValidationError("--seen-only and --unseen-attacks exclude each other.")
    }
    try requireUsage { _ = try Work(settings: settings, name: "flags").checked() }
  }
}
