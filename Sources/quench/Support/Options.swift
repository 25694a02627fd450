import ArgumentParser
import Foundation
import Reporting
import Support
import Torch
import Vision

/// What every command that computes takes.
struct RunOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Folder for everything that the run writes.", valueName: "dir"))
  var out: String?

  @Flag(help: "Continue the run in the --out folder from its last checkpoint.")
  var resume = false

  @Option(help: "Seed of every random choice.")
  var seed: Int = 1

  @OptionGroup var machine: MachineOptions
  @OptionGroup var output: OutputOptions
}

/// Where and how tensors are computed.
struct MachineOptions: ParsableArguments {
  @Option(help: "cpu, cuda, cuda:N or mps.")
  var device = "cpu"

  @Option(help: ArgumentHelp("CPU threads; all cores unless given.", valueName: "n"))
  var threads: Int?

  @Option(help: "auto (bfloat16 where the processor multiplies it natively), float32 or bfloat16.")
  var precision = Precision.automatic

  @Option(help: ArgumentHelp("YAML file with the same keys as the flags; flags win.", valueName: "file"))
  var config: String?

  /// Applies the thread count and returns the device.
  func prepare() throws -> Device {
    if let threads { LibTorch.threads = threads }
    return try Device(parsing: device)
  }

  func validate() throws {
    if let threads, threads < 1 { throw ValidationError("--threads must be at least 1.") }
  }
}

struct OutputOptions: ParsableArguments {
  @Flag(help: "Print the result as one JSON object.")
  var json = false

  @Flag(help: "Print nothing but results and errors.")
  var quiet = false
}

extension Precision: ExpressibleByArgument {}

/// Which images.
struct DataOptions: ParsableArguments {
  @Option(help: "fashion-mnist, mnist, cifar10, cifar100, tiny-imagenet, folder or synthetic.")
  var data = "fashion-mnist"

  @Option(help: ArgumentHelp("Folder that holds the data set's files.", valueName: "dir"))
  var dataDir: String?

  @Option(help: ArgumentHelp("Use the first n images of the test file.", valueName: "n"))
  var limit: Int?

  @Option(help: ArgumentHelp("Use the first n training images.", valueName: "n"))
  var trainLimit: Int?

  @Flag(help: "Leave out pictures that cannot be decoded, and count them, instead of stopping.")
  var skipCorrupt = false

  func validate() throws {
    if let limit, limit < 1 { throw ValidationError("--limit must be at least 1.") }
    if let trainLimit, trainLimit < 1 { throw ValidationError("--train-limit must be at least 1.") }
  }
}
