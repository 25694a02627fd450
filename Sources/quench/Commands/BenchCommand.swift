import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// How fast this machine trains and classifies.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure the throughput of training and inference on this machine.",
    discussion: """
      Works on one batch of random images that stays in memory. Each figure is the
      median of five rounds; keep the machine idle. 'make bench' measures beside
      Python's PyTorch.

      Examples:
        quench bench
        quench bench --model resnet18 --batch-size 64 --threads 4
        quench bench --precision float32 --json
      """,
    subcommands: [BenchTableCommand.self, BenchServeCommand.self],
    defaultSubcommand: BenchTableCommand.self)
}

struct BenchTableCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "table", abstract: "Measure one model and print a table (what 'quench bench' alone does).",
    discussion: """
      Examples:
        quench bench --model resnet20 --batch-size 128
        quench bench table --json
      """)

  @Option(help: "The network; 'quench models list' describes them.")
  var model = ModelName.resnet20

  @Option(help: "Images: channels x height x width (default: what the network was made for).")
  var input: ImageShape?

  @Option(help: "Images per step.")
  var batchSize = 256

  @Option(help: ArgumentHelp("Length of one of the five rounds.", valueName: "seconds"))
  var seconds = 1.0

  @OptionGroup var machine: MachineOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard (2...65_536).contains(batchSize) else { throw ValidationError("--batch-size must be 2 to 65536.") }
    guard (0...60).contains(seconds) else { throw ValidationError("--seconds must be 0 to 60.") }
    guard model.isClassifier else { throw ValidationError("--model must be a classifier.") }
    _ = try machine.layerPrecision
  }

  func run() throws {
    let device = try machine.prepare()
    let architecture = try model.architecture(input: input)
    let workload = BenchWorkload(architecture, batchSize: batchSize, device: device)
    let offersBFloat16 = device != .cpu || LibTorch.offersBFloat16
    let precisions: [Precision] =
      try offersBFloat16 && machine.layerPrecision != .float32 ? [.float32, .bfloat16] : [.float32]

    var rows = precisions.map { row("train", $0, workload.training($0)) }
    rows.append(row("infer", .float32, workload.eager(.float32)))
    rows += precisions.map { row("infer, plan", $0, workload.plan($0)) }
    let record: Record = [
      "model": .string(model.rawValue), "batch_size": .int(batchSize), "device": .string("\(device)"),
      "threads": .int(LibTorch.threads), "rows": .array(rows.map { .object($0.record) }),
      "peak_memory_mb": .double(Double(ProcessMemory.peakBytes) / 1e6)
    ]
    let head =
      "\(model.rawValue), \(ImageShape.text(architecture.inputShape)), batches of \(batchSize), "
      + "\(device), \(LibTorch.threads) threads"
    output.printResult(record, head + "\n\n" + Self.table(rows).text)
  }

  private struct Row {
    var task: String
    var precision: Precision
    var throughput: Throughput

    var record: Record {
      [
        "task": .string(task), "precision": .string(precision.rawValue),
        "milliseconds": .double(throughput.secondsPerStep * 1000),
        "images_per_second": .double(throughput.imagesPerSecond)
      ]
    }
  }

  private func row(_ task: String, _ precision: Precision, _ step: () -> Tensor) -> Row {
    output.note("Measuring \(task), \(precision.rawValue)")
    return Row(
      task: task, precision: precision,
      throughput: .measure(imagesPerStep: batchSize, seconds: seconds, step: step))
  }

  private static func table(_ rows: [Row]) -> Table {
    Table(
      "Throughput",
      columns: [
        .text("task"), .text("precision"), .number("batch", unit: "ms"), .number("images/s"),
        .number("times plain float32")
      ],
      rows: rows.map { row in
        let plain = rows.first { $0.task.prefix(5) == row.task.prefix(5) }?.throughput.imagesPerSecond
        let speed = row.throughput.imagesPerSecond
        return [
          .init(row.task), .init(row.precision.rawValue),
          .init(NumberText.plain(row.throughput.secondsPerStep * 1000, digits: 3)),
          .init(NumberText.fixed(speed, decimals: 0)),
          .init(NumberText.fixed(speed / (plain ?? speed), decimals: 2))
        ]
      })
  }
}

/// Answers the line protocol of Benchmarks/README.md, so that a driver can alternate two processes.
struct BenchServeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "Answer the commands of Benchmarks/run, one a line.",
    discussion: """
      Example:
        echo 'train best 10' | quench bench serve --threads 2
      """)

  @Option(
    help: ArgumentHelp(
      "The network (default: a ResNet-20 for CIFAR images with drawn weights).", valueName: "file"),
    completion: .file())
  var weights: String?

  @Option(help: "Images per step.")
  var batchSize = 256

  @OptionGroup var machine: MachineOptions

  func validate() throws {
    guard (1...65_536).contains(batchSize) else { throw ValidationError("--batch-size must be 1 to 65536.") }
  }

  func run() throws {
    let device = try machine.prepare()
    let trained = try weights.map { try ModelFile(contentsOf: URL(filePath: $0)).network }
    trained?.moveTensors(to: device)
    let architecture =
      trained?.architecture ?? ModelName.resnet20.architecture(input: [3, 32, 32], classes: 10)
    var server = BenchServer(
      workload: BenchWorkload(architecture, trained: trained, batchSize: batchSize, device: device))
    while let line = readLine() {
      let words = line.split(separator: " ").map(String.init)
      if words == ["quit"] { return }
      FileHandle.standardOutput.write(Data((Value.object(server.answer(words)).json() + "\n").utf8))
    }
  }
}
