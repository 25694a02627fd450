import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The command-line tool: parsing and printing; what it computes can be called from Swift with the same values.
@main
struct Quench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quench",
    abstract: "Make vision models lean, and know what they are worth.",
    discussion: """
      First steps:
        quench demo   every capability in little, in a few minutes
        quench train --data fashion-mnist --model resnet20   train a network
        quench prune bip --data fashion-mnist \\
          --weights runs/train/model.safetensors --keep 0.1
        quench doctor                                        what this machine offers

      Completion of commands and flags in the shell (bash, zsh or fish):
        quench --generate-completion-script zsh > ~/.zsh/completion/_quench
      """,
    version: Release.version,
    subcommands: [
      DemoCommand.self, RunCommand.self, StudyCommand.self, TrainCommand.self, EvaluateCommand.self,
      PredictCommand.self, PruneCommand.self, MaskCommand.self, SlimCommand.self,
      AttackCommand.self, RedCommand.self, CertifyCommand.self, DefendCommand.self,
      ServeCommand.self, CryoCommand.self, ReportCommand.self, ExportCommand.self, DataCommand.self,
      ModelsCommand.self, ImportCommand.self, BenchCommand.self, DoctorCommand.self
    ])

  static var _errorPrefix: String { "error: " }

  static func main() {
    ParentWatch.begin()
    LibTorch.keepFreedMemory()
    LibTorch.waitBriefly()
    var arguments = Array(CommandLine.arguments.dropFirst())
    do {
      do { arguments = try ConfigurationFile.expand(arguments, help: Quench._dumpHelp()) } catch {
        Failure(error, code: .validationFailure).exit(json: arguments.asksForJSON)
      }
      var command = try parseAsRoot(arguments)
      try command.run()
    } catch {
      guard let failure = Failure(error, arguments) else { exit(withError: error) }
      failure.exit(json: arguments.asksForJSON)
    }
  }
}

extension [String] {
  fileprivate var asksForJSON: Bool { prefix { $0 != "--" }.contains("--json") }
}
