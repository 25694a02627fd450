import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The networks that can be built, and what a file of weights holds.
struct ModelsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "models",
    abstract: "List the networks, or describe one layer by layer.",
    discussion: """
      Examples:
        quench models list
        quench models describe resnet20 --input 1x28x28
        quench models describe --weights runs/train/model.safetensors
      """,
    subcommands: [ModelsListCommand.self, ModelsDescribeCommand.self])
}

struct ModelsListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the networks with their sizes.",
    discussion: """
      Sizes are those for 3 x 32 x 32 images of 10 classes; names that end in
      -imagenet and torchvision's own: 3 x 224 x 224, 1000 classes. Weights of torchvision's
      ResNets and of pytorch-cifar-models also load by the plain name.

      Examples:
        quench models list
        quench models list --json
      """)

  @OptionGroup var output: OutputOptions

  func run() throws {
    let sizes = ModelName.allCases.map { ($0, NetworkSize(of: $0.usualArchitecture)) }
    let table = Table(
      "Networks",
      columns: [.text("name"), .number("parameters"), .number("multiply-adds"), .text("what it is")],
      rows: sizes.map { name, size in
        [
          .init(name.rawValue), .init(NetworkSize.text(size.parameters)),
          .init(NetworkSize.text(size.multiplyAdds)),
          .init(name.summary)
        ]
      })
    let records = sizes.map { name, size -> Value in
      var record: Record = ["name": .string(name.rawValue), "summary": .string(name.summary)]
      record.merge(size.record)
      return .object(record)
    }
    output.printResult(["models": .array(records)], table.text)
  }
}

struct ModelsDescribeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "describe", abstract: "Describe a network layer by layer: shapes, parameters, multiply-adds.",
    discussion: """
      With --weights, the network is that of the file, and its zeros are counted; a
      file that does not say which network its weights belong to needs the name, the
      input and the number of classes as well.

      Examples:
        quench models describe resnet20
        quench models describe resnet18-imagenet --input 3x224x224 \\
          --classes 1000 --json
        quench models describe --weights runs/prune/model.safetensors
      """)

  @ArgumentParser.Argument(help: "The network; 'quench models list' describes them.")
  var name: ModelName?

  @Option(help: "Size of its images: channels x height x width, such as 3x32x32.")
  var input: ImageShape?

  @Option(help: "Number of classes.")
  var classes: Int?

  @Option(help: ArgumentHelp("A file of weights to describe.", valueName: "file"), completion: .file())
  var weights: String?

  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard name != nil || weights != nil else { throw ValidationError("Name a network, or a file with --weights.") }
    if let classes, !(1...100_000).contains(classes) { throw ValidationError("--classes must be 1 to 100000.") }
  }

  func run() throws {
    let named = try name.map { try NamedNetwork($0, input: input?.sizes, classes: classes) }
    let file = try weights.map { try ModelFile(contentsOf: URL(filePath: $0), named: named) }
    if let file, let weights { file.tell(output.console, at: weights) }
    guard let network = try file?.network ?? named.map({ Network(try $0.architecture(), seed: 0) }) else { return }
    let architecture = network.architecture
    let size = NetworkSize(of: architecture)
    let zeros = file.map { Self.zeros(of: $0.network) }

    var record: Record = [
      "name": .string(architecture.name), "input": .array(architecture.inputShape.map { .int($0) }),
      "output": .array(architecture.outputShape.map { .int($0) })
    ]
    record.merge(size.record)
    record["zero_weights"] = zeros.map { .int($0) }
    record["classes"] = file.map { .array($0.classNames.map { .string($0) }) }
    let layers = try LayerSizes(of: network)
    record["layers"] = .array(layers.layers.map { .object($0.record) })
    output.printResult(
      record,
      text(architecture, size, zeros: zeros, classNames: file?.classNames ?? []) + "\n\n" + layers.table.text)
  }

  private func text(_ architecture: Architecture, _ size: NetworkSize, zeros: Int?, classNames: [String]) -> String
  {
    var lines = [
      "\(architecture.name): \(ImageShape.text(architecture.inputShape)) in, "
        + "\(ImageShape.text(architecture.outputShape)) out",
      "parameters        \(NetworkSize.text(size.parameters))",
      "prunable weights  \(NetworkSize.text(size.prunableWeights))",
      "multiply-adds     \(NetworkSize.text(size.multiplyAdds))"
    ]
    if let zeros {
      let share = NumberText.percent(Double(zeros) / Double(max(size.prunableWeights, 1)))
      lines.append("zero weights      \(NetworkSize.text(zeros)), \(share) of the prunable ones")
    }
    if !classNames.isEmpty { lines.append("classes           " + classNames.joined(separator: ", ")) }
    return lines.joined(separator: "\n")
  }

  /// Prunable weights that are zero.
  static func zeros(of network: Network) -> Int {
    network.prunable.reduce(0) {
      $0 + network.parameters[$1].tensor.count - network.parameters[$1].tensor.nonzeroCount()
    }
  }
}

/// What a network costs in all.
struct NetworkSize {
  var parameters: Int
  var prunableWeights: Int
  var multiplyAdds: Int

  init(of architecture: Architecture) {
    parameters = architecture.parameterCount
    multiplyAdds = architecture.multiplyAdds
    prunableWeights = architecture.graph.prunable.reduce(0) { $0 + $1.shape.reduce(1, *) }
  }

  var record: Record {
    [
      "parameters": .int(parameters), "prunable_weights": .int(prunableWeights), "multiply_adds": .int(multiplyAdds)
    ]
  }

  static func text(_ count: Int) -> String { NumberText.fixed(Double(count), decimals: 0) }
}
