import ArgumentParser
import Foundation
import QuenchDeception
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

struct RedEvaluateCommand: ExperimentCommand {
  typealias Work = EvaluateRed

  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Evaluate a denoiser on test pairs of seen and unseen attacks.",
    discussion: """
      Examples:
        quench red evaluate --run runs/red --pairs runs/red-data \\
          --victim v1=a.safetensors --victim v2=b.safetensors
        quench red evaluate --run runs/red --pairs runs/red-data \\
          --victim v1=a.safetensors --defense --data cifar10 --limit 200

      Each pair is judged by the victim that the attack was made on. The baseline is
      the identity. With --defense also the accuracy through the denoiser, under
      attacks that do not know it and under attacks that do: a denoiser is no defense
      by itself.
      """)

  @Option(
    name: .customLong("run"), help: ArgumentHelp("The run of 'quench red train'.", valueName: "dir"),
    completion: .directory)
  var denoiserRun: String

  @Flag(
    inversion: .prefixedNo,
    help: "Train small networks that tell attack, strength and victim from perturbations: minutes.")
  var origins = true

  @Flag(
    name: [.customLong("defense"), .customLong("defence")],
    help: "Also measure robust accuracy through the denoiser on the images of --data.")
  var defense = false

  @OptionGroup(title: "Pairs") var pairs: PairsOptions
  @OptionGroup(title: "Victims") var victims: VictimOptions
  @OptionGroup(title: "Data") var data: DataOptions
  @OptionGroup(title: "Run") var options: RunOptions

  var runOptions: RunOptions { options }

  var settings: Record {
    var settings = Flags.settings(of: self)
    // A property called run would stand in the way of the command's own method.
    (settings["run"], settings["denoiser-run"]) = (.string(denoiserRun), nil)
    settings["precision"] = nil
    return settings
  }
}
