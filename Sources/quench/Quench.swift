import ArgumentParser
import Foundation
import Reporting
import Support
import Torch
import Vision

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
    version: Version.quench,
    subcommands: [
      DemoCommand.self, TrainCommand.self, EvaluateCommand.self, PruneCommand.self, MaskCommand.self,
      SlimCommand.self, AttackCommand.self, RedCommand.self, CertifyCommand.self, DefendCommand.self,
      ServeCommand.self, CryoCommand.self, ReportCommand.self, ExportCommand.self, DataCommand.self,
      ModelsCommand.self,
      BenchCommand.self, DoctorCommand.self
    ])

  /// Exit codes: 0 done, 1 the run failed, 64 wrong usage, 130 interrupted with a checkpoint to continue from.
  static func main() {
    LibTorch.keepFreedMemory()
    LibTorch.waitBriefly()
    do {
      var command = try parse()
      try command.run()
    } catch let error as InputError {
      fail("error: \(error)", code: ExitCode.failure.rawValue)
    } catch is Interrupted {
      fail("interrupted; go on with the same command and --resume", code: 130)
    } catch {
      exit(withError: error)
    }
  }

  private static func parse() throws -> any ParsableCommand {
    let arguments: [String]
    do {
      arguments = try ConfigurationFile.expand(Array(CommandLine.arguments.dropFirst()), help: Quench._dumpHelp())
    } catch {
      fail("error: \(error)", code: ExitCode.validationFailure.rawValue)
    }
    return try parseAsRoot(arguments)
  }

  private static func fail(_ message: String, code: Int32) -> Never {
    FileHandle.standardError.write(Data("\(message)\n".utf8))
    Foundation.exit(code)
  }
}

enum Version {
  static let quench = Release.version

  /// What computes, for a run's record.
  static func record(device: Device) -> Record {
    [
      "quench": .string(quench), "libtorch": .string(LibTorch.version), "cpu": .string(LibTorch.cpuCapability),
      "device": .string("\(device)"), "threads": .int(LibTorch.threads),
      "waiting": .string(LibTorch.waitPolicy)
    ]
  }
}
