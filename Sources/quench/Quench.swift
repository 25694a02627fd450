import ArgumentParser
import Foundation
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
        quench demo                                          train, prune and compare on real images
        quench train --data fashion-mnist --model resnet20   train a network
        quench prune bip --data fashion-mnist --weights runs/train/model.safetensors --keep 0.1
        quench doctor                                        what this machine offers
      """,
    version: Version.quench,
    subcommands: [TrainCommand.self])

  /// Exit codes: 0 done, 1 the run failed, 64 wrong usage, 130 interrupted with a checkpoint to continue from.
  static func main() {
    LibTorch.keepFreedMemory()
    Interruption.watch()
    do {
      var command = try parseAsRoot(ConfigurationFile.expand(Array(CommandLine.arguments.dropFirst())))
      try command.run()
    } catch let error as InputError {
      fail("error: \(error)", code: 1)
    } catch let error as Interrupted {
      fail("\(error)", code: 130)
    } catch {
      exit(withError: error)
    }
  }

  private static func fail(_ message: String, code: Int32) -> Never {
    FileHandle.standardError.write(Data("\(message)\n".utf8))
    Foundation.exit(code)
  }
}

enum Version {
  static let quench = "0.1.0"
}
